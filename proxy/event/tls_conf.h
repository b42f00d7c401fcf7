/*
 * tls_conf.h - TLS as it is configured: contexts for listeners and for services behind us.
 *
 * A tls_server is what one listener speaks: its certificates by name (SNI), versions, who must
 * show a certificate. A tls_client is how a service's endpoints are spoken to. Connections that
 * are open keep what they were made with; new ones take the newest.
 *
 * Sessions are resumed by tickets only. A ticket is good for the listener and the client
 * policy that it was made under and for no other (RFC 8446 4.6.1): a change of policy is a full
 * handshake. Early data is never accepted, renegotiation and compression are off.
 */
#pragma once
#include "proxy/event/tls_spec.h"

#define TLS_TICKET_KEY 80 /* bytes: name 16, cipher key 32, MAC key 32 */

/* Keys of session tickets, shared by all workers. Tickets are made with the second, so that
 * one made by a worker is known to those who hear of a rotation a moment later. */
struct tls_tickets {
    unsigned n;                           /* 0: none yet, nothing is resumed */
    unsigned char key[3][TLS_TICKET_KEY]; /* next, current, previous */
};
/* KEYS are n times TLS_TICKET_KEY bytes, n at most 3. */
bool tls_tickets_set(struct tls_tickets *t, struct str keys) MUST_CHECK;

enum tls_field { TLS_FIELD_CERT, TLS_FIELD_KEY, TLS_FIELD_CLIENT_CA, TLS_FIELD_CIPHERS };
struct tls_fault { /* why a spec is of no use */
    enum tls_field field;
    unsigned cert; /* which of a listener's certificates */
    char text[256];
};

struct tls_server;
/* NULL: *WHY says it. TICKETS is borrowed and may change. */
struct tls_server *tls_server_new(const struct tls_listener_spec *s,
                                  const struct tls_tickets *tickets,
                                  struct tls_fault *why) MUST_CHECK;
struct tls_server *tls_server_ref(struct tls_server *s); /* NULL gives NULL */
void tls_server_unref(struct tls_server *s);
/* Which client policy the names of this server fall under; HOST lower case, without a port. */
unsigned tls_server_policy(const struct tls_server *s, struct str host);

struct tls_client; /* a name for a service; what stands behind it may change */
struct tls_client *tls_client_new(struct str name);
void tls_client_free(struct tls_client *c); /* no connection may be open */
struct str tls_client_name(const struct tls_client *c);
/* Speak as S says from now on. False: *WHY says it (the field CLIENT_CA is `ca` here), and
 * nothing has changed. */
bool tls_client_set(struct tls_client *c, const struct tls_upstream_spec *s,
                    struct tls_fault *why) MUST_CHECK;
/* Changes whenever tls_client_set changes something: connections and sessions of an older one
 * are not to be used any more. */
uint64_t tls_client_epoch(const struct tls_client *c);

/* The session that an endpoint may be resumed with. Zeroed at first. */
struct tls_session {
    void *session;
    uint64_t epoch;
};
void tls_session_clear(struct tls_session *s);

/* Of a PEM chain's leaf: until when it is good (ms, UTC), and its names, "a, b", in NAMES. */
bool tls_cert_describe(struct str pem, uint64_t *not_after_ms, char *names,
                       size_t cap) MUST_CHECK;
