/*
 * tls_client.c - how a service's endpoints are spoken to: one OpenSSL context a service.
 *
 * Invariant: a session is offered only under the epoch that it was made in, so nothing that was
 * verified under other settings is taken for granted.
 */
#include "proxy/event/tls_client.h"

#include "proxy/base/mem.h"
#include "proxy/event/tls_impl.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

struct tls_client { /* owned by the plane */
    char *name;
    SSL_CTX *ctx; /* NULL: not configured, nothing can be opened */
    char *server_name;
    uint32_t verify;
    uint64_t epoch;
    unsigned char digest[SHA256_DIGEST_LENGTH]; /* of what it was set to */
};

struct tls_client *tls_client_new(struct str name)
{
    struct tls_client *c = xcalloc(1, sizeof(*c));

    c->name = xstrndup(name.p, name.n);
    return c;
}

void tls_client_free(struct tls_client *c)
{
    SSL_CTX_free(c->ctx);
    xfree(c->server_name);
    xfree(c->name);
    xfree(c);
}

struct str tls_client_name(const struct tls_client *c)
{
    return str_of(c->name);
}

uint64_t tls_client_epoch(const struct tls_client *c)
{
    return c->epoch;
}

void tls_session_clear(struct tls_session *s)
{
    SSL_SESSION_free(s->session);
    *s = (struct tls_session){0};
}

/* A ticket came: keep it for the next connection to this endpoint. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *room = SSL_get_app_data(ssl);
    const struct tls_client *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (!room || !SSL_SESSION_is_resumable(session) || SSL_get_SSL_CTX(ssl) != c->ctx)
        return 0;
    tls_session_clear(room);
    /* A copy: a connection that is cut later marks its own as bad. */
    *room = (struct tls_session){SSL_SESSION_dup(session), c->epoch};
    return 0;
}

static void digest_spec(const struct tls_upstream_spec *s,
                        unsigned char out[SHA256_DIGEST_LENGTH])
{
    const struct str texts[] = {s->ca, s->cert, s->key, s->server_name};
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    ASSERT(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ASSERT(EVP_DigestUpdate(c, &texts[i].n, sizeof(texts[i].n)) == 1 &&
               (texts[i].n == 0 || EVP_DigestUpdate(c, texts[i].p, texts[i].n) == 1));
    ASSERT(EVP_DigestUpdate(c, &s->verify, sizeof(s->verify)) == 1 &&
           EVP_DigestFinal_ex(c, out, NULL) == 1);
    EVP_MD_CTX_free(c);
}

static bool client_setup(SSL_CTX *ctx, const struct tls_upstream_spec *s, struct tls_fault *why)
{
    tls_ctx_init(ctx);
    ASSERT(tls_use_crypto(ctx, &(struct tls_listener_spec){0}, why));
    SSL_CTX_set_session_cache_mode(ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    SSL_CTX_set_verify(ctx, s->verify == TLS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    if (s->ca.n ? !tls_use_ca(ctx, s->ca, false, why)
                : SSL_CTX_set_default_verify_paths(ctx) != 1)
        return false;
    return s->cert.n == 0 ||
           (tls_use_chain(ctx, s->cert, why) && tls_use_key(ctx, s->key, why));
}

bool tls_client_set(struct tls_client *c, const struct tls_upstream_spec *s,
                    struct tls_fault *why)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SSL_CTX *ctx;

    *why = (struct tls_fault){0};
    digest_spec(s, digest);
    if (c->ctx && memcmp(digest, c->digest, sizeof(digest)) == 0)
        return true;
    ctx = SSL_CTX_new(TLS_client_method());
    ASSERT(ctx);
    SSL_CTX_set_app_data(ctx, c);
    if (!client_setup(ctx, s, why)) {
        SSL_CTX_free(ctx);
        return false;
    }
    SSL_CTX_free(c->ctx);
    xfree(c->server_name);
    c->ctx = ctx;
    c->server_name = xstrndup(s->server_name.p ? s->server_name.p : "", s->server_name.n);
    c->verify = s->verify;
    c->epoch++;
    memcpy(c->digest, digest, sizeof(digest));
    return true;
}

/* An address is verified as an address and not asked for by name (RFC 6066 3). */
static bool set_peer_name(const struct tls_client *c, SSL *ssl, struct str host)
{
    char text[TLS_NAME_MAX];
    ASN1_OCTET_STRING *ip;

    if (c->server_name[0])
        host = str_of(c->server_name);
    str_copy(text, sizeof(text), host);
    ip = a2i_IPADDRESS(text);
    if (ip) {
        ASN1_OCTET_STRING_free(ip);
        return c->verify != TLS_VERIFY_FULL ||
               X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1;
    }
    ERR_clear_error();
    return SSL_set_tlsext_host_name(ssl, text) == 1 &&
           (c->verify != TLS_VERIFY_FULL || SSL_set1_host(ssl, text) == 1);
}

SSL *tls_client_ssl_new(struct tls_client *c, struct tls_session *room, struct str host,
                        unsigned protocol)
{
    unsigned char protocols[TLS_PROTOCOLS_ROOM];
    size_t n = tls_protocols_write(protocol, protocols);
    SSL *ssl = c->ctx ? SSL_new(c->ctx) : NULL;

    if (!ssl || !set_peer_name(c, ssl, host)) {
        SSL_free(ssl);
        return NULL;
    }
    ASSERT(SSL_set_alpn_protos(ssl, protocols, (unsigned)n) == 0);
    SSL_set_app_data(ssl, room);
    if (room->session && room->epoch == c->epoch)
        SSL_set_session(ssl, room->session);
    SSL_set_connect_state(ssl);
    return ssl;
}
