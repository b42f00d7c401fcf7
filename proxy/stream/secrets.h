/*
 * secrets.h - the TLS of one worker: what its listeners and its services speak.
 *
 * Named by listener and by service. A document replaces all of it or nothing; connections that
 * are open go on with what they have.
 */
#pragma once
#include "proxy/base/vec.h"
#include "proxy/event/tls_client.h"
#include "proxy/event/tls_server.h"

#include <sys/queue.h>

struct secret_server {
    char *name; /* of the listener */
    struct tls_server *server;
};

struct secret_client { /* of a service that ever spoke TLS; it stays */
    LIST_ENTRY(secret_client) link;
    struct tls_client *client;
};

struct secrets { /* owned by the plane */
    struct tls_tickets tickets;
    VEC(struct secret_server) servers;
    LIST_HEAD(client_row, secret_client) clients[64]; /* by hash of the service */
};

void secrets_init(struct secrets *s);
void secrets_release(struct secrets *s); /* after the last connection and endpoint */

/* 0; or -1: nothing has changed, and *WHY is a malloc'd reason (xfree). */
int secrets_apply(struct secrets *s, struct str doc, char **why) MUST_CHECK;
/* Borrowed; NULL: this listener speaks no TLS. */
struct tls_server *secrets_server(const struct secrets *s, struct str listener);
/* Borrowed, lives as long as S. A service that no document named yet cannot be connected to. */
struct tls_client *secrets_client(struct secrets *s, struct str service);
