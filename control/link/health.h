/*
 * health.h - active health checks: which endpoints may get traffic.
 *
 * Each endpoint of a service with "health" is asked GET path every interval (jittered by a
 * tenth; first checks come soon but spread, so that thousands never burst). 2xx and 3xx are
 * good; anything else, a timeout or no connection is bad. Or it is asked whether it accepts
 * connections, or by the gRPC health protocol over HTTP/2: then SERVING is good. The version's
 * protocol and TLS are spoken, and TLS verified, as traffic does it: nobody is healthy whom no
 * request would be sent to.
 *
 * A new endpoint is *unknown* and counts as what the caller knew of it (conf_endpoint.up); its
 * first result decides at once. After that RISE good results in a row make it up and FALL bad
 * ones down. An endpoint without "health" stays as the caller knows it, and unknown.
 */
#pragma once
#include "config/model.h"
#include "proxy/base/check.h"
#include "proxy/event/loop.h"

struct fetcher;
struct health;

enum health_state { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };

struct health_row {
    enum health_state state;
    bool up;              /* may get traffic: what UNKNOWN counts as, too */
    const char *error;    /* last bad result ("HTTP 503", "Connection refused"), "" when good;
                             valid until the next turn */
    uint64_t since_ms;    /* wall clock of the last change of state; 0: never */
    uint64_t checks, bad; /* so far */
};

/*
 * The state of an endpoint changed (from unknown, too: compare row->up with what is published).
 * From the loop. Names are valid during the call.
 */
typedef void health_cb(void *arg, struct str service, struct str version, struct str endpoint,
                       const struct health_row *row);

/* SEED makes the jitter repeatable. */
struct health *health_new(struct loop *l, struct fetcher *f, uint64_t seed, health_cb *cb,
                          void *arg);
void health_free(struct health *h); /* no callback comes after this */

/*
 * From now on check what C says; C may be freed afterwards. Endpoints that stay (same service,
 * version and address) keep their state, also when path or interval changed; new ones start
 * unknown with conf_endpoint.up; the others are forgotten.
 */
void health_configure(struct health *h, const struct conf *c);
/* How TLS is spoken to the endpoints of services: DOC as of IPC_CHECK_TLS, copied. A service of
 * which nothing is said is not checked until something is. False: damaged, nothing changes. */
bool health_set_tls(struct health *h, struct str doc) MUST_CHECK;
/* Of SERVICE; NULL: nothing was said of it. Valid until the next health_set_tls. */
const struct tls_upstream_spec *health_tls(const struct health *h, struct str service);
/* False: not known here. */
bool health_get(const struct health *h, struct str service, struct str version,
                struct str endpoint, struct health_row *row);
