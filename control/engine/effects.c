/*
 * effects.c - a rollout's wishes as overlay documents, and its numbers as event data.
 *
 * Nothing here changes anything: documents are made from the desired state and handed back.
 */
#include "control/engine/effects.h"
#include "config/conf.h"
#include "control/engine/desired.h"
#include "control/engine/evidence.h"
#include "control/engine/overlay.h"
#include "proxy/base/mem.h"
#include "proxy/base/stats.h"

#include <stdio.h>

const struct conf_version *effects_version(const struct desired *d, const char *service,
                                           const char *version)
{
    const struct conf_service *s = desired_service(d, service);
    long at = s ? conf_version_find(s, str_of(version)) : -1;

    return at >= 0 ? &s->versions[at] : NULL;
}

static void drain_version(json_t *doc, const struct conf_version *v)
{
    for (size_t i = 0; v && i < v->nendpoints; i++)
        if (!v->endpoints[i].drain)
            overlay_set_drain(doc, v->name.p, v->endpoints[i].name.p, "rollout");
}

static json_t *split_weights(const struct rollout *r)
{
    return json_pack("{s:i,s:i}", r->stable, (int)(CONF_WEIGHT_FULL - r->weight),
                     r->spec.version, (int)r->weight);
}

/* Are the weights of its service R's? One that waits has none to give back. */
static bool owns(const struct desired *d, const struct rollout *r)
{
    const struct conf_service *s = desired_service(d, r->service);

    return s && str_eq(s->rollout, str_of(r->id));
}

/* The overlay that FX asks for, or NULL when it asks for none. */
json_t *effects_overlay(const struct desired *d, const struct rollout *r,
                        const struct rollout_effects *fx)
{
    bool frees = (fx->settle || fx->finish) && owns(d, r);

    if (!fx->set_weight && !fx->drain && !frees)
        return NULL;
    json_t *doc = desired_edit(d, r->service);
    if (fx->set_weight) {
        char *origin = xasprintf("rollout %s", r->id);
        json_t *weights = split_weights(r);
        overlay_set_weights(doc, weights, origin);
        overlay_set_rollout(doc, r->id);
        overlay_lift_drain(doc, r->stable);
        json_decref(weights);
        xfree(origin);
    }
    if (fx->drain)
        drain_version(doc, effects_version(d, r->service, r->spec.version));
    if (frees)
        overlay_set_rollout(doc, NULL);
    return doc;
}

/* The numbers of an event: what a reader of the log wants without asking further. */
json_t *effects_data(const struct rollout_entry *l, const struct rollout *r)
{
    json_t *data =
        json_pack("{s:s,s:s,s:s,s:i,s:i,s:f}", "state", rollout_state_name(r->state), "version",
                  r->spec.version, "stable", r->stable, "step", (int)r->step + 1, "steps",
                  (int)r->spec.nsteps, "weight", r->weight / 100.0);

    if (r->result.outcome == ROLLOUT_OPEN || r->result.outcome == ROLLOUT_DID_SUCCEED)
        return data;
    json_object_set_new(data, "exposed_requests", json_integer((json_int_t)l->exposed));
    json_object_set_new(data, "bad_requests", json_integer((json_int_t)l->bad));
    if (r->result.by_judge) {
        json_object_set_new(data, "class", json_string(judge_class_name(r->result.class)));
        json_object_set_new(data, "evalue", json_real(evidence_finite(r->result.evalue)));
        json_object_set_new(data, "limit", json_real(r->result.limit));
        json_object_set_new(data, "excess", json_real(r->result.excess));
        if (r->first_request_ms && r->result.verdict_at_ms >= r->first_request_ms)
            json_object_set_new(
                data, "detected_ms",
                json_integer((json_int_t)(r->result.verdict_at_ms - r->first_request_ms)));
    }
    if (l->reverted_us && l->verdict_us) {
        json_object_set_new(data, "revert_ms",
                            json_real((double)(l->reverted_us - l->verdict_us) / 1000));
        json_object_set_new(data, "last_request_ms", json_integer(r->result.last_request_ms));
    }
    return data;
}

const struct conf_version *effects_stable(const struct conf_service *s, const char *version)
{
    const struct conf_version *best = NULL;

    for (size_t i = 0; i < s->nversions; i++) {
        const struct conf_version *v = &s->versions[i];
        if (strcmp(v->name.p, version) != 0 && (!best || v->weight > best->weight))
            best = v;
    }
    return best;
}

static json_t *endpoints_of(const struct spec *spec)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < spec->nendpoints; i++)
        json_array_append_new(list, json_string(spec->endpoints[i]));
    return list;
}

uint32_t effects_free_table(const struct desired *d)
{
    const struct conf *c = desired_conf(d);
    uint32_t used = 0, free;

    for (size_t i = 0; i < c->nservices; i++)
        if (c->services[i].judging.table)
            used |= 1u << (c->services[i].judging.table - 1);
    free = ~used;
    return free ? (uint32_t)__builtin_ctz(free) + 1 : 0;
}
_Static_assert(STATS_CLIENT_TABLES == 32, "effects_free_table has a bit for each");

static json_t *judging(const struct desired *d, const struct spec *spec, uint64_t epoch)
{
    bool clients = spec->judge.clients != JUDGE_REQUEST;

    return json_pack("{s:i,s:I,s:b,s:I}", "table", clients ? (int)effects_free_table(d) : 0,
                     "epoch", (json_int_t)epoch, "once",
                     spec->judge.clients == JUDGE_CLIENT_ONCE, "warmup_ms",
                     (json_int_t)spec->warmup_ms);
}

/* The service as it is when the rollout owns it: version known, not drained, way back noted. */
json_t *effects_at_start(const struct desired *d, const struct rollout *r, uint64_t epoch)
{
    const struct conf_service *s = desired_service(d, r->service);
    json_t *doc = desired_edit(d, r->service);
    json_t *weights = desired_weights(s);

    if (r->spec.nendpoints) {
        json_t *endpoints = endpoints_of(&r->spec);
        overlay_put_version(doc, r->spec.version, endpoints,
                            desired_labels(d, r->service, r->spec.version));
        json_decref(endpoints);
    } else {
        overlay_lift_drain(doc, r->spec.version);
    }
    overlay_set_undo(doc, weights);
    overlay_set_rollout(doc, r->id);
    overlay_set_judging(doc, judging(d, &r->spec, epoch));
    json_decref(weights);
    return doc;
}

/* Somebody set other weights while the rollout was paused: it goes on with its own. */
json_t *effects_at_resume(const struct desired *d, const struct rollout *r)
{
    const struct conf_version *v = effects_version(d, r->service, r->spec.version);

    if (!v || v->weight == r->weight)
        return NULL;
    json_t *doc = desired_edit(d, r->service);
    json_t *weights = split_weights(r);
    char *origin = xasprintf("rollout %s", r->id);
    overlay_set_weights(doc, weights, origin);
    json_decref(weights);
    xfree(origin);
    return doc;
}
