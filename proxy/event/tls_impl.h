/* tls_impl.h - what the files of TLS share: the only header with OpenSSL's types. */
#pragma once
#include "proxy/event/tls_client.h"
#include "proxy/event/tls_server.h"

#include <openssl/ssl.h>

#define TLS_NAME_MAX       256 /* of a server name (RFC 6066 3) */
#define TLS_PROTOCOLS_ROOM 32

/* ---- tls_ctx.c ---- */

/* The newest error of OpenSSL, in words, in BUF; the queue is empty after. */
const char *tls_error(char *buf, size_t cap);
/* Note in WHY that FIELD is WHAT, and OpenSSL's own words. False, always. */
bool tls_fault_set(struct tls_fault *why, enum tls_field field, const char *what);
/* Of a PEM chain; the caller's, or NULL. */
X509 *tls_read_leaf(struct str pem);
/* What follows the leaf; the caller's, with all in it. */
STACK_OF(X509) * tls_read_rest(struct str pem);
/* Each takes over the texts of a file. False: *WHY says it. */
bool tls_use_chain(SSL_CTX *ctx, struct str pem, struct tls_fault *why) MUST_CHECK;
bool tls_use_key(SSL_CTX *ctx, struct str pem, struct tls_fault *why) MUST_CHECK;
bool tls_use_ca(SSL_CTX *ctx, struct str pem, bool serving, struct tls_fault *why) MUST_CHECK;
void tls_ctx_init(SSL_CTX *ctx);
/* Ciphers and groups of L, ours where it names none. False: *WHY says it. */
bool tls_use_crypto(SSL_CTX *ctx, const struct tls_listener_spec *l,
                    struct tls_fault *why) MUST_CHECK;
/* BITS (TLS_HTTP1 ...) in our order of preference, as ALPN writes them; how many bytes. */
size_t tls_protocols_write(unsigned bits, unsigned char out[TLS_PROTOCOLS_ROOM]);
/* What was agreed on, a bit; 0: ALPN was not used. */
unsigned tls_protocol_of(const SSL *ssl);

/* ---- tls_cert.c ---- */

typedef void tls_name_fn(void *arg, struct str name);
/* DNS names of the certificate; without any, its common name. */
void tls_each_name(X509 *x, tls_name_fn *fn, void *arg);

/* ---- connections ---- */

struct tls_server_ssl { /* filled in while the ClientHello is read; the io_tls begins with it */
    struct tls_server *server;
    unsigned vhost, policy;
};

/* A fresh connection. The SSL's app data must be a tls_server_ssl, or for a client the room
 * for its session; it stays valid as long as the SSL. */
SSL *tls_server_ssl_new(struct tls_server *s, struct tls_server_ssl *of);
/* HOST: the endpoint's name or address as written; PROTOCOL is offered. NULL: there is nothing
 * to speak with. */
SSL *tls_client_ssl_new(struct tls_client *c, struct tls_session *room, struct str host,
                        unsigned protocol);
