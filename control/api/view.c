/* view.c - services as the API shows them. */
#include "control/api/view.h"
#include "config/conf.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/engine/sampler.h"
#include "control/link/dns.h"
#include "control/link/health.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

json_t *view_time(uint64_t wall_ms)
{
    char stamp[CLOCK_STAMP];

    return wall_ms ? json_string(clock_stamp(stamp, wall_ms)) : json_null();
}

json_t *view_text(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

/* Per cent of the split decisions that each version of S got; false: there were none. */
static bool actual_shares(const struct engine *e, const struct conf_service *s, double *out)
{
    uint32_t *cells = xcalloc(s->nversions + 1, sizeof(*cells));

    for (size_t i = 0; i < s->nversions; i++)
        cells[i] = s->versions[i].cell;
    bool any = sampler_shares(e->sampler, cells, s->nversions, VIEW_ACTUAL_MS, out);
    xfree(cells);
    return any;
}

/* Two decimals: as fine as weights are. */
static double round_share(double per_cent)
{
    return (double)(int64_t)(per_cent * 100 + 0.5) / 100;
}

static json_t *share_or_null(bool any, double per_cent)
{
    return any ? json_real(round_share(per_cent)) : json_null();
}

json_t *view_weights(const struct engine *e, const struct conf_service *s)
{
    double *shares = xcalloc(s->nversions + 1, sizeof(*shares));
    bool any = actual_shares(e, s, shares);
    json_t *out = json_object();

    for (size_t i = 0; i < s->nversions; i++)
        json_object_set_new(out, s->versions[i].name.p,
                            json_pack("{s:f,s:o,s:s}", "set", s->versions[i].weight / 100.0,
                                      "actual", share_or_null(any, shares[i]), "origin",
                                      desired_origin(e->desired, s->name.p)));
    xfree(shares);
    return out;
}

json_t *view_weights_answer(const struct engine *e, const char *service, uint64_t generation)
{
    const struct conf_service *s = desired_service(e->desired, service);
    json_t *weights = json_object();

    for (size_t i = 0; s && i < s->nversions; i++)
        json_object_set_new(weights, s->versions[i].name.p,
                            json_real(s->versions[i].weight / 100.0));
    return json_pack("{s:s,s:o,s:s,s:I}", "service", service, "weights", weights, "origin",
                     desired_origin(e->desired, service), "generation", (json_int_t)generation);
}

const char *view_health(const struct conf_service *s)
{
    size_t up = 0, all = 0, without = 0;

    if (!s->health.enabled)
        return "unknown";
    for (size_t i = 0; i < s->nversions; i++) {
        const struct conf_version *v = &s->versions[i];
        size_t here = 0;
        for (size_t k = 0; k < v->nendpoints && v->weight; k++)
            here += v->endpoints[k].up;
        all += v->weight ? v->nendpoints : 0;
        without += v->weight && !here;
        up += here;
    }
    return without ? "down" : up < all ? "degraded" : "healthy";
}

static json_t *view_endpoint(const struct engine *e, const struct conf_service *s,
                             const struct conf_version *v, const struct conf_endpoint *ep)
{
    struct health_row row = {.error = ""};
    struct sampler_endpoint_totals totals = {0};
    struct dns_row answer;
    bool known = s->health.enabled && health_get(e->health, s->name, v->name, ep->name, &row);

    if (ep->cell && ep->cell < STATS_ENDPOINTS)
        sampler_endpoint_totals(e->stats, ep->cell, &totals);
    struct str source = ep->from.n || ep->host.n ? ep->from : ep->name;
    bool asked = source.n > 0 && dns_get(e->dns, source, &answer);
    const char *error = known && *row.error ? row.error : asked ? answer.error : "";

    return json_pack("{s:s,s:o,s:I,s:b,s:b,s:I,s:o}", "address", ep->name.p, "name",
                     view_text(source.p), "weight", (json_int_t)ep->weight, "up", ep->up,
                     "drain", ep->drain, "ejected", (json_int_t)totals.ejected, "last_error",
                     view_text(error));
}

/* What circuit breakers hold of V now and what they allow (0: any); null without limits. */
static json_t *view_limited(const struct engine *e, const struct conf_service *s,
                            const struct conf_version *v)
{
    const struct conf_limits *c = &s->limits;
    uint64_t held[STATS_NHELD] = {0};

    if (c->max_connections == 0 && c->max_retries == 0)
        return json_null();
    sampler_held(e->stats, v->cell, held);
    return json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:I}", "connections", (json_int_t)held[STATS_CONNECTIONS],
        "max_connections", (json_int_t)c->max_connections, "pending",
        (json_int_t)held[STATS_PENDING], "max_pending", (json_int_t)c->max_pending, "retries",
        (json_int_t)held[STATS_RETRYING], "max_retries", (json_int_t)c->max_retries);
}

/* What is spoken to endpoints, in the words of the config. */
static const char *upstream_name(enum conf_upstream protocol)
{
    static const char *const names[] = {[CONF_UPSTREAM_HTTP1] = "http/1.1",
                                        [CONF_UPSTREAM_H2C] = "h2c",
                                        [CONF_UPSTREAM_H2] = "h2"};

    return names[protocol];
}

static json_t *version_with_share(const struct engine *e, const struct conf_service *s,
                                  const struct conf_version *v, json_t *actual)
{
    json_t *endpoints = json_array();
    json_t *labels = (json_t *)desired_labels(e->desired, s->name.p, v->name.p);

    for (size_t i = 0; i < v->nendpoints; i++)
        json_array_append_new(endpoints, view_endpoint(e, s, v, &v->endpoints[i]));
    return json_pack("{s:s,s:s,s:f,s:o,s:s,s:o,s:o,s:o}", "name", v->name.p, "protocol",
                     upstream_name(v->protocol), "weight", v->weight / 100.0, "actual", actual,
                     "origin", desired_origin(e->desired, s->name.p), "labels",
                     labels ? json_incref(labels) : json_object(), "limited",
                     view_limited(e, s, v), "endpoints", endpoints);
}

json_t *view_version(const struct engine *e, const struct conf_service *s, size_t version)
{
    double *shares = xcalloc(s->nversions + 1, sizeof(*shares));
    bool any = actual_shares(e, s, shares);
    json_t *out =
        version_with_share(e, s, &s->versions[version], share_or_null(any, shares[version]));

    xfree(shares);
    return out;
}

static const char *balance_name(enum conf_balance b)
{
    return b == CONF_BALANCE_ROUND_ROBIN ? "round_robin" : "p2c";
}

static json_t *view_sticky(const struct conf_sticky *s)
{
    static const char *const by[] = {"none", "cookie", "header", "client_ip"};

    if (s->by == CONF_STICKY_NONE)
        return json_null();
    return json_pack("{s:s,s:o,s:f}", "by", by[s->by], "name", view_text(s->name.p), "ttl_s",
                     (double)s->ttl_ms / 1000);
}

json_t *view_service(const struct engine *e, const struct conf_service *s)
{
    json_t *versions = json_array();

    for (size_t i = 0; i < s->nversions; i++)
        json_array_append_new(versions, view_version(e, s, i));
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o}", "name", s->name.p, "health", view_health(s),
                     "balance", balance_name(s->balance), "sticky", view_sticky(&s->sticky),
                     "rollout", view_text(s->rollout.p), "versions", versions);
}
