/* view_rollout.c - a rollout as the API shows it: the state, the judge's numbers, the result.
 */
#include "config/conf.h"
#include "control/api/view.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/engine/evidence.h"
#include "control/engine/sampler.h"
#include "proxy/base/mem.h"

static json_t *ms_or_null(bool known, double ms)
{
    return known ? json_real(evidence_finite(ms)) : json_null();
}

/* --- steps --- */

static const char *step_state(const struct rollout *r, uint32_t i)
{
    if (r->step_ended_ms[i])
        return "done";
    return r->step_started_ms[i] ? "current" : "pending";
}

static json_t *view_hold(const struct spec_step *s)
{
    char min[SPEC_DURATION_TEXT], max[SPEC_DURATION_TEXT];

    if (s->kind != SPEC_WEIGHT || s->weight == 10000)
        return json_null();
    return json_pack("{s:s,s:o,s:s}", "min", spec_duration_text(min, s->min_ms), "max",
                     s->max_ms ? json_string(spec_duration_text(max, s->max_ms)) : json_null(),
                     "until", spec_until_name(s->until));
}

/* What is going on in a step that is no weight. */
static void view_task(json_t *out, const struct rollout *r, uint32_t i)
{
    const struct spec_task *task = spec_task(&r->spec, i);
    const char *check = rollout_check_name(r->check);
    json_t *approvals = json_array();

    json_object_set_new(out, "name", json_string(task->name));
    if (r->spec.steps[i].kind == SPEC_APPROVE)
        json_object_set_new(out, "need", json_integer(task->need));
    if (i == r->step && r->spec.steps[i].kind == SPEC_APPROVE) {
        for (uint32_t k = 0; k < r->napprovals; k++)
            json_array_append_new(approvals, json_string(r->approvals[k]));
        json_object_set(out, "approvals", approvals);
    } else if (i == r->step && check) {
        json_object_set_new(out, "check", json_string(check));
        json_object_set_new(out, "seen", view_text(r->checked));
    }
    json_decref(approvals);
}

static json_t *view_steps(const struct rollout *r)
{
    json_t *steps = json_array();

    for (uint32_t i = 0; i < r->spec.nsteps; i++) {
        const struct spec_step *s = &r->spec.steps[i];
        json_t *out = json_pack("{s:s,s:f,s:o,s:s,s:o,s:o}", "kind", spec_kind_name(s->kind),
                                "weight", s->weight / 100.0, "hold", view_hold(s), "state",
                                step_state(r, i), "started", view_time(r->step_started_ms[i]),
                                "ended", view_time(r->step_ended_ms[i]));
        if (s->kind != SPEC_WEIGHT)
            view_task(out, r, i);
        json_array_append_new(steps, out);
    }
    return steps;
}

/* --- the judge --- */

static json_t *view_count(const struct judge_count *c)
{
    return json_pack("{s:I,s:I}", "n", (json_int_t)c->n, "bad", (json_int_t)c->bad);
}

static const char *class_reason(const struct judge_finding *f)
{
    if (f->verdict == JUDGE_REGRESSED)
        return "worse than stable beyond doubt";
    if (f->verdict == JUDGE_CERTIFIED)
        return "good enough to go on";
    return f->tally.canary.n == 0 ? "no requests yet" : "not enough evidence either way";
}

static json_t *view_class(const struct judge_finding *f, enum judge_class c)
{
    json_t *out =
        json_pack("{s:s,s:s,s:f,s:f,s:f,s:o,s:o,s:s}", "class", judge_class_name(c), "verdict",
                  judge_verdict_name(f->verdict), "evalue", evidence_finite(f->evalue), "limit",
                  f->limit, "excess", f->excess, "stable", view_count(&f->tally.stable),
                  "canary", view_count(&f->tally.canary), "reason", class_reason(f));

    if (f->threshold_us)
        json_object_set_new(out, "threshold_ms", json_real((double)f->threshold_us / 1000));
    return out;
}

/* Of this step's decisions, in per cent. */
static json_t *view_split(const struct judge_report *r)
{
    return json_pack("{s:f,s:f,s:f,s:f}", "share", 100 * r->share, "asked",
                     100 * r->share_asked, "evalue", evidence_finite(r->split), "limit",
                     r->split_limit);
}

static json_t *view_judge(const struct rollout *r)
{
    struct judge_report *report = xcalloc(1, sizeof(*report));
    json_t *classes = json_array();

    judge_explain(&r->judge, report);
    for (int c = 0; c < JUDGE_NCLASSES; c++)
        if (report->classes[c].active)
            json_array_append_new(classes,
                                  view_class(&report->classes[c], (enum judge_class)c));
    json_t *out = json_pack(
        "{s:s,s:s,s:s,s:f,s:f,s:s,s:o,s:o}", "verdict", judge_verdict_name(r->verdict), "mode",
        spec_mode_name(r->spec.mode), "unit", spec_unit_name(r->spec.judge.clients),
        "certificate", evidence_finite(report->certificate), "certificate_limit",
        report->certificate_limit, "reason", report->reason, "split", view_split(report),
        "classes", classes);
    xfree(report);
    return out;
}

/* --- the result --- */

static json_t *view_result(const struct rollout_entry *l)
{
    const struct rollout_result *res = &l->r.result;
    const struct rollout *r = &l->r;
    bool judged = res->by_judge, reverted = l->reverted_us && l->verdict_us;

    if (res->outcome == ROLLOUT_OPEN)
        return json_null();
    return json_pack(
        "{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:o,s:o,s:o,s:o}", "verdict",
        rollout_outcome_name(res->outcome), "class",
        judged ? json_string(judge_class_name(res->class)) : json_null(), "evalue",
        ms_or_null(judged, res->evalue), "limit", ms_or_null(judged, res->limit), "excess",
        ms_or_null(judged, res->excess), "reason", view_text(res->reason), "detected_ms",
        judged && r->first_request_ms
            ? json_integer((json_int_t)(res->verdict_at_ms - r->first_request_ms))
            : json_null(),
        "exposed_requests", (json_int_t)l->exposed, "bad_requests", (json_int_t)l->bad,
        "verdict_at", view_time(res->verdict_at_ms), "reverted_at",
        view_time(res->reverted_at_ms), "revert_ms",
        ms_or_null(reverted, (double)((int64_t)l->reverted_us - (int64_t)l->verdict_us) / 1000),
        "last_request_ms",
        reverted && l->exposed ? json_integer(res->last_request_ms) : json_null());
}

/* --- the whole --- */

static json_t *actual_weight(const struct engine *e, const struct rollout *r)
{
    const struct conf_service *s = desired_service(e->desired, r->service);
    json_t *weights = s ? view_weights(e, s) : NULL;
    json_t *actual = json_object_get(json_object_get(weights, r->spec.version), "actual");
    json_t *out = actual ? json_incref(actual) : json_null();

    json_decref(weights);
    return out;
}

static json_t *view_reason(const struct rollout *r)
{
    const char *reason = rollout_reason_name(r->reason);

    if (r->state == ROLLOUT_HOLDING && reason)
        return json_string(reason);
    return rollout_terminal(r->state) ? view_text(r->result.reason) : json_null();
}

json_t *view_rollout(const struct engine *e, const struct rollout_entry *l)
{
    const struct rollout *r = &l->r;

    return json_pack(
        "{s:s,s:I,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:i,s:o,s:{s:f,s:o},s:o,s:I,s:I,s:s,s:o,s:o,s:o,"
        "s:o}",
        "id", r->id, "index", (json_int_t)r->index, "service", r->service, "version",
        r->spec.version, "stable", r->stable, "strategy", spec_strategy_name(r->spec.strategy),
        "state", rollout_state_name(r->state), "phase",
        view_text(rollout_phase_name(rollout_phase(r))), "reason", view_reason(r), "step",
        (int)r->step + 1, "steps", view_steps(r), "weight", "set", r->weight / 100.0, "actual",
        actual_weight(e, r), "judge", view_judge(r), "exposed_requests", (json_int_t)l->exposed,
        "bad_requests", (json_int_t)l->bad, "author", r->author, "created",
        view_time(r->created_ms), "updated", view_time(r->updated_ms), "finished",
        view_time(r->finished_ms), "result", view_result(l));
}
