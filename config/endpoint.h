/*
 * endpoint.h - the notation of an endpoint: where it is, or the name that says so.
 *
 *   127.0.0.1:9001  [::1]:9001  unix:/path/of.sock    places
 *   shop.internal:9001                                a name: one endpoint for each address
 *   srv:_http._tcp.shop.internal                      a name: one for each address of each
 * target
 *
 * "localhost" is 127.0.0.1 and needs no asking (RFC 6761, 6.3): a service on this machine more
 * often listens there than on ::1. Pure; names are asked for by the controller.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"

/* Fill EP's host and port from its name; a name leaves the host empty. A owns the texts. False:
 * the name is none of the above. */
bool endpoint_read(struct arena *a, struct conf_endpoint *ep) MUST_CHECK;

struct endpoint_query { /* what has to be asked for a name; parts of it */
    struct str name;    /* "shop.internal", "_http._tcp.shop.internal" */
    uint16_t port;      /* 0: SRV records say it */
};
/* SOURCE is the name of an endpoint with an empty host, or its conf_endpoint.from. */
struct endpoint_query endpoint_query(struct str source);
/* Whom a certificate of EP must name: the host as it was written; of an SRV name, the domain
 * whose service it is (RFC 6125, 6.4: what DNS says about it proves nothing). */
struct str endpoint_identity(struct str name, struct str from);
