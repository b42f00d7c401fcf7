/* evidence.c - differences of counters, and a rollout's entry as a document. */
#include "control/engine/evidence.h"
#include "control/engine/sampler.h"
#include "control/rollout/machine_json.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"

#include <math.h>

/* What TOTAL grew by since *CURSOR, which moves. A counter that went back started again. */
static uint64_t advance(uint64_t *cursor, uint64_t total)
{
    uint64_t was = *cursor;

    *cursor = total;
    return total >= was ? total - was : total;
}

/* A split with a key deals out clients, not requests. */
static uint64_t take_arm(const struct rollout_entry *l, struct rollout_cursor *c,
                         const struct sampler_totals *t, struct judge_arm *arm)
{
    uint64_t clients = advance(&c->clients, t->judged_clients);

    arm->errors = advance(&c->errors, t->errors);
    arm->n = advance(&c->judged, t->judged);
    for (int i = 0; i < HIST_BUCKETS; i++)
        arm->hist[i] = advance(&c->hist[i], t->judged_time[i]);
    arm->events = advance(&c->events, t->judged_events);
    arm->assigned = advance(&c->routed, t->routed);
    if (l->keyed)
        arm->assigned = l->r.spec.judge.clients == JUDGE_REQUEST ? 0 : clients;
    return advance(&c->taken, t->routed + t->overridden);
}

void evidence_take(struct rollout_entry *l, const struct stats *stats, uint32_t stable_cell,
                   uint32_t canary_cell, struct judge_window *w)
{
    struct sampler_totals t;

    sampler_totals(stats, stable_cell, &t);
    take_arm(l, &l->stable, &t, &w->stable);
    sampler_totals(stats, canary_cell, &t);
    l->exposed += take_arm(l, &l->canary, &t, &w->canary);
    l->bad += w->canary.errors;
}

void evidence_begin(struct rollout_entry *l, const struct stats *stats, uint32_t stable_cell,
                    uint32_t canary_cell)
{
    struct judge_window *before = xcalloc(1, sizeof(*before));

    evidence_take(l, stats, stable_cell, canary_cell, before);
    l->exposed = l->bad = 0;
    xfree(before);
}

uint64_t evidence_last_request_us(const struct stats *stats, uint32_t cell)
{
    struct sampler_totals t;

    sampler_totals(stats, cell, &t);
    return t.last_routed_us;
}

/* --- decisions --- */

double evidence_finite(double x)
{
    return isnan(x) ? 0 : x > 1e300 ? 1e300 : x < -1e300 ? -1e300 : x;
}

static json_t *decision_class(const struct judge_finding *f)
{
    return json_pack(
        "{s:s,s:f,s:f,s:f,s:{s:I,s:I},s:{s:I,s:I}}", "verdict", judge_verdict_name(f->verdict),
        "evalue", evidence_finite(f->evalue), "limit", f->limit, "excess", f->excess, "stable",
        "n", (json_int_t)f->tally.stable.n, "bad", (json_int_t)f->tally.stable.bad, "canary",
        "n", (json_int_t)f->tally.canary.n, "bad", (json_int_t)f->tally.canary.bad);
}

void evidence_keep(struct rollout_entry *l, const struct judge_report *report, uint64_t wall_ms)
{
    const struct judge_finding *f = &report->classes[report->class];
    double since_s = (double)(wall_ms - l->r.created_ms) / 1000;
    char stamp[CLOCK_STAMP];
    json_t *classes = json_object();

    for (int c = 0; c < JUDGE_NCLASSES; c++)
        if (report->classes[c].active)
            json_object_set_new(classes, judge_class_name((enum judge_class)c),
                                decision_class(&report->classes[c]));
    json_array_append_new(
        l->decisions,
        json_pack("{s:s,s:f,s:s,s:s,s:f,s:f,s:f,s:s,s:i,s:f,s:f,s:f,s:o}", "ts",
                  clock_stamp(stamp, wall_ms), "t", since_s, "verdict",
                  judge_verdict_name(report->verdict), "class", judge_class_name(report->class),
                  "evalue", evidence_finite(f->evalue), "limit", f->limit, "excess", f->excess,
                  "reason", report->reason, "step", (int)l->r.step + 1, "weight",
                  l->r.weight / 100.0, "certificate", evidence_finite(report->certificate),
                  "certificate_limit", report->certificate_limit, "classes", classes));
    if (json_array_size(l->decisions) > ROLLOUTS_DECISIONS)
        json_array_remove(l->decisions, 0);
}

bool evidence_tell(struct rollout_entry *l, const struct rollout *r,
                   const struct rollout_effects *fx, const char *actor, uint64_t wall_ms)
{
    struct judge_report *report;
    char stamp[CLOCK_STAMP];
    json_t *row;

    if (!fx->type || json_array_size(l->story) >= ROLLOUTS_STORY)
        return false;
    row = json_pack("{s:s,s:s,s:s,s:s,s:i,s:f}", "ts", clock_stamp(stamp, wall_ms), "type",
                    fx->type, "message", fx->message, "by", actor ? actor : "sluice", "step",
                    (int)r->step + 1, "weight", r->weight / 100.0);
    if (l->r.weight > 0) { /* what was known when it was decided */
        report = xcalloc(1, sizeof(*report));
        judge_explain(&l->r.judge, report);
        json_object_set_new(row, "evidence", json_string(report->reason));
        xfree(report);
    }
    json_array_append_new(l->story, row);
    return true;
}

void evidence_untell(struct rollout_entry *l)
{
    json_array_remove(l->story, json_array_size(l->story) - 1);
}

/* --- the stored form --- */

static json_t *cursor_write(const struct rollout_cursor *c)
{
    json_t *hist = json_array();

    for (int i = 0; i < HIST_BUCKETS; i++)
        json_array_append_new(hist, json_integer((json_int_t)c->hist[i]));
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "judged", (json_int_t)c->judged, "errors",
                     (json_int_t)c->errors, "events", (json_int_t)c->events, "clients",
                     (json_int_t)c->clients, "routed", (json_int_t)c->routed, "taken",
                     (json_int_t)c->taken, "hist", hist);
}

static uint64_t number(const json_t *obj, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(obj, name));

    return n > 0 ? (uint64_t)n : 0;
}

static void cursor_read(struct rollout_cursor *c, const json_t *doc)
{
    const json_t *hist = json_object_get(doc, "hist");

    c->judged = number(doc, "judged");
    c->errors = number(doc, "errors");
    c->events = number(doc, "events");
    c->clients = number(doc, "clients");
    c->routed = number(doc, "routed");
    c->taken = number(doc, "taken");
    for (size_t i = 0; i < HIST_BUCKETS && i < json_array_size(hist); i++)
        c->hist[i] = (uint64_t)json_integer_value(json_array_get(hist, i));
}

json_t *evidence_save(const struct rollout_entry *l)
{
    return json_pack("{s:o,s:I,s:b,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:O,s:O}", "machine",
                     rollout_write(&l->r), "boot", (json_int_t)l->boot, "keyed", l->keyed,
                     "stable", cursor_write(&l->stable), "canary", cursor_write(&l->canary),
                     "exposed", (json_int_t)l->exposed, "bad", (json_int_t)l->bad, "verdict_us",
                     (json_int_t)l->verdict_us, "reverted_us", (json_int_t)l->reverted_us,
                     "reverted_ms", (json_int_t)l->reverted_ms, "decisions", l->decisions,
                     "story", l->story);
}

int evidence_load(struct rollout_entry *l, const json_t *doc, uint64_t boot,
                  struct spec_error *err)
{
    const json_t *decisions = json_object_get(doc, "decisions");
    const json_t *story = json_object_get(doc, "story");

    if (rollout_read(json_object_get(doc, "machine"), &l->r, err) != 0)
        return -1;
    l->boot = boot;
    l->keyed = json_is_true(json_object_get(doc, "keyed"));
    if (number(doc, "boot") == boot) {
        cursor_read(&l->stable, json_object_get(doc, "stable"));
        cursor_read(&l->canary, json_object_get(doc, "canary"));
    }
    l->exposed = number(doc, "exposed");
    l->bad = number(doc, "bad");
    l->verdict_us = number(doc, "verdict_us");
    l->reverted_us = number(doc, "reverted_us");
    l->reverted_ms = number(doc, "reverted_ms");
    l->decisions = json_is_array(decisions) ? json_deep_copy(decisions) : json_array();
    l->story = json_is_array(story) ? json_deep_copy(story) : json_array();
    return 0;
}
