/* api_stats.c - rates and quantiles of the last seconds, per service, version and endpoint. */
#include "control/api/routes.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/engine/sampler.h"
#include "proxy/base/mem.h"

#define WINDOW_MS 60000

static json_t *window_json(const char *name, const struct sampler_window *w)
{
    return json_pack("{s:s,s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:I}", "name", name, "rps", w->rps,
                     "error_ratio", w->error_ratio, "p50_ms", w->p50_ms, "p95_ms", w->p95_ms,
                     "p99_ms", w->p99_ms, "in_flight", (json_int_t)w->in_flight, "requests",
                     (json_int_t)w->requests, "errors", (json_int_t)w->errors);
}

static json_t *endpoint_stats(const struct sampler *s, const struct conf_endpoint *ep,
                              uint64_t window_ms)
{
    struct sampler_endpoint_window w;

    sampler_endpoint_window(s, ep->cell, window_ms, &w);
    return json_pack("{s:s,s:f,s:I,s:I}", "address", ep->name.p, "rps", w.rps, "errors",
                     (json_int_t)w.errors, "in_flight", (json_int_t)w.in_flight);
}

static json_t *version_stats(const struct sampler *s, const struct conf_version *v,
                             uint64_t window_ms)
{
    struct sampler_window w;
    json_t *endpoints = json_array();

    sampler_window(s, &v->cell, 1, window_ms, &w);
    for (size_t i = 0; i < v->nendpoints; i++)
        json_array_append_new(endpoints, endpoint_stats(s, &v->endpoints[i], window_ms));
    json_t *out = window_json(v->name.p, &w);
    json_object_set_new(out, "endpoints", endpoints);
    return out;
}

static json_t *service_stats(const struct sampler *s, const struct conf_service *service,
                             uint64_t window_ms)
{
    uint32_t *cells = xcalloc(service->nversions + 1, sizeof(*cells));
    struct sampler_window w;
    json_t *versions = json_array();

    for (size_t i = 0; i < service->nversions; i++) {
        cells[i] = service->versions[i].cell;
        json_array_append_new(versions, version_stats(s, &service->versions[i], window_ms));
    }
    sampler_window(s, cells, service->nversions, window_ms, &w);
    json_t *out = window_json(service->name.p, &w);
    json_object_set_new(out, "versions", versions);
    xfree(cells);
    return out;
}

void api_stats_get(struct api_request *req)
{
    struct engine *e = api_engine(req);
    const struct conf *c = desired_conf(e->desired);
    uint64_t window_ms = WINDOW_MS;

    if (!api_query_ms(req, "window", SAMPLER_SECONDS * 1000, &window_ms))
        return;
    json_t *services = json_array();
    for (size_t i = 0; i < c->nservices; i++)
        json_array_append_new(services, service_stats(e->sampler, &c->services[i], window_ms));
    api_reply(req, 200,
              json_pack("{s:I,s:o}", "window_ms", (json_int_t)window_ms, "services", services));
}
