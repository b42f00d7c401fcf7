/* test_tls_ocsp.c - whose response it is, when it is good, and that none is shown after. */
#include "proxy/base/arena.h"
#include "proxy/base/clock.h"
#include "proxy/event/tls_impl.h"
#include "proxy/event/tls_ocsp.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

static struct arena arena;

struct party { /* a certificate and its key */
    X509 *cert;
    EVP_PKEY *key;
    struct str pem, key_pem;
};

static struct str drain(BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    struct str s = arena_str(&arena, (struct str){p, (size_t)n});

    BIO_free(b);
    return s;
}

/* BY: who signs; NULL: itself. */
static struct party make(const char *name, int serial, const struct party *by)
{
    struct party p = {X509_new(), EVP_EC_gen("P-256"), STR_NONE, STR_NONE};
    BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());

    X509_set_version(p.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(p.cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(p.cert), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(p.cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(p.cert, X509_get_subject_name(by ? by->cert : p.cert));
    X509_set_pubkey(p.cert, p.key);
    ck_assert_int_gt(X509_sign(p.cert, by ? by->key : p.key, EVP_sha256()), 0);
    PEM_write_bio_X509(cert, p.cert);
    PEM_write_bio_PrivateKey(key, p.key, NULL, NULL, 0, NULL, NULL);
    p.pem = drain(cert);
    p.key_pem = drain(key);
    return p;
}

static void drop(struct party *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
}

struct answer { /* what a responder says of LEAF */
    const struct party *leaf, *issuer, *signer;
    int status;
    long from_s, until_s; /* from now */
};

static struct str respond(const struct answer *a)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, a->leaf->cert, a->issuer->cert);
    ASN1_TIME *from = X509_gmtime_adj(NULL, a->from_s),
              *until = X509_gmtime_adj(NULL, a->until_s);
    bool revoked = a->status == V_OCSP_CERTSTATUS_REVOKED;
    OCSP_RESPONSE *r;
    unsigned char *der = NULL;
    struct str s;
    int n;

    ck_assert_ptr_nonnull(
        OCSP_basic_add1_status(basic, id, a->status, 0, revoked ? from : NULL, from, until));
    ck_assert_int_eq(OCSP_basic_sign(basic, a->signer->cert, a->signer->key, EVP_sha256(), NULL,
                                     OCSP_NOCERTS),
                     1);
    r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    n = i2d_OCSP_RESPONSE(r, &der);
    s = arena_str(&arena, (struct str){(char *)der, (size_t)n});
    OPENSSL_free(der);
    OCSP_RESPONSE_free(r);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return s;
}

START_TEST(only_good_ones_are_stapled)
{
    struct party ca = make("ca", 1, NULL), leaf = make("leaf", 2, &ca);
    struct party other = make("other", 3, &ca), stranger = make("ca", 1, NULL);
    const int good = V_OCSP_CERTSTATUS_GOOD;
    const struct {
        struct answer answer;
        const char *fault;
    } cases[] = {
        {{&leaf, &ca, &ca, good, -10, 100}, ""},
        {{&other, &ca, &ca, good, -10, 100}, "it is not about this certificate"},
        {{&leaf, &stranger, &ca, good, -10, 100}, "it is not about this certificate"},
        {{&leaf, &ca, &stranger, good, -10, 100}, "its signature is not the issuer's"},
        {{&leaf, &ca, &other, good, -10, 100}, "its signature is not the issuer's"},
        {{&leaf, &ca, &ca, V_OCSP_CERTSTATUS_REVOKED, -10, 100},
         "it says that the certificate is revoked"},
        {{&leaf, &ca, &ca, V_OCSP_CERTSTATUS_UNKNOWN, -10, 100},
         "it says that nothing is known"},
        {{&leaf, &ca, &ca, good, -100, -10}, "it is too old"},
        {{&leaf, &ca, &ca, good, 1000, 2000}, "it is from the future"},
    };
    struct str chain = arena_printf(&arena, "%.*s%.*s", STR_ARG(leaf.pem), STR_ARG(ca.pem));
    struct tls_staple s;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert(tls_staple_check(chain, respond(&cases[i].answer), clock_wall_ms(), &s));
        ck_assert_str_eq(s.fault, cases[i].fault);
    }
    /* Without the issuer nobody can tell who signed it. */
    ck_assert(tls_staple_check(leaf.pem, respond(&cases[3].answer), clock_wall_ms(), &s));
    ck_assert_str_eq(s.fault, "");
    ck_assert(tls_staple_check(leaf.pem, respond(&cases[1].answer), clock_wall_ms(), &s));
    ck_assert_str_eq(s.fault, "it is not about this certificate");
    drop(&ca);
    drop(&leaf);
    drop(&other);
    drop(&stranger);
}
END_TEST

START_TEST(junk_is_no_response)
{
    struct party ca = make("ca", 1, NULL);
    struct answer a = {&ca, &ca, &ca, V_OCSP_CERTSTATUS_GOOD, -10, 100};
    struct str der = respond(&a), refusal = STR("\x30\x03\x0a\x01\x03");
    struct tls_staple s;

    ck_assert(!tls_staple_check(ca.pem, STR("junk"), clock_wall_ms(), &s));
    ck_assert(!tls_staple_check(STR("junk"), der, clock_wall_ms(), &s));
    for (size_t n = 0; n < der.n; n++)
        ck_assert(!tls_staple_check(ca.pem, (struct str){der.p, n}, clock_wall_ms(), &s));
    ck_assert(tls_staple_check(ca.pem, refusal, clock_wall_ms(), &s));
    ck_assert_str_eq(s.fault, "it is a responder's refusal");
    drop(&ca);
}
END_TEST

/* Bytes of the response that a client gets in a handshake with S; -1: none. */
static long stapled(struct tls_server *s)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct tls_server_ssl of;
    SSL *server = tls_server_ssl_new(tls_server_ref(s), &of), *client = SSL_new(ctx);
    BIO *a, *b;
    const unsigned char *response;
    long n;

    ck_assert_int_eq(BIO_new_bio_pair(&a, 0, &b, 0), 1);
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
    SSL_set_connect_state(client);
    for (int i = 0; i < 10 && !(SSL_is_init_finished(client) && SSL_is_init_finished(server));
         i++) {
        (void)SSL_do_handshake(client);
        (void)SSL_do_handshake(server);
    }
    ck_assert(SSL_is_init_finished(client));
    n = SSL_get_tlsext_status_ocsp_resp(client, &response);
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(ctx);
    tls_server_unref(s);
    return n;
}

START_TEST(an_old_one_is_not_shown)
{
    struct party leaf = make("leaf", 2, NULL);
    struct answer a = {&leaf, &leaf, &leaf, V_OCSP_CERTSTATUS_GOOD, -10, 2};
    struct tls_cert_spec cert = {.cert = leaf.pem, .key = leaf.key_pem, .ocsp = respond(&a)};
    struct tls_listener_spec l = {
        .name = STR("web"), .min_version = 2, .certs = &cert, .ncerts = 1};
    struct tls_tickets none = {0};
    struct tls_fault f;
    struct tls_server *s = tls_server_new(&l, &none, &f);

    ck_assert_msg(s != NULL, "%s", f.text);
    ck_assert_int_eq(stapled(s), (long)cert.ocsp.n);
    sleep(3);
    ck_assert_int_eq(stapled(s), -1);
    tls_server_unref(s);
    drop(&leaf);
}
END_TEST

static void setup(void)
{
    arena_init(&arena, NULL, 0);
}

static void teardown(void)
{
    arena_release(&arena);
}

int main(void)
{
    Suite *s = suite_create("tls_ocsp");
    TCase *tc = tcase_create("tls_ocsp");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, only_good_ones_are_stapled);
    tcase_add_test(tc, junk_is_no_response);
    tcase_add_test(tc, an_old_one_is_not_shown);
    suite_add_tcase(s, tc);
    return unit_run(s);
}
