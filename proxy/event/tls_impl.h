/* tls_impl.h - what tls_conf.c and io_tls.c share: the only header with OpenSSL's types. */
#pragma once
#include "proxy/event/tls_conf.h"

#include <openssl/ssl.h>

struct tls_server_ssl { /* filled in while the ClientHello is read; the io_tls begins with it */
    struct tls_server *server;
    unsigned policy;
};

/* A fresh connection. The SSL's app data must be a tls_server_ssl, or for a client the room
 * for its session; it stays valid as long as the SSL. */
SSL *tls_server_ssl_new(struct tls_server *s, struct tls_server_ssl *of);
/* HOST: the endpoint's name or address as written. NULL: there is nothing to speak with. */
SSL *tls_client_ssl_new(struct tls_client *c, struct tls_session *room, struct str host);
/* The newest error of OpenSSL, in words, in BUF; the queue is empty after. */
const char *tls_error(char *buf, size_t cap);
