/* api_metrics.c - /metrics: what exists, handed to metrics.h, which knows the text. */
#include "config/conf.h"
#include "control/api/metrics.h"
#include "control/api/routes.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/engine/flagsync.h"
#include "control/engine/publish.h"
#include "control/engine/rollouts.h"
#include "control/engine/sampler.h"
#include "control/link/dns.h"
#include "control/link/workers.h"
#include "proxy/base/mem.h"
#include "proxy/route/flag_eval.h"

#include <math.h>

#define SHARE_MS 10000

struct gathered { /* everything that struct metrics points to */
    struct arena arena;
    VEC(struct metrics_version) versions;
    VEC(struct metrics_endpoint) endpoints;
    VEC(struct metrics_name) names;
    VEC(struct metrics_rollout) rollouts;
    VEC(struct metrics_evalue) evalues;
    VEC(struct metrics_result) results;
    VEC(struct metrics_revert) reverts;
    VEC(struct metrics_flag) flags;
    VEC(struct metrics_certificate) certificates;
};

static void gathered_release(struct gathered *g)
{
    arena_release(&g->arena);
    vec_release(&g->versions);
    vec_release(&g->endpoints);
    vec_release(&g->names);
    vec_release(&g->rollouts);
    vec_release(&g->evalues);
    vec_release(&g->results);
    vec_release(&g->reverts);
    vec_release(&g->flags);
    vec_release(&g->certificates);
}

static void add_endpoints(struct gathered *g, const struct conf_service *s,
                          const struct conf_version *v)
{
    for (size_t i = 0; i < v->nendpoints; i++) {
        const struct conf_endpoint *ep = &v->endpoints[i];
        if (ep->host.n == 0) /* a name without an answer */
            continue;
        *vec_add(&g->endpoints) =
            (struct metrics_endpoint){s->name, v->name, ep->name, ep->cell, ep->up};
    }
}

static void add_names(struct gathered *g, const struct engine *e)
{
    json_t *sources = (json_t *)desired_sources(e->desired), *yes;
    struct dns_row row;
    const char *name;

    json_object_foreach(sources, name, yes)
    {
        if (dns_get(e->dns, str_of(name), &row))
            *vec_add(&g->names) = (struct metrics_name){
                str_of(name), row.state == DNS_GOOD, row.naddresses, row.lookups, row.failures};
    }
}

static void add_service(struct gathered *g, const struct engine *e,
                        const struct conf_service *s)
{
    uint32_t *cells = arena_zalloc(&g->arena, (s->nversions + 1) * sizeof(*cells));
    double *shares = arena_zalloc(&g->arena, (s->nversions + 1) * sizeof(*shares));

    for (size_t i = 0; i < s->nversions; i++)
        cells[i] = s->versions[i].cell;
    bool any = sampler_shares(e->sampler, cells, s->nversions, SHARE_MS, shares);
    for (size_t i = 0; i < s->nversions; i++) {
        const struct conf_version *v = &s->versions[i];
        *vec_add(&g->versions) = (struct metrics_version){s->name, v->name, v->cell,
                                                          (double)v->weight / CONF_WEIGHT_FULL,
                                                          any ? shares[i] / 100 : (double)NAN};
        add_endpoints(g, s, v);
    }
}

static void add_evalues(struct gathered *g, const struct rollout *r)
{
    struct judge_report *report = xcalloc(1, sizeof(*report));

    judge_explain(&r->judge, report);
    for (int c = 0; c < JUDGE_NCLASSES; c++)
        if (report->classes[c].active)
            *vec_add(&g->evalues) = (struct metrics_evalue){
                str_of(r->service), str_of(judge_class_name((enum judge_class)c)),
                report->classes[c].evalue};
    xfree(report);
}

static void count_result(struct gathered *g, const char *service, const char *result)
{
    for (size_t i = 0; i < g->results.n; i++) {
        struct metrics_result *r = &g->results.v[i];
        if (str_eq(r->service, str_of(service)) && str_eq(r->result, str_of(result))) {
            r->count++;
            return;
        }
    }
    *vec_add(&g->results) = (struct metrics_result){str_of(service), str_of(result), 1};
}

/* Rollouts come newest first: the first of a service gives the latency, all give the sum. */
static void count_revert(struct gathered *g, const struct rollout_entry *l)
{
    for (size_t i = 0; i < g->reverts.n; i++) {
        if (str_eq(g->reverts.v[i].service, str_of(l->r.service))) {
            g->reverts.v[i].bad_requests += l->exposed;
            return;
        }
    }
    *vec_add(&g->reverts) = (struct metrics_revert){
        str_of(l->r.service), (double)(l->reverted_us - l->verdict_us) / 1e6, l->exposed};
}

static void add_rollout(struct gathered *g, const struct rollout_entry *l)
{
    const struct rollout *r = &l->r;

    if (rollout_terminal(r->state)) {
        count_result(g, r->service, rollout_state_name(r->state));
        if (r->state == ROLLOUT_REVERTED && l->verdict_us && l->reverted_us)
            count_revert(g, l);
        return;
    }
    *vec_add(&g->rollouts) =
        (struct metrics_rollout){.service = str_of(r->service),
                                 .id = str_of(r->id),
                                 .strategy = STR("canary"),
                                 .version = str_of(r->spec.version),
                                 .stable = str_of(r->stable),
                                 .state = str_of(rollout_state_name(r->state)),
                                 .step = r->step + 1};
    add_evalues(g, r);
}

static void add_cell(struct gathered *g, const struct engine *e, struct str flag,
                     struct str variant, uint32_t cell)
{
    uint64_t n[STATS_FLAG_REASONS];

    sampler_flag(e->stats, cell, n);
    for (int r = 0; r < STATS_FLAG_REASONS; r++) {
        if (n[r])
            *vec_add(&g->flags) =
                (struct metrics_flag){flag, variant, str_of(flag_reason_name(r)), n[r]};
    }
}

/*
 * The flag set's "cells" name the counters. There are as many as fit the shared memory, however
 * many flags come and go; the rest is one row.
 */
static void add_flags(struct gathered *g, const struct engine *e)
{
    json_t *cells = json_object_get(flagsync_document(e->flagsync), "cells"), *variants, *cell;
    const char *flag, *variant;

    add_cell(g, e, STR("(others)"), STR(""), 0);
    json_object_foreach(cells, flag, variants)
    {
        json_object_foreach(variants, variant, cell)
        {
            add_cell(g, e, str_of(flag), str_of(variant), (uint32_t)json_integer_value(cell));
        }
    }
}

static void add_certificates(struct gathered *g, const struct engine *e)
{
    const json_t *c;
    size_t i;

    json_array_foreach(e->certificates, i, c)
    {
        const char *const owners[] = {"listener", "service", "flags"};
        const char *ocsp = json_string_value(json_object_get(c, "ocsp"));

        const char *owner = owners[0], *name = NULL;

        for (size_t k = 0; k < ARRAY_LEN(owners) && !name; k++)
            name = json_string_value(json_object_get(c, owner = owners[k]));
        *vec_add(&g->certificates) = (struct metrics_certificate){
            arena_printf(&g->arena, "%s %s", owner, name ? name : ""),
            str_of(json_string_value(json_object_get(c, "file"))),
            str_of(json_string_value(json_object_get(c, "names"))),
            (double)json_integer_value(json_object_get(c, "not_after")) / 1000,
            ocsp ? str_of(ocsp) : STR_NONE,
            (double)json_integer_value(json_object_get(c, "ocsp_next_update")) / 1000};
    }
}

static uint64_t workers_up(const struct engine *e)
{
    size_t n;
    uint64_t up = 0;
    const struct workers_row *rows = workers_rows(e->workers, &n);

    for (size_t i = 0; i < n; i++)
        up += rows[i].state == IPC_WORKER_UP;
    return up;
}

static void gather(struct gathered *g, const struct engine *e)
{
    const struct conf *c = desired_conf(e->desired);

    arena_init(&g->arena, NULL, 0);
    for (size_t i = 0; i < c->nservices; i++)
        add_service(g, e, &c->services[i]);
    add_names(g, e);
    for (const struct rollout_entry *l = rollouts_first(e->rollouts); l; l = rollouts_next(l))
        add_rollout(g, l);
    add_flags(g, e);
    add_certificates(g, e);
}

void api_metrics_get(struct api_request *req)
{
    const struct engine *e = api_engine(req);
    struct gathered g = {0};
    struct flagsync_status flags;
    bool open = api_accepts(req, "application/openmetrics-text");
    size_t n;

    gather(&g, e);
    flagsync_status(e->flagsync, &flags);
    char *text = metrics_text(
        &(struct metrics){.stats = e->stats,
                          .versions = g.versions.v,
                          .nversions = g.versions.n,
                          .endpoints = g.endpoints.v,
                          .nendpoints = g.endpoints.n,
                          .names = g.names.v,
                          .nnames = g.names.n,
                          .rollouts = g.rollouts.v,
                          .nrollouts = g.rollouts.n,
                          .evalues = g.evalues.v,
                          .nevalues = g.evalues.n,
                          .results = g.results.v,
                          .nresults = g.results.n,
                          .reverts = g.reverts.v,
                          .nreverts = g.reverts.n,
                          .flags = g.flags.v,
                          .nflags = g.flags.n,
                          .certificates = g.certificates.v,
                          .ncertificates = g.certificates.n,
                          .version = SLUICE_VERSION,
                          .redis = (enum metrics_redis)flags.redis,
                          .flags_regressed = flags.version_regressed,
                          .flags_quarantined = json_object_size(flags.quarantined),
                          .flags_stale_seconds = desired_conf(e->desired)->flags.enabled
                                                     ? (double)flags.stale_ms / 1000
                                                     : -1,
                          .config_ok = !e->config_rejected,
                          .generation = publish_applied(e->publish),
                          .workers_up = workers_up(e)},
        open ? METRICS_OPEN : METRICS_TEXT, &n);
    gathered_release(&g);
    api_reply_raw(req, 200, open ? METRICS_OPEN_TYPE : METRICS_TYPE, (struct str){text, n});
    xfree(text);
}
