/*
 * tls_server.h - what one listener speaks: its certificates by name (SNI), versions, who must
 * show a certificate. Connections that are open keep what they were made with.
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

struct tls_server;
/* NULL: *WHY says it. TICKETS is borrowed and may change. */
struct tls_server *tls_server_new(const struct tls_listener_spec *s,
                                  const struct tls_tickets *tickets,
                                  struct tls_fault *why) MUST_CHECK;
struct tls_server *tls_server_ref(struct tls_server *s); /* NULL gives NULL */
void tls_server_unref(struct tls_server *s);
/* Which client policy the names of this server fall under; HOST lower case, without a port. */
unsigned tls_server_policy(const struct tls_server *s, struct str host);
