/*
 * tls_ocsp.c - is this response about that certificate, from somebody who may say it, and
 * fresh?
 */
#include "proxy/event/tls_ocsp.h"

#include "proxy/event/tls_impl.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <time.h>

#define SKEW_S 300 /* clocks differ by so much */

struct check { /* what is looked at; all owned but SINGLE */
    X509 *leaf;
    STACK_OF(X509) * chain;
    OCSP_RESPONSE *response;
    OCSP_BASICRESP *basic;
    OCSP_SINGLERESP *single;
};

static X509 *issuer_of(const struct check *c)
{
    for (int i = 0; i < sk_X509_num(c->chain); i++)
        if (X509_check_issued(sk_X509_value(c->chain, i), c->leaf) == X509_V_OK)
            return sk_X509_value(c->chain, i);
    return NULL;
}

/* Without the issuer the serial number has to do. */
static bool is_about(const OCSP_CERTID *id, const X509 *leaf, const X509 *issuer)
{
    ASN1_INTEGER *serial;
    ASN1_OBJECT *hash;
    OCSP_CERTID *want;
    bool same;

    if (OCSP_id_get0_info(NULL, &hash, NULL, &serial, (OCSP_CERTID *)(uintptr_t)id) != 1)
        return false;
    if (!issuer)
        return ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0;
    want = OCSP_cert_to_id(EVP_get_digestbyobj(hash), leaf, issuer);
    same = want && OCSP_id_cmp(want, id) == 0;
    OCSP_CERTID_free(want);
    return same;
}

static OCSP_SINGLERESP *find_single(const struct check *c, const X509 *issuer)
{
    for (int i = 0; i < OCSP_resp_count(c->basic); i++) {
        OCSP_SINGLERESP *s = OCSP_resp_get0(c->basic, i);

        if (is_about(OCSP_SINGLERESP_get0_id(s), c->leaf, issuer))
            return s;
    }
    return NULL;
}

/* By the issuer itself, or by somebody whom it has named for that (RFC 6960 4.2.2.2). */
static bool is_signed(const struct check *c, X509 *issuer)
{
    X509_STORE *trusted = X509_STORE_new();
    bool ok = trusted && X509_STORE_add_cert(trusted, issuer) == 1 &&
              X509_STORE_set_flags(trusted, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
              OCSP_basic_verify(c->basic, c->chain, trusted, 0) == 1;

    X509_STORE_free(trusted);
    return ok;
}

static uint64_t time_ms(const ASN1_GENERALIZEDTIME *t)
{
    struct tm tm;

    return t && ASN1_TIME_to_tm(t, &tm) == 1 ? (uint64_t)timegm(&tm) * 1000 : UINT64_MAX;
}

static const char *fault_of(struct check *c, uint64_t now_ms, struct tls_staple *s)
{
    X509 *issuer = issuer_of(c);
    ASN1_GENERALIZEDTIME *from, *until;
    int status, reason;
    uint64_t begin;

    if (OCSP_response_status(c->response) != OCSP_RESPONSE_STATUS_SUCCESSFUL || !c->basic)
        return "it is a responder's refusal";
    c->single = find_single(c, issuer);
    if (!c->single)
        return "it is not about this certificate";
    status = OCSP_single_get0_status(c->single, &reason, NULL, &from, &until);
    begin = time_ms(from);
    s->next_update_ms = time_ms(until);
    if (issuer && !is_signed(c, issuer))
        return "its signature is not the issuer's";
    if (status != V_OCSP_CERTSTATUS_GOOD)
        return status == V_OCSP_CERTSTATUS_REVOKED ? "it says that the certificate is revoked"
                                                   : "it says that nothing is known";
    if (begin == UINT64_MAX || begin > now_ms + SKEW_S * 1000)
        return "it is from the future";
    return s->next_update_ms <= now_ms ? "it is too old" : NULL;
}

static bool read_chain(struct check *c, struct str pem)
{
    c->leaf = tls_read_leaf(pem);
    c->chain = tls_read_rest(pem);
    return c->leaf != NULL;
}

static void check_release(struct check *c)
{
    OCSP_BASICRESP_free(c->basic);
    OCSP_RESPONSE_free(c->response);
    sk_X509_pop_free(c->chain, X509_free);
    X509_free(c->leaf);
}

bool tls_staple_check(struct str chain, struct str der, uint64_t now_ms, struct tls_staple *s)
{
    const unsigned char *p = (const unsigned char *)der.p;
    struct check c = {.response = d2i_OCSP_RESPONSE(NULL, &p, (long)der.n)};
    bool ok = c.response && p == (const unsigned char *)der.p + der.n && read_chain(&c, chain);
    const char *fault;

    *s = (struct tls_staple){.next_update_ms = UINT64_MAX};
    if (ok) {
        c.basic = OCSP_response_get1_basic(c.response);
        fault = fault_of(&c, now_ms, s);
        snprintf(s->fault, sizeof(s->fault), "%s", fault ? fault : "");
    }
    check_release(&c);
    ERR_clear_error();
    return ok;
}
