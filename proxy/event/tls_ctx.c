/*
 * tls_ctx.c - what contexts of listeners and of services have in common.
 *
 * Invariant: a context that leaves here speaks TLS 1.2 or newer, with forward secrecy unless
 * the operator says otherwise, and neither compresses nor renegotiates.
 */
#include "proxy/event/tls_impl.h"

#include "proxy/base/mem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

#define CURVES "X25519:P-256:P-384"
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS                                                                                \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

const char *tls_error(char *buf, size_t cap)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(e);

    if (!e)
        snprintf(buf, cap, "unknown error");
    else if (reason)
        snprintf(buf, cap, "%s", reason);
    else
        ERR_error_string_n(e, buf, cap);
    ERR_clear_error();
    return buf;
}

bool tls_fault_set(struct tls_fault *why, enum tls_field field, const char *what)
{
    char reason[128];

    why->field = field;
    snprintf(why->text, sizeof(why->text), "%s: %s", what, tls_error(reason, sizeof(reason)));
    return false;
}

/* ---- PEM ---- */

static BIO *pem_open(struct str pem)
{
    BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);

    ASSERT(b);
    return b;
}

/* Keys with a passphrase cannot be used: nobody is there to type it. */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
    (void)buf;
    (void)size;
    (void)rw;
    (void)arg;
    return -1;
}

X509 *tls_read_leaf(struct str pem)
{
    BIO *b = pem_open(pem);
    X509 *x = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, NULL);

    BIO_free(b);
    return x;
}

STACK_OF(X509) * tls_read_rest(struct str pem)
{
    BIO *b = pem_open(pem);
    X509 *x = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, NULL);
    STACK_OF(X509) *rest = sk_X509_new_null();

    ASSERT(rest);
    X509_free(x);
    while ((x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL)))
        ASSERT(sk_X509_push(rest, x) > 0);
    BIO_free(b);
    ERR_clear_error(); /* the end of the file */
    return rest;
}

/* The leaf and what follows it. */
bool tls_use_chain(SSL_CTX *ctx, struct str pem, struct tls_fault *why)
{
    BIO *b = pem_open(pem);
    X509 *x = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, NULL), *next;
    bool ok = x && SSL_CTX_use_certificate(ctx, x) == 1;

    X509_free(x);
    if (ok)
        SSL_CTX_clear_chain_certs(ctx);
    while (ok && (next = PEM_read_bio_X509(b, NULL, no_passphrase, NULL)))
        ok = SSL_CTX_add0_chain_cert(ctx, next) == 1;
    BIO_free(b);
    if (!ok)
        return tls_fault_set(why, TLS_FIELD_CERT, "not a usable certificate");
    ERR_clear_error(); /* the end of the file */
    return true;
}

bool tls_use_key(SSL_CTX *ctx, struct str pem, struct tls_fault *why)
{
    BIO *b = pem_open(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
    bool read = key != NULL, fits = read && SSL_CTX_use_PrivateKey(ctx, key) == 1;

    EVP_PKEY_free(key);
    BIO_free(b);
    if (!read)
        return tls_fault_set(why, TLS_FIELD_KEY, "not a usable private key");
    if (!fits || SSL_CTX_check_private_key(ctx) != 1)
        return tls_fault_set(why, TLS_FIELD_KEY, "not the key of the certificate");
    return true;
}

/* Trust the certificates in PEM; as a server also name them to clients. */
bool tls_use_ca(SSL_CTX *ctx, struct str pem, bool serving, struct tls_fault *why)
{
    BIO *b = pem_open(pem);
    unsigned n = 0;
    X509 *x;

    for (; (x = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, NULL)); n++) {
        (void)X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);
        if (serving)
            SSL_CTX_add_client_CA(ctx, x);
        X509_free(x);
    }
    BIO_free(b);
    if (n == 0)
        return tls_fault_set(why, TLS_FIELD_CLIENT_CA, "no certificate in it");
    ERR_clear_error();
    return true;
}

/* ---- protocols (RFC 7301) ---- */

static const struct {
    unsigned bit;
    const char *name;
} protocols[] = {
    /* The first that both sides speak is taken. */
    {TLS_HTTP2, "h2"},
    {TLS_HTTP1, "http/1.1"},
};

size_t tls_protocols_write(unsigned bits, unsigned char out[TLS_PROTOCOLS_ROOM])
{
    size_t n = 0, len;

    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        if (!(bits & protocols[i].bit))
            continue;
        len = strlen(protocols[i].name);
        ASSERT(n + 1 + len <= TLS_PROTOCOLS_ROOM);
        out[n++] = (unsigned char)len;
        memcpy(out + n, protocols[i].name, len);
        n += len;
    }
    return n;
}

unsigned tls_protocol_of(const SSL *ssl)
{
    const unsigned char *name;
    unsigned n;

    SSL_get0_alpn_selected(ssl, &name, &n);
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (str_eq(str_of(protocols[i].name), (struct str){(const char *)name, n}))
            return protocols[i].bit;
    return 0;
}

/* ---- settings ---- */

void tls_ctx_init(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    ASSERT(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
}

/* SET takes LIST, or FALLBACK when that is empty. */
static bool use_list(SSL_CTX *ctx, int (*set)(SSL_CTX *, const char *), struct str list,
                     const char *fallback)
{
    char *text = list.n ? xstrndup(list.p, list.n) : xstrdup(fallback);
    bool ok = set(ctx, text) == 1;

    xfree(text);
    return ok;
}

static int set_curves(SSL_CTX *ctx, const char *list)
{
    return (int)SSL_CTX_set1_groups_list(ctx, list);
}

bool tls_use_crypto(SSL_CTX *ctx, const struct tls_listener_spec *l, struct tls_fault *why)
{
    if (!use_list(ctx, SSL_CTX_set_cipher_list, l->ciphers, CIPHERS))
        return tls_fault_set(why, TLS_FIELD_CIPHERS, "not a list of ciphers");
    if (!use_list(ctx, SSL_CTX_set_ciphersuites, l->suites, SUITES))
        return tls_fault_set(why, TLS_FIELD_SUITES, "not a list of ciphers of TLS 1.3");
    if (!use_list(ctx, set_curves, l->curves, CURVES))
        return tls_fault_set(why, TLS_FIELD_CURVES, "not a list of groups");
    return true;
}
