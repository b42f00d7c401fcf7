/* plan_body.c - what a rollout would do: its steps, how long, what the judge would notice. */
#include "control/api/plan_body.h"
#include "config/conf.h"
#include "control/engine/desired.h"
#include "control/engine/effects.h"
#include "control/engine/engine.h"
#include "control/engine/sampler.h"
#include "control/rollout/plan.h"

#include <jansson.h>

#define WINDOW_MS 300000 /* "present traffic" is that of five minutes */

static json_t *duration_json(uint64_t ms)
{
    char buf[SPEC_DURATION_TEXT];

    return json_string(spec_duration_text(buf, ms));
}

/* {"requests", "after"}, or null: not within the step. */
static json_t *find_json(const struct plan_find *f)
{
    return f->found ? json_pack("{s:I,s:o}", "requests", (json_int_t)f->n, "after",
                                duration_json(f->ms))
                    : json_null();
}

static json_t *power_json(const struct plan_step *p, double errors)
{
    json_t *list = json_array();

    for (size_t k = 0; k < PLAN_RATIOS; k++) {
        double to = errors * plan_ratios[k] < 1 ? errors * plan_ratios[k] : 1;
        json_array_append_new(list,
                              json_pack("{s:f,s:f,s:o}", "errors_from", errors, "errors_to", to,
                                        "found", find_json(&p->regress[k])));
    }
    return list;
}

static json_t *step_json(const struct spec *s, uint32_t i, const struct plan_traffic *t,
                         uint64_t *total_ms)
{
    const struct spec_step *step = &s->steps[i];
    struct plan_step p;
    json_t *doc = json_pack("{s:s,s:f}", "kind", spec_kind_name(step->kind), "weight",
                            step->weight / 100.0);

    plan_step(s, i, t, &p);
    *total_ms += p.least_ms;
    if (step->kind != SPEC_WEIGHT) {
        json_object_set_new(doc, "name", json_string(spec_task(s, i)->name));
        return doc;
    }
    json_object_set_new(doc, "least", duration_json(p.least_ms));
    json_object_set_new(doc, "canary_rps", json_real(p.canary_rps));
    if (step->weight == 10000)
        return doc;
    json_object_set_new(doc, "until", json_string(spec_until_name(step->until)));
    json_object_set_new(doc, "certificate", find_json(&p.certificate));
    json_object_set_new(doc, "detects", power_json(&p, plan_errors(t)));
    return doc;
}

static struct plan_traffic traffic_of(const struct engine *e, const struct conf_service *s,
                                      const struct conf_version *stable)
{
    struct sampler_window all = {0}, one;
    struct plan_traffic t = {0};

    for (size_t i = 0; i < s->nversions; i++) {
        sampler_window(e->sampler, &s->versions[i].cell, 1, WINDOW_MS, &one);
        t.rps += one.rps;
        if (&s->versions[i] == stable)
            all = one;
    }
    t.errors = all.error_ratio;
    return t;
}

json_t *plan_body(const struct engine *e, const char *service, const struct spec *spec)
{
    const struct conf_service *s = desired_service(e->desired, service);
    const struct conf_version *stable = effects_stable(s, spec->version);
    struct plan_traffic t = traffic_of(e, s, stable);
    struct spec fit = *spec;
    uint64_t total_ms = spec->warmup_ms + spec->bake_ms;
    json_t *steps = json_array();

    if (s->sticky.by == CONF_STICKY_NONE)
        fit.judge.clients = JUDGE_REQUEST;
    for (uint32_t i = 0; i < fit.nsteps; i++)
        json_array_append_new(steps, step_json(&fit, i, &t, &total_ms));
    return json_pack("{s:b,s:s,s:s,s:s,s:s,s:{s:f,s:f},s:o,s:o,s:o,s:o}", "dry_run", 1,
                     "service", service, "version", spec->version, "stable",
                     stable ? stable->name.p : "", "strategy",
                     spec_strategy_name(spec->strategy), "traffic", "rps", t.rps, "error_ratio",
                     t.errors, "steps", steps, "least", duration_json(total_ms), "undo_for",
                     duration_json(spec->retain_ms), "spec", spec_write(spec));
}
