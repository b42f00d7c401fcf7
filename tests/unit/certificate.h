/* certificate.h - certificates that signed themselves, made while the test runs. */
#pragma once
#include "proxy/event/tls_spec.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static inline struct str certificate_text(struct arena *a, BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    struct str s = arena_str(a, (struct str){p, (size_t)n});

    BIO_free(b);
    return s;
}

/* For NAMES ("DNS:a.test,DNS:*.b.test"), good for an hour; its PEM texts are in A. */
static inline struct tls_cert_spec certificate_new(struct arena *a, const char *names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    BIO *cert = BIO_new(BIO_s_mem()), *pem = BIO_new(BIO_s_mem());
    struct tls_cert_spec c = {0};

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_add_ext(x, e, -1);
    ASSERT(X509_sign(x, key, EVP_sha256()) > 0);
    PEM_write_bio_X509(cert, x);
    PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL);
    c.cert = certificate_text(a, cert);
    c.key = certificate_text(a, pem);
    X509_EXTENSION_free(e);
    X509_free(x);
    EVP_PKEY_free(key);
    return c;
}
