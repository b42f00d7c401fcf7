/*
 * reach.h - how a request of the controller's own reaches an endpoint: as traffic does, in the
 * version's protocol, with the service's TLS, by the same name, behind the same PROXY header.
 *
 * Who looks at an endpoint otherwise than its traffic will says nothing about its traffic.
 */
#pragma once
#include "config/model.h"
#include "control/link/fetch.h"

struct reach { /* texts are owned */
    char *url;
    char *address;  /* where URL's name is, or NULL: it has the address itself */
    char *socket;   /* path, or NULL */
    bool secure;    /* TLS is spoken */
    bool http2;     /* spoken to the version */
    bool announced; /* the endpoint expects a PROXY header */
};

/* The way to PATH of E, of V of S; what R had before is released. Zeroed memory is empty. */
void reach_set(struct reach *r, const struct conf_service *s, const struct conf_version *v,
               const struct conf_endpoint *e, struct str path);
void reach_release(struct reach *r);
/* Into O, which borrows from R. TLS: the service's, not NULL where R is secure. */
void reach_use(const struct reach *r, const struct tls_upstream_spec *tls,
               struct fetch_options *o);
