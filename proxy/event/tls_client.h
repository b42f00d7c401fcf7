/* tls_client.h - how a service's endpoints are spoken to; new connections take the newest. */
#pragma once
#include "proxy/event/tls_spec.h"

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
