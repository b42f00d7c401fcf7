/*
 * report.c - the sections of a report.
 *
 * Facts only: each line is something that is in the rollout, in its story or in the desired
 * state. What could have been done instead is known by the kind of a transition.
 */
#include "control/api/report.h"
#include "config/conf.h"
#include "control/api/view.h"
#include "control/engine/desired.h"
#include "control/engine/effects.h"
#include "control/engine/engine.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

#include <stdio.h>
#include <string.h>

static json_t *line(const char *fmt, ...) PRINTF_LIKE(1, 2);
static json_t *line(const char *fmt, ...)
{
    va_list ap;
    json_t *text;

    va_start(ap, fmt);
    text = json_vsprintf(fmt, ap);
    va_end(ap);
    return text;
}

/* --- how --- */

static json_t *method(const struct rollout *r)
{
    json_t *steps = json_array();

    for (uint32_t i = 0; i < r->spec.nsteps; i++) {
        const struct spec_step *s = &r->spec.steps[i];

        if (s->kind == SPEC_WEIGHT)
            json_array_append_new(steps, line("%g %%", s->weight / 100.0));
        else
            json_array_append_new(steps, line("%s \"%s\"", spec_kind_name(s->kind),
                                              spec_task(&r->spec, i)->name));
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:s,s:o}", "strategy",
                     spec_strategy_name(r->spec.strategy), "service", r->service, "from",
                     r->stable, "to", r->spec.version, "steps", steps, "judge",
                     spec_mode_name(r->spec.mode), "started",
                     line("by %s", r->author[0] ? r->author : "unknown"));
}

/* --- what changed --- */

static void add_version(json_t *list, const struct engine *e, const struct rollout *r,
                        const char *name)
{
    const struct conf_version *v = effects_version(e->desired, r->service, name);

    if (!v) {
        json_array_append_new(list, line("%s is not registered any more", name));
        return;
    }
    for (size_t i = 0; i < v->nendpoints; i++)
        json_array_append_new(list, line("%s of %s: %s, %s", v->endpoints[i].name.p, name,
                                         v->endpoints[i].up ? "up" : "down",
                                         v->endpoints[i].drain ? "drained" : "in service"));
}

static json_t *infrastructure(const struct engine *e, const struct rollout *r)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < r->spec.nendpoints; i++)
        json_array_append_new(list, line("%s was registered as an endpoint of %s",
                                         r->spec.endpoints[i], r->spec.version));
    add_version(list, e, r, r->spec.version);
    add_version(list, e, r, r->stable);
    return list;
}

static json_t *configuration(const struct engine *e, const struct rollout *r)
{
    const struct conf_service *s = desired_service(e->desired, r->service);
    json_t *list = json_array();

    if (r->state == ROLLOUT_PENDING || r->state == ROLLOUT_WARMING)
        json_array_append_new(list, line("no weight has moved yet"));
    else
        json_array_append_new(list, line("weight of %s: %g %%, live since generation %llu",
                                         r->spec.version, r->weight / 100.0,
                                         (unsigned long long)r->generation));
    for (size_t i = 0; s && i < s->nversions; i++)
        json_array_append_new(
            list, line("now: %s %g %%", s->versions[i].name.p, s->versions[i].weight / 100.0));
    json_array_append_new(
        list, line("configuration file %s, revision %s", e->config_path, e->revision));
    return list;
}

/* --- what was checked --- */

static const char *step_result(const struct rollout *r, uint32_t i)
{
    if (i == r->step && r->check == ROLLOUT_FAILED)
        return "failed";
    if ((i < r->step || r->state == ROLLOUT_SUCCEEDED) && r->step_ended_ms[i])
        return "passed";
    return r->step_started_ms[i] && !r->step_ended_ms[i] ? "running" : "not reached";
}

static json_t *validation(const struct rollout *r)
{
    struct judge_report *report = xcalloc(1, sizeof(*report));
    json_t *list = json_array();

    for (uint32_t i = 0; i < r->spec.nsteps; i++)
        if (r->spec.steps[i].kind != SPEC_WEIGHT)
            json_array_append_new(
                list, json_pack("{s:s,s:s,s:s,s:s}", "name", spec_task(&r->spec, i)->name,
                                "kind", spec_kind_name(r->spec.steps[i].kind), "result",
                                step_result(r, i), "detail", i == r->step ? r->checked : ""));
    judge_explain(&r->judge, report);
    for (int c = 0; c < JUDGE_NCLASSES; c++) {
        const struct judge_finding *f = &report->classes[c];
        if (!f->active)
            continue;
        json_array_append_new(
            list,
            json_pack("{s:s,s:s,s:s,s:o}", "name", judge_class_name((enum judge_class)c),
                      "kind", "judge", "result",
                      f->verdict == JUDGE_REGRESSED             ? "failed"
                      : r->weight || rollout_terminal(r->state) ? "passed"
                                                                : "not reached",
                      "detail",
                      line("%s: stable %llu of %llu, canary %llu of %llu, e-value %.3g of %.3g",
                           judge_verdict_name(f->verdict),
                           (unsigned long long)f->tally.stable.bad,
                           (unsigned long long)f->tally.stable.n,
                           (unsigned long long)f->tally.canary.bad,
                           (unsigned long long)f->tally.canary.n, f->evalue, f->limit)));
    }
    xfree(report);
    return list;
}

/* --- the way back --- */

static json_t *rollback(const struct rollout *r)
{
    uint64_t until = r->finished_ms + r->spec.retain_ms, now = clock_wall_ms();
    json_t *doc;

    if (!rollout_terminal(r->state))
        return json_pack("{s:o,s:b,s:s}", "command", line("sluicectl rollout abort %s", r->id),
                         "possible", 1, "effect",
                         "all traffic is back on the version before when it returns");
    if (r->state != ROLLOUT_SUCCEEDED)
        return json_pack(
            "{s:n,s:b,s:o}", "command", "possible", 0, "effect",
            line("nothing to take back: %s has no traffic of this rollout", r->spec.version));
    doc = json_pack("{s:o,s:b,s:o}", "command", line("sluicectl undo %s", r->service),
                    "possible", now <= until, "effect",
                    line("%s has all traffic again when it returns", r->stable));
    json_object_set_new(doc, "until", view_time(until));
    return doc;
}

/* URL with {{version}} and {{service}} filled in. */
static json_t *link_of(const struct rollout *r, const char *url)
{
    static const char *const names[] = {"{{version}}", "{{service}}"};
    const char *values[] = {r->spec.version, r->service}, *p = url;
    json_t *text = json_string("");

    while (*p) {
        const char *next = strstr(p, "{{");
        size_t skip = 0, n = next ? (size_t)(next - p) : strlen(p);
        const char *value = "";

        for (size_t i = 0; next && i < ARRAY_LEN(names); i++)
            if (strncmp(next, names[i], strlen(names[i])) == 0) {
                skip = strlen(names[i]);
                value = values[i];
            }
        if (next && skip == 0)
            n += 2; /* braces of its own */
        json_t *longer = line("%s%.*s%s", json_string_value(text), (int)n, p, value);
        json_decref(text);
        text = longer;
        p += n + skip;
    }
    return text;
}

static json_t *links(const struct engine *e, const struct rollout *r)
{
    json_t *own =
        r->spec.links ? json_loads(spec_text(&r->spec, r->spec.links), 0, NULL) : json_object();
    json_t *list = json_array();
    const char *name;
    json_t *url;

    (void)e;
    json_object_foreach(own, name, url) json_array_append_new(
        list, json_pack("{s:s,s:o}", "name", name, "url", link_of(r, json_string_value(url))));
    json_array_append_new(
        list, json_pack("{s:s,s:o}", "name", "rollout", "url", line("/v1/rollouts/%s", r->id)));
    json_array_append_new(list, json_pack("{s:s,s:s}", "name", "metrics", "url", "/metrics"));
    json_decref(own);
    return list;
}

/* --- why --- */

static const struct choice {
    const char *type, *kind, *alternatives;
} choices[] = {
    {"rollout.started", "strategy", "another strategy or other steps; --dry-run shows them"},
    {"rollout.step", "configuration", "hold at this weight, abort"},
    {"rollout.holding", "risk mitigation", "promote (go on all the same), abort"},
    {"rollout.resumed", "risk mitigation", "stay on hold, abort"},
    {"rollout.approved", "risk mitigation", "abort"},
    {"rollout.verdict", "risk mitigation", "abort at once: judge.mode \"enforce\""},
    {"rollout.aborting", "risk mitigation", "none: a version that failed has no traffic"},
    {"rollout.reverted", "configuration", "none: weight 0 is what was decided"},
    {"rollout.rolled_back", "configuration", "none: weight 0 is what was decided"},
    {"rollout.superseded", "configuration", "none: weight 0 is what was decided"},
    {"rollout.revert_stuck", "risk mitigation", "restart the worker that does not answer"},
    {"rollout.baking", "risk mitigation", "promote (end the bake), abort"},
    {"rollout.finalizing", "infrastructure", "abort"},
    {"rollout.succeeded", "infrastructure", "undo"},
};

static json_t *decision_log(const struct rollout_entry *l)
{
    json_t *list = json_array(), *row;
    size_t i;

    json_array_foreach(l->story, i, row)
    {
        const char *type = json_string_value(json_object_get(row, "type"));
        const struct choice *c = NULL;
        json_t *out = json_deep_copy(row);

        for (size_t k = 0; type && k < ARRAY_LEN(choices); k++)
            if (strcmp(type, choices[k].type) == 0)
                c = &choices[k];
        json_object_set_new(out, "kind", json_string(c ? c->kind : "other"));
        json_object_set_new(out, "alternatives", json_string(c ? c->alternatives : ""));
        json_array_append_new(list, out);
    }
    return list;
}

/* --- what is left --- */

static void add_next(json_t *list, const char *what, const char *guard, const char *owner)
{
    json_array_append_new(
        list, json_pack("{s:s,s:s,s:s}", "do", what, "guard", guard, "owner", owner));
}

static void next_of_open(json_t *next, const struct rollout *r, const char *owner)
{
    char text[96];

    snprintf(text, sizeof(text), "sluicectl rollout %s %s",
             r->state != ROLLOUT_HOLDING                                              ? "watch"
             : r->reason == ROLLOUT_MANUAL                                            ? "resume"
             : r->reason == ROLLOUT_CHECK_FAILED || r->reason == ROLLOUT_HOOK_UNKNOWN ? "retry"
             : r->spec.steps[r->step].kind == SPEC_APPROVE ? "approve"
                                                           : "promote",
             r->id);
    add_next(next, text,
             r->state == ROLLOUT_HOLDING ? "only when the reason of the hold is understood"
                                         : "it goes on by itself",
             owner);
}

static json_t *owners_of(const struct rollout *r)
{
    return r->spec.owners ? json_loads(spec_text(&r->spec, r->spec.owners), 0, NULL)
                          : json_pack("[s]", r->author[0] ? r->author : "unknown");
}

static json_t *next_session(const struct rollout *r)
{
    json_t *completed = json_array(), *outstanding = json_array(), *issues = json_array();
    json_t *next = json_array(), *owners = owners_of(r);
    const char *owner = json_string_value(json_array_get(owners, 0));
    bool done = rollout_terminal(r->state);

    owner = owner ? owner : "unknown";
    if (r->state == ROLLOUT_SUCCEEDED)
        json_array_append_new(completed,
                              line("%s: %s has 100 %%", r->service, r->spec.version));
    else if (done)
        json_array_append_new(completed, line("%s: back on %s", r->service, r->stable));
    for (uint32_t i = r->step + 1; !done && i < r->spec.nsteps; i++)
        json_array_append_new(
            outstanding, line("step %u: %s", i + 1, spec_kind_name(r->spec.steps[i].kind)));
    if (r->result.reason[0])
        json_array_append_new(issues, json_string(r->result.reason));
    if (r->state == ROLLOUT_HOLDING)
        json_array_append_new(issues, line("it holds: %s", rollout_reason_name(r->reason)));
    if (!done)
        next_of_open(next, r, owner);
    else if (r->state == ROLLOUT_SUCCEEDED)
        add_next(next, "stop the endpoints of the version before",
                 "not before undo is out of the question", owner);
    else
        add_next(next, "find the cause, then deploy a new version",
                 "the same steps, smoke checks for what went wrong", owner);
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "completed", completed, "outstanding",
                     outstanding, "issues", issues, "next_steps", next, "owners", owners);
}

json_t *report_json(const struct engine *e, const struct rollout_entry *l)
{
    const struct rollout *r = &l->r;

    return json_pack("{s:o,s:O,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "rollout",
                     view_rollout(e, l), "decisions", l->decisions, "spec",
                     spec_write(&r->spec), "deployment_method", method(r),
                     "infrastructure_changes", infrastructure(e, r), "configuration_updates",
                     configuration(e, r), "validation_results", validation(r),
                     "rollback_instructions", rollback(r), "monitoring_links", links(e, r),
                     "decision_log", decision_log(l), "next_session", next_session(r));
}
