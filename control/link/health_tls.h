/*
 * health_tls.h - how health checks speak TLS to the endpoints of a service: as traffic does.
 *
 * The supervisor reads the files, since the controller may run as a user who cannot; their
 * texts stay in memory here, keys of listeners are not among them.
 */
#pragma once
#include "proxy/event/tls_spec.h"

struct health_tls;

/* DOC as of IPC_CHECK_TLS, copied. NULL: it is damaged. */
struct health_tls *health_tls_new(struct str doc) MUST_CHECK;
void health_tls_free(struct health_tls *t); /* its texts are wiped; NULL is a no-op */
/* NULL: there is nothing about SERVICE, or T is NULL. Valid as long as T. */
const struct tls_upstream_spec *health_tls_of(const struct health_tls *t, struct str service);
