/*
 * test_rollout.c - the life of a rollout: stories, every command in every state, and random
 * lives that must keep the invariants and must not notice a restart.
 */
#include "control/rollout/machine.h"
#include "control/rollout/machine_json.h"
#include "control/rollout/moves.h"
#include "proxy/base/rng.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct life { /* a rollout with a clock and a world around it */
    struct rollout r;
    struct rollout_effects fx;
    uint64_t now_ms, generation;
};

static struct spec spec_of(const char *text)
{
    struct spec_error err;
    struct spec s;
    json_t *doc = json_loads(text, 0, NULL);

    ck_assert_ptr_nonnull(doc);
    ck_assert_msg(spec_read(doc, &s, &err) == 0, "%s %s", err.pointer, err.message);
    json_decref(doc);
    return s;
}

#define EVIDENCE                                                                               \
    "{\"version\":\"v2\",\"warmup\":\"0s\",\"steps\":[{\"weight\":5,\"hold\":{\"min\":\"5s\"," \
    "\"max\":\"20s\"}},{\"weight\":50,\"hold\":{\"min\":\"5s\",\"max\":\"20s\"}},"             \
    "{\"weight\":100}],\"bake\":{\"for\":\"4s\"}"
#define PLAIN EVIDENCE "}"
#define TASKS                                                                                  \
    "{\"version\":\"v2\",\"warmup\":\"0s\",\"gates\":[{\"http\":{\"name\":\"ci\",\"url\":"     \
    "\"http://ci/\",\"method\":\"GET\"}}],\"smoke\":[{\"name\":\"home\",\"request\":\"GET "    \
    "/\"}],"                                                                                   \
    "\"steps\":[{\"weight\":5,\"hold\":\"2s\"},{\"http\":{\"name\":\"once\",\"url\":\"http://" \
    "h/\"}},"                                                                                  \
    "{\"weight\":100},{\"http\":{\"name\":\"done\",\"url\":\"http://h/"                        \
    "\",\"idempotent\":true}}]}"
#define APPROVALS                                                                              \
    "{\"version\":\"v2\",\"warmup\":\"0s\",\"steps\":[{\"weight\":5,\"hold\":\"1s\"},{"        \
    "\"approve\":{"                                                                            \
    "\"name\":\"go\",\"need\":2,\"of\":[\"ann\",\"bob\",\"cid\"],\"not_author\":true,"         \
    "\"expires\":\"1h\"}},{\"weight\":100}]}"
#define WARMING                                                                                \
    "{\"version\":\"v2\",\"warmup\":\"3s\",\"steps\":[{\"weight\":5,\"hold\":\"5s\"},"         \
    "{\"weight\":100}]}"

static struct life life_new(const char *spec_text)
{
    struct spec s = spec_of(spec_text);
    struct life l = {.now_ms = 1000000, .generation = 1};

    rollout_init(&l.r, "r-1", "shop", "v1", "ann", &s, l.now_ms);
    return l;
}

static int life_send(struct life *l, struct rollout_event ev)
{
    ev.wall_ms = ev.mono_ms = l->now_ms;
    return rollout_apply(&l->r, &ev, &l->fx);
}

static void life_do(struct life *l, enum rollout_event_type type)
{
    ck_assert_msg(life_send(l, (struct rollout_event){.type = type, .actor = "ann"}) == 0, "%s",
                  l->fx.message);
}

static void life_applied(struct life *l)
{
    life_send(l, (struct rollout_event){.type = ROLLOUT_APPLIED,
                                        .weight = l->r.weight,
                                        .generation = ++l->generation});
}

static void life_ready(struct life *l, bool up)
{
    life_send(l, (struct rollout_event){.type = ROLLOUT_ENDPOINTS, .ready = up});
}

/* SECONDS pass with a tick each. */
static void life_tick(struct life *l, int seconds)
{
    while (seconds-- > 0) {
        l->now_ms += 1000;
        life_do(l, ROLLOUT_TICK);
    }
}

static void life_verdict(struct life *l, enum judge_verdict v, uint64_t n)
{
    struct judge_report report = {.verdict = v, .class = JUDGE_ERROR, .step_n = n};

    report.classes[JUDGE_ERROR] =
        (struct judge_finding){.verdict = v, .evalue = 250, .limit = 200, .excess = 0.03};
    snprintf(report.reason, sizeof(report.reason), "errors");
    life_send(l, (struct rollout_event){.type = ROLLOUT_VERDICT, .report = &report});
}

static struct life life_at_first_step(const char *spec_text)
{
    struct life l = life_new(spec_text);

    life_do(&l, ROLLOUT_START);
    life_ready(&l, true);
    life_applied(&l);
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
    return l;
}

static struct life life_promoting(const char *spec_text)
{
    struct life l = life_at_first_step(spec_text);

    life_do(&l, ROLLOUT_PROMOTE);
    life_applied(&l);
    life_do(&l, ROLLOUT_PROMOTE);
    ck_assert_int_eq(l.r.state, ROLLOUT_PROMOTING);
    return l;
}

/* The split is not what was asked for: it waits, and goes on by itself when it is. */
START_TEST(imbalance_holds)
{
    struct life l = life_at_first_step(PLAIN);
    struct judge_report report = {.step_n = 500, .imbalance = true, .reason = "imbalance"};
    struct rollout_event ev = {.type = ROLLOUT_VERDICT, .report = &report};

    life_send(&l, ev);
    ck_assert_int_eq(l.r.state, ROLLOUT_HOLDING);
    ck_assert_str_eq(rollout_reason_name(l.r.reason), "srm");
    life_tick(&l, 300);
    ck_assert_int_eq(l.r.state, ROLLOUT_HOLDING);
    ck_assert_uint_eq(l.r.weight, 500);
    report.imbalance = false;
    life_send(&l, ev);
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
    report.imbalance = true;
    life_send(&l, ev);
    life_do(&l, ROLLOUT_PROMOTE); /* somebody knows better */
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
    ck_assert_uint_gt(l.r.weight, 500);
}
END_TEST

START_TEST(good_version_goes_all_the_way)
{
    struct life l = life_new(PLAIN);

    life_do(&l, ROLLOUT_START);
    ck_assert_str_eq(l.fx.type, "rollout.started");
    life_tick(&l, 5);
    ck_assert_int_eq(l.r.state, ROLLOUT_WARMING);
    ck_assert_uint_eq(l.r.weight, 0);
    life_ready(&l, true);
    ck_assert(l.fx.set_weight);
    ck_assert_uint_eq(l.fx.weight, 500);
    ck_assert_str_eq(l.fx.type, "rollout.step");
    ck_assert_int_eq(rollout_phase(&l.r), ROLLOUT_SHIFTING);
    life_verdict(&l, JUDGE_CERTIFIED, 500);
    life_tick(&l, 6);
    ck_assert_uint_eq(l.r.weight, 500); /* not applied: does not count as observed */
    life_applied(&l);
    ck_assert_int_eq(rollout_phase(&l.r), ROLLOUT_OBSERVING);
    life_tick(&l, 4);
    ck_assert_uint_eq(l.r.weight, 500);
    life_tick(&l, 1);
    ck_assert_uint_eq(l.fx.weight, 5000);
    life_applied(&l);
    life_tick(&l, 10);
    ck_assert_uint_eq(l.r.weight, 5000); /* the last step's certificate is worth nothing */
    ck_assert_int_eq(rollout_phase(&l.r), ROLLOUT_GATE);
    life_verdict(&l, JUDGE_CERTIFIED, 100);
    ck_assert_int_eq(l.r.state, ROLLOUT_PROMOTING);
    ck_assert_uint_eq(l.fx.weight, 10000);
    life_applied(&l);
    ck_assert_int_eq(l.r.state, ROLLOUT_BAKING);
    life_tick(&l, 4);
    ck_assert_int_eq(l.r.state, ROLLOUT_FINALIZING);
    ck_assert(l.fx.settle);
    life_tick(&l, 1);
    ck_assert_int_eq(l.r.state, ROLLOUT_SUCCEEDED);
    ck_assert(l.fx.finish);
    ck_assert_str_eq(rollout_outcome_name(l.r.result.outcome), "succeeded");
    ck_assert_uint_eq(l.r.weight, 10000);
}
END_TEST

START_TEST(bad_version_comes_back)
{
    struct life l = life_at_first_step(PLAIN);

    life_verdict(&l, JUDGE_REGRESSED, 40);
    ck_assert_int_eq(l.r.state, ROLLOUT_ABORTING);
    ck_assert(l.fx.set_weight);
    ck_assert_uint_eq(l.fx.weight, 0);
    ck_assert(!l.fx.finish);
    l.now_ms += 40;
    life_applied(&l);
    ck_assert_int_eq(l.r.state, ROLLOUT_REVERTED);
    ck_assert(l.fx.drain && l.fx.finish);
    ck_assert_str_eq(l.fx.type, "rollout.reverted");
    ck_assert(l.r.result.by_judge);
    ck_assert_uint_eq(l.r.result.reverted_at_ms - l.r.result.verdict_at_ms, 40);
    ck_assert_str_eq(rollout_outcome_name(l.r.result.outcome), "regressed");
}
END_TEST

START_TEST(regression_while_paused_or_baking_comes_back_too)
{
    struct life l = life_at_first_step(PLAIN);

    life_do(&l, ROLLOUT_PAUSE);
    life_verdict(&l, JUDGE_REGRESSED, 40);
    ck_assert_int_eq(l.r.state, ROLLOUT_ABORTING);
    l = life_promoting(PLAIN);
    life_applied(&l);
    ck_assert_int_eq(l.r.state, ROLLOUT_BAKING);
    life_verdict(&l, JUDGE_REGRESSED, 40);
    ck_assert_int_eq(l.r.state, ROLLOUT_ABORTING);
}
END_TEST

START_TEST(observing_mode_only_warns)
{
    struct life l = life_at_first_step(EVIDENCE ",\"judge\":{\"mode\":\"observe\"}}");

    life_verdict(&l, JUDGE_REGRESSED, 40);
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
    ck_assert_str_eq(l.fx.type, "rollout.verdict");
    life_verdict(&l, JUDGE_REGRESSED, 50);
    ck_assert_ptr_null(l.fx.type);
    life_tick(&l, 5);
    ck_assert_uint_eq(l.r.weight, 5000); /* the minimum is all that counts */
}
END_TEST

START_TEST(no_data_neither_aborts_nor_advances)
{
    static const char *const specs[] = {
        PLAIN,
        EVIDENCE ",\"judge\":{\"on_undecided\":\"advance\"}}",
        EVIDENCE ",\"judge\":{\"on_undecided\":\"abort\"}}",
        EVIDENCE ",\"judge\":{\"mode\":\"observe\"}}",
        "{\"version\":\"v2\",\"steps\":[{\"weight\":5,\"hold\":\"5s\"},{\"weight\":100}]}",
    };
    struct life l = life_at_first_step(specs[_i]);

    for (int t = 0; t < 500; t++) {
        life_verdict(&l, JUDGE_UNDECIDED, 0);
        life_tick(&l, 1);
        ck_assert_uint_eq(l.r.weight, 500);
    }
    ck_assert_int_eq(l.r.state, ROLLOUT_HOLDING);
    ck_assert_int_eq(l.r.reason, ROLLOUT_NO_DATA);
    life_verdict(&l, JUDGE_UNDECIDED, 1);
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
    ck_assert_str_eq(l.fx.type, "rollout.resumed");
}
END_TEST

START_TEST(undecided_does_what_was_asked)
{
    struct life l = life_at_first_step(PLAIN);

    life_verdict(&l, JUDGE_UNDECIDED, 10);
    life_tick(&l, 19);
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
    life_tick(&l, 1);
    ck_assert_int_eq(l.r.reason, ROLLOUT_UNDECIDED);
    life_verdict(&l, JUDGE_CERTIFIED, 200);
    ck_assert_uint_eq(l.r.weight, 5000);

    l = life_at_first_step(EVIDENCE ",\"judge\":{\"on_undecided\":\"advance\"}}");
    life_verdict(&l, JUDGE_UNDECIDED, 10);
    life_tick(&l, 20);
    ck_assert_uint_eq(l.r.weight, 5000);

    l = life_at_first_step(EVIDENCE ",\"judge\":{\"on_undecided\":\"abort\"}}");
    life_verdict(&l, JUDGE_UNDECIDED, 10);
    life_tick(&l, 20);
    ck_assert_int_eq(l.r.state, ROLLOUT_ABORTING);
    ck_assert_int_eq(l.r.result.outcome, ROLLOUT_DID_ABORT);
}
END_TEST

START_TEST(approval_waits_for_somebody)
{
    struct life l = life_at_first_step(
        "{\"version\":\"v2\",\"warmup\":\"0s\",\"steps\":[{\"weight\":5,\"hold\":{\"min\":"
        "\"2s\",\"until\":\"approval\"}},{\"weight\":100}]}");

    life_verdict(&l, JUDGE_CERTIFIED, 5000);
    life_tick(&l, 2);
    ck_assert_int_eq(l.r.reason, ROLLOUT_APPROVAL);
    life_tick(&l, 1000);
    ck_assert_int_eq(l.r.reason, ROLLOUT_APPROVAL);
    life_do(&l, ROLLOUT_PROMOTE);
    ck_assert_int_eq(l.r.state, ROLLOUT_PROMOTING);
}
END_TEST

START_TEST(a_hold_begins_after_the_warm_up)
{
    static const char *const until[] = {"evidence", "time"};
    char spec[256];

    snprintf(spec, sizeof(spec),
             "{\"version\":\"v2\",\"warmup\":\"10s\",\"steps\":[{\"weight\":5,\"hold\":"
             "{\"min\":\"2s\",\"until\":\"%s\"}},{\"weight\":100}]}",
             until[_i]);
    struct life l = life_at_first_step(spec);

    life_verdict(&l, JUDGE_CERTIFIED, 500);
    life_tick(&l, 9);
    ck_assert(!rollout_warm(&l.r));
    life_tick(&l, 1);
    ck_assert(rollout_warm(&l.r));
    ck_assert_uint_eq(l.r.weight, 500);
    life_tick(&l, 2);
    ck_assert_uint_eq(l.r.weight, 10000);
}
END_TEST

START_TEST(paused_time_does_not_count)
{
    struct life l = life_at_first_step(PLAIN);

    life_verdict(&l, JUDGE_CERTIFIED, 500);
    life_tick(&l, 3);
    life_do(&l, ROLLOUT_PAUSE);
    ck_assert_int_eq(l.r.reason, ROLLOUT_MANUAL);
    life_tick(&l, 100);
    ck_assert_uint_eq(l.r.weight, 500);
    life_do(&l, ROLLOUT_RESUME);
    life_tick(&l, 1);
    ck_assert_uint_eq(l.r.weight, 500);
    life_tick(&l, 1);
    ck_assert_uint_eq(l.r.weight, 5000);
}
END_TEST

START_TEST(promote_while_shifting_waits_for_the_workers)
{
    struct life l = life_new(PLAIN);

    life_do(&l, ROLLOUT_START);
    life_ready(&l, true);
    life_do(&l, ROLLOUT_PROMOTE);
    ck_assert_uint_eq(l.r.weight, 500);
    life_tick(&l, 1);
    ck_assert_uint_eq(l.r.weight, 500);
    life_applied(&l);
    ck_assert_uint_eq(l.r.weight, 5000);
    ck_assert(!l.r.skip);
}
END_TEST

START_TEST(stale_worker_holds)
{
    struct life l = life_new(PLAIN);

    life_do(&l, ROLLOUT_START);
    life_ready(&l, true);
    life_send(&l, (struct rollout_event){.type = ROLLOUT_APPLY_FAILED, .weight = 500});
    life_tick(&l, 1);
    ck_assert(l.fx.set_weight); /* asked again */
    life_tick(&l, 9);
    ck_assert_int_eq(l.r.reason, ROLLOUT_STALE_WORKER);
    ck_assert_int_eq(
        life_send(&l, (struct rollout_event){.type = ROLLOUT_PROMOTE, .actor = "ann"}), -1);
    life_send(&l,
              (struct rollout_event){.type = ROLLOUT_APPLIED, .weight = 0, .generation = 99});
    ck_assert_int_eq(l.r.state, ROLLOUT_HOLDING); /* of an older weight */
    life_applied(&l);
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
}
END_TEST

START_TEST(revert_that_is_not_confirmed_says_so)
{
    struct life l = life_at_first_step(PLAIN);

    life_do(&l, ROLLOUT_ABORT);
    life_do(&l, ROLLOUT_ABORT); /* once more is no error */
    ck_assert_ptr_null(l.fx.type);
    life_tick(&l, 29);
    ck_assert_int_eq(l.r.state, ROLLOUT_ABORTING);
    life_tick(&l, 1);
    ck_assert_int_eq(l.r.state, ROLLOUT_REVERT_STUCK);
    ck_assert(!rollout_terminal(l.r.state));
    life_do(&l, ROLLOUT_ABORT);
    ck_assert(l.fx.set_weight && l.fx.weight == 0);
    life_applied(&l);
    ck_assert_int_eq(l.r.state, ROLLOUT_REVERTED);
    ck_assert_str_eq(rollout_outcome_name(l.r.result.outcome), "aborted");
}
END_TEST

START_TEST(dead_version_is_taken_out)
{
    struct life l = life_at_first_step(WARMING);

    life_ready(&l, false);
    ck_assert_int_eq(l.r.reason, ROLLOUT_NO_ENDPOINT);
    life_tick(&l, 5);
    life_ready(&l, true);
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
    ck_assert(!rollout_warm(&l.r));
    life_ready(&l, false);
    life_tick(&l, 10);
    ck_assert_int_eq(l.r.state, ROLLOUT_ABORTING);
    life_applied(&l);
    ck_assert_int_eq(l.r.state, ROLLOUT_REVERTED);
    ck_assert_str_eq(rollout_outcome_name(l.r.result.outcome), "failed");

    l = life_new(PLAIN);
    life_do(&l, ROLLOUT_START);
    life_tick(&l, 300);
    ck_assert_int_eq(l.r.state, ROLLOUT_ABORTING);
    ck_assert_ptr_nonnull(strstr(l.r.result.reason, "came up"));
    ck_assert_str_eq(rollout_outcome_name(l.r.result.outcome), "failed");
}
END_TEST

START_TEST(undo_while_retained)
{
    struct life l = life_promoting("{\"version\":\"v2\",\"preset\":\"fast\","
                                   "\"retain\":{\"for\":\"60s\"}}");
    struct life late;

    life_applied(&l);
    life_tick(&l, 1);
    ck_assert_int_eq(l.r.state, ROLLOUT_SUCCEEDED);
    late = l;
    l.now_ms += 60000;
    life_do(&l, ROLLOUT_UNDO);
    ck_assert(l.fx.set_weight && l.fx.weight == 0);
    life_applied(&l);
    ck_assert_int_eq(l.r.state, ROLLOUT_ROLLED_BACK);
    late.now_ms += 60001;
    ck_assert_int_eq(life_send(&late, (struct rollout_event){.type = ROLLOUT_UNDO}), -1);
    ck_assert_ptr_nonnull(strstr(late.fx.message, "retained"));
}
END_TEST

START_TEST(superseded_is_its_own_end)
{
    struct life l = life_at_first_step(PLAIN);

    life_do(&l, ROLLOUT_SUPERSEDE);
    ck_assert_uint_eq(l.fx.weight, 0);
    life_applied(&l);
    ck_assert_int_eq(l.r.state, ROLLOUT_SUPERSEDED);
}
END_TEST

START_TEST(who_waits_owns_nothing)
{
    static const struct {
        enum rollout_event_type command;
        enum rollout_state state;
        const char *type;
    } rows[] = {{ROLLOUT_ABORT, ROLLOUT_REVERTED, "rollout.reverted"},
                {ROLLOUT_SUPERSEDE, ROLLOUT_SUPERSEDED, "rollout.superseded"}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct life l = life_new(PLAIN);

        life_do(&l, rows[i].command);
        ck_assert_int_eq(l.r.state, rows[i].state);
        ck_assert_str_eq(l.fx.type, rows[i].type);
        ck_assert(!l.fx.set_weight && !l.fx.drain && !l.fx.settle && l.fx.finish);
        ck_assert_uint_gt(l.r.finished_ms, 0);
        life_tick(&l, 60); /* and that is all */
        ck_assert_int_eq(l.r.state, rows[i].state);
    }
}
END_TEST

START_TEST(restart_asks_for_the_weight_again)
{
    struct life l = life_at_first_step(PLAIN);

    life_tick(&l, 3);
    l.now_ms = 17; /* another boot, another monotonic clock */
    life_do(&l, ROLLOUT_RESTART);
    ck_assert(l.fx.set_weight && l.fx.weight == 500);
    ck_assert_int_eq(rollout_phase(&l.r), ROLLOUT_SHIFTING);
    life_applied(&l);
    ck_assert_uint_eq(l.r.observed_ms, 3000);
    life_verdict(&l, JUDGE_CERTIFIED, 100);
    life_tick(&l, 2);
    ck_assert_uint_eq(l.r.weight, 5000);
    life_do(&l, ROLLOUT_ABORT);
    life_do(&l, ROLLOUT_RESTART);
    ck_assert(l.fx.set_weight && l.fx.weight == 0);
}
END_TEST

START_TEST(observe_feeds_the_judge)
{
    struct life l = life_at_first_step(WARMING);
    struct judge_window w = {.stable = {.n = 950, .errors = 9, .events = 9},
                             .canary = {.n = 50, .errors = 25, .events = 25}};
    struct judge_report report;

    ck_assert(rollout_observe(&l.r, &w, 5, &report));
    ck_assert(w.warming);
    ck_assert_int_eq(report.verdict, JUDGE_REGRESSED);
    ck_assert_uint_eq(l.r.first_request_ms, 5);
    ck_assert_uint_eq(l.r.result.exposed, 50);
    life_send(&l, (struct rollout_event){.type = ROLLOUT_VERDICT, .report = &report});
    ck_assert_int_eq(l.r.state, ROLLOUT_ABORTING);
    ck_assert(!rollout_observe(&l.r, &w, 6, &report)); /* counted, not judged */
    ck_assert_uint_eq(l.r.result.exposed, 100);
}
END_TEST

START_TEST(latency_is_learnt_before_the_first_step)
{
    struct life l = life_new(PLAIN);
    struct judge_window w = {.stable = {.n = 500}};
    struct judge_report report;

    w.stable.hist[100] = 500;
    life_do(&l, ROLLOUT_START);
    ck_assert(!rollout_observe(&l.r, &w, 5, &report));
    life_ready(&l, true);
    judge_explain(&l.r.judge, &report);
    ck_assert_uint_eq(report.classes[JUDGE_P50].threshold_us, hist_upper_us(100));
    ck_assert_uint_eq(report.classes[JUDGE_ERROR].tally.stable.n, 0);
}
END_TEST

static int life_checked(struct life *l, uint32_t step, bool ok)
{
    return life_send(l, (struct rollout_event){
                            .type = ROLLOUT_CHECKED, .step = step, .ok = ok, .why = "seen"});
}

START_TEST(checks_come_before_between_and_behind_the_weights)
{
    struct life l = life_new(TASKS);

    life_do(&l, ROLLOUT_START);
    life_ready(&l, true);
    ck_assert(l.fx.run_task);
    ck_assert_str_eq(l.fx.message, "step 1 of 7: http \"ci\" at 0 %");
    life_tick(&l, 60); /* however long it takes */
    ck_assert_uint_eq(l.r.weight, 0);
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
    life_checked(&l, 3, true); /* of another step */
    ck_assert_uint_eq(l.r.step, 0);
    life_checked(&l, 0, true);
    ck_assert(l.fx.run_task);
    ck_assert_int_eq(l.r.spec.steps[l.r.step].kind, SPEC_SMOKE);
    life_checked(&l, 1, true);
    ck_assert_uint_eq(l.fx.weight, 500);
    ck_assert(!l.fx.run_task);
    life_applied(&l);
    life_verdict(&l, JUDGE_CERTIFIED, 50);
    life_tick(&l, 2);
    ck_assert(l.fx.run_task);
    ck_assert(!l.fx.set_weight);
    life_checked(&l, 3, true);
    ck_assert_uint_eq(l.fx.weight, 10000);
    ck_assert_int_eq(l.r.state, ROLLOUT_PROMOTING);
    life_applied(&l);
    ck_assert(l.fx.run_task);
    ck_assert_int_eq(l.r.state, ROLLOUT_STEPPING);
    life_checked(&l, 5, true);
    ck_assert(l.fx.run_task); /* the smoke check once more */
    life_checked(&l, 6, true);
    ck_assert_int_eq(l.r.state, ROLLOUT_FINALIZING);
}
END_TEST

START_TEST(a_failed_check_holds_or_aborts)
{
    struct life l = life_new(TASKS);

    life_do(&l, ROLLOUT_START);
    life_ready(&l, true);
    life_checked(&l, 0, false);
    ck_assert_int_eq(l.r.state, ROLLOUT_HOLDING);
    ck_assert_int_eq(l.r.reason, ROLLOUT_CHECK_FAILED);
    ck_assert_ptr_nonnull(strstr(l.fx.message, "http \"ci\": seen"));
    life_do(&l, ROLLOUT_RETRY);
    ck_assert(l.fx.run_task);
    life_checked(&l, 0, false);
    ck_assert_int_eq(l.r.state, ROLLOUT_HOLDING);
    life_do(&l, ROLLOUT_PROMOTE); /* somebody answers for it */
    ck_assert_uint_eq(l.r.step, 1);
    life_checked(&l, 1, false);
    ck_assert_int_eq(l.r.state, ROLLOUT_ABORTING);
    ck_assert_int_eq(l.r.result.outcome, ROLLOUT_DID_FAIL);
    ck_assert_str_eq(l.r.result.reason, "smoke \"home\": seen");
}
END_TEST

START_TEST(a_check_that_may_have_run_is_not_run_again_unasked)
{
    struct life l = life_new(TASKS);

    life_do(&l, ROLLOUT_START);
    life_ready(&l, true);
    life_do(&l, ROLLOUT_RESTART);
    ck_assert(l.fx.run_task); /* a GET */
    life_applied(&l);
    life_checked(&l, 0, true);
    life_checked(&l, 1, true);
    life_applied(&l);
    life_verdict(&l, JUDGE_CERTIFIED, 50);
    life_tick(&l, 2);
    ck_assert_uint_eq(l.r.step, 3);
    life_do(&l, ROLLOUT_PAUSE);
    life_do(&l, ROLLOUT_RESTART);
    ck_assert(!l.fx.run_task);
    ck_assert_int_eq(l.r.reason, ROLLOUT_HOOK_UNKNOWN);
    life_applied(&l);
    life_tick(&l, 100);
    ck_assert_int_eq(l.r.state, ROLLOUT_HOLDING);
    life_do(&l, ROLLOUT_RETRY);
    ck_assert(l.fx.run_task);
    life_checked(&l, 3, true);
    ck_assert_uint_eq(l.fx.weight, 10000);
}
END_TEST

static int life_approve(struct life *l, const char *who)
{
    return life_send(l, (struct rollout_event){.type = ROLLOUT_APPROVE, .actor = who});
}

START_TEST(people_must_agree)
{
    struct life l = life_at_first_step(APPROVALS);

    ck_assert_int_eq(life_approve(&l, "bob"), -1); /* nobody asks yet */
    life_verdict(&l, JUDGE_CERTIFIED, 50);
    life_tick(&l, 3);
    ck_assert_int_eq(l.r.reason, ROLLOUT_APPROVAL);
    ck_assert_int_eq(life_send(&l, (struct rollout_event){.type = ROLLOUT_PROMOTE}), -1);
    ck_assert_int_eq(life_approve(&l, "ann"), -1); /* started it */
    ck_assert_ptr_nonnull(strstr(l.fx.message, "started it"));
    ck_assert_int_eq(life_approve(&l, "dan"), -1);
    ck_assert_int_eq(life_approve(&l, "bo"), -1);
    ck_assert_int_eq(life_approve(&l, "bob"), 0);
    ck_assert_str_eq(l.fx.type, "rollout.approved");
    ck_assert_int_eq(life_approve(&l, "bob"), -1); /* once a person */
    ck_assert_uint_eq(l.r.weight, 500);
    ck_assert_int_eq(life_approve(&l, "uid 7 (cid)"), 0);
    ck_assert_uint_eq(l.fx.weight, 10000);

    l = life_at_first_step(APPROVALS);
    life_verdict(&l, JUDGE_CERTIFIED, 50);
    life_tick(&l, 3);
    ck_assert_int_eq(life_approve(&l, "bob"), 0);
    life_tick(&l, 3500);
    ck_assert_int_eq(l.r.state, ROLLOUT_HOLDING);
    life_tick(&l, 200);
    ck_assert_uint_eq(l.r.weight, 0);
    ck_assert_str_eq(l.r.result.reason, "nobody approved in time");
}
END_TEST

/* State x command: 1 = accepted. Order: start promote pause resume abort undo supersede approve
 * retry. */
static const struct row {
    enum rollout_state state;
    const char *accepts;
} matrix[] = {
    {ROLLOUT_PENDING, "100010100"},      {ROLLOUT_WARMING, "001010100"},
    {ROLLOUT_STEPPING, "011010100"},     {ROLLOUT_HOLDING, "010110100"}, /* manual */
    {ROLLOUT_PROMOTING, "000010100"},    {ROLLOUT_BAKING, "011010100"},
    {ROLLOUT_FINALIZING, "000010100"},   {ROLLOUT_ABORTING, "000010000"},
    {ROLLOUT_REVERT_STUCK, "000010000"}, {ROLLOUT_SUCCEEDED, "000001000"},
    {ROLLOUT_REVERTED, "000000000"},     {ROLLOUT_ROLLED_BACK, "000000000"},
    {ROLLOUT_SUPERSEDED, "000000000"},
};

static struct life life_in(enum rollout_state state)
{
    struct life l = life_new(PLAIN);

    if (state == ROLLOUT_PENDING)
        return l;
    life_do(&l, ROLLOUT_START);
    if (state == ROLLOUT_WARMING)
        return l;
    if (state == ROLLOUT_STEPPING || state == ROLLOUT_HOLDING) {
        l = life_at_first_step(PLAIN);
        if (state == ROLLOUT_HOLDING)
            life_do(&l, ROLLOUT_PAUSE);
        return l;
    }
    if (state == ROLLOUT_ABORTING || state == ROLLOUT_REVERT_STUCK ||
        state == ROLLOUT_REVERTED) {
        life_do(&l, ROLLOUT_ABORT);
        if (state == ROLLOUT_REVERT_STUCK)
            life_tick(&l, 30);
        if (state == ROLLOUT_REVERTED)
            life_applied(&l);
        return l;
    }
    if (state == ROLLOUT_SUPERSEDED) {
        life_do(&l, ROLLOUT_SUPERSEDE);
        life_applied(&l);
        return l;
    }
    l = life_promoting(PLAIN);
    if (state == ROLLOUT_PROMOTING)
        return l;
    life_applied(&l);
    if (state == ROLLOUT_BAKING)
        return l;
    life_do(&l, ROLLOUT_PROMOTE);
    if (state == ROLLOUT_FINALIZING)
        return l;
    life_tick(&l, 1);
    if (state == ROLLOUT_SUCCEEDED)
        return l;
    life_do(&l, ROLLOUT_UNDO);
    life_applied(&l);
    return l;
}

START_TEST(every_command_in_every_state)
{
    const struct row *row = &matrix[_i];

    for (int c = 0; c < ROLLOUT_NEVENTS - ROLLOUT_START; c++) {
        struct life l = life_in(row->state);
        struct rollout before = l.r;
        enum rollout_event_type cmd = ROLLOUT_START + c;
        int rc;

        ck_assert_int_eq(l.r.state, row->state);
        ck_assert_int_eq(rollout_accepts(&l.r, cmd, l.now_ms), row->accepts[c] == '1');
        rc = life_send(&l, (struct rollout_event){.type = cmd});
        ck_assert_msg((rc == 0) == (row->accepts[c] == '1'), "%s in %s",
                      rollout_event_name(cmd), rollout_state_name(row->state));
        if (rc < 0) {
            ck_assert_mem_eq(&before, &l.r, sizeof(before));
            ck_assert_int_ne(l.fx.message[0], '\0');
            ck_assert_ptr_null(l.fx.type);
        }
    }
}
END_TEST

/* What one event may do to a rollout, whatever it was. */
static void check_change(const struct rollout *a, const struct rollout_event *ev, int rc,
                         const struct rollout *b, const struct rollout_effects *fx)
{
    bool entered = a->state != b->state || a->step != b->step || a->reason != b->reason;

    if (rc < 0) {
        ck_assert_mem_eq(a, b, sizeof(*a));
        return;
    }
    ck_assert_msg(!entered || fx->type, "%s: %s to %s without an event",
                  rollout_event_name(ev->type), rollout_state_name(a->state),
                  rollout_state_name(b->state));
    if (fx->type && !entered)
        ck_assert_msg(strcmp(fx->type, "rollout.verdict") == 0 ||
                          strcmp(fx->type, "rollout.approved") == 0 || b->skip,
                      "%s", fx->type);
    ck_assert(b->generation >= a->generation);
    ck_assert_int_eq(fx->finish, rollout_terminal(b->state) && !rollout_terminal(a->state));
    if (rollout_terminal(a->state) && ev->type != ROLLOUT_UNDO)
        ck_assert_int_eq(a->state, b->state);
    if (fx->set_weight)
        ck_assert_uint_eq(fx->weight, b->weight);
    if (a->weight != b->weight)
        ck_assert(fx->set_weight && !b->applied);
    ck_assert(!fx->run_task || (b->check == ROLLOUT_CHECKING && rc == 0));
    if (a->check == ROLLOUT_CHECKING && fx->run_task && ev->type != ROLLOUT_PROMOTE &&
        ev->type != ROLLOUT_RETRY) /* a person may ask for it again */
        ck_assert(spec_task(&b->spec, b->step)->idempotent || b->step != a->step);
    if (b->weight > a->weight) {
        ck_assert(b->ready);
        ck_assert(b->step == a->step + 1 || a->weight == 0);
        ck_assert_uint_eq(b->weight, b->spec.steps[b->step].weight);
        ck_assert_msg(a->weight == 0 || ev->type == ROLLOUT_PROMOTE || a->skip ||
                          (a->applied || b->applied || ev->type == ROLLOUT_APPLIED),
                      "past an unapplied weight");
        if (a->spec.steps[a->step].kind == SPEC_APPROVE && a->weight + a->napprovals > 0)
            ck_assert_uint_ge(a->napprovals + (ev->type == ROLLOUT_APPROVE),
                              spec_task(&a->spec, a->step)->need);
        else if (a->spec.steps[a->step].kind != SPEC_WEIGHT && a->step > 0)
            ck_assert(ev->type == ROLLOUT_PROMOTE || a->check == ROLLOUT_PASSED ||
                      (ev->type == ROLLOUT_CHECKED && ev->ok));
        else if (a->weight > 0 && ev->type != ROLLOUT_PROMOTE && !a->skip)
            ck_assert_uint_gt(ev->type == ROLLOUT_VERDICT ? ev->report->step_n : a->step_n, 0);
        if (b->weight == 10000)
            ck_assert_int_eq(b->state, ROLLOUT_PROMOTING);
    } else if (b->weight < a->weight) {
        ck_assert_uint_eq(b->weight, 0);
        ck_assert_int_eq(b->state, ROLLOUT_ABORTING);
    }
    if (ev->type == ROLLOUT_ABORT)
        ck_assert_uint_eq(b->weight, 0);
    if (ev->type == ROLLOUT_VERDICT && ev->report->verdict == JUDGE_REGRESSED &&
        a->spec.mode == SPEC_ENFORCE && !rollout_terminal(a->state) &&
        a->state != ROLLOUT_FINALIZING)
        ck_assert_uint_eq(b->weight, 0);
}

static void check_saved(struct rollout *r)
{
    struct spec_error err;
    struct rollout back;
    json_t *doc = rollout_write(r), *again;
    char *text = json_dumps(doc, JSON_COMPACT);

    json_decref(doc);
    again = json_loads(text, 0, NULL);
    free(text);
    ck_assert_msg(rollout_read(again, &back, &err) == 0, "%s %s", err.pointer, err.message);
    json_decref(again);
    ck_assert_mem_eq(r, &back, sizeof(*r));
    memset(r, 0xa5, sizeof(*r));
    *r = back;
}

static struct rollout_event event_random(struct rng *rng, const struct rollout *r,
                                         struct judge_report *report, uint64_t *generation,
                                         bool deaf)
{
    struct rollout_event ev = {.type = ROLLOUT_TICK, .actor = "ann", .why = "because"};
    uint32_t dice = rng_below(rng, 1000);

    if (dice < 300 && deaf && r->weight == 0) {
        ev.type = ROLLOUT_TICK; /* workers that do not confirm a revert */
    } else if (dice < 300) {
        ev.type = ROLLOUT_APPLIED;
        ev.weight = rng_below(rng, 5) ? r->weight : rng_below(rng, 10001);
        ev.generation = ++*generation;
    } else if (dice < 320) {
        ev.type = ROLLOUT_APPLY_FAILED;
        ev.weight = r->weight;
    } else if (dice < 400) {
        ev.type = ROLLOUT_ENDPOINTS;
        ev.ready = rng_below(rng, 4) > 0;
    } else if (dice < 600) {
        memset(report, 0, sizeof(*report));
        report->verdict = rng_below(rng, 60) == 0 ? JUDGE_REGRESSED
                          : rng_below(rng, 2)     ? JUDGE_CERTIFIED
                                                  : JUDGE_UNDECIDED;
        report->class = rng_below(rng, JUDGE_NCLASSES);
        report->step_n = rng_below(rng, 3) ? rng_below(rng, 1000) : 0;
        report->classes[report->class].evalue = rng_unit(rng) * 1000;
        ev.type = ROLLOUT_VERDICT;
        ev.report = report;
    } else if (dice < 640 && r->check == ROLLOUT_CHECKING) {
        ev.type = ROLLOUT_CHECKED;
        ev.step = rng_below(rng, 8) ? r->step : rng_below(rng, SPEC_STEPS);
        ev.ok = rng_below(rng, 3) > 0;
    } else if (dice < 650 && r->reason == ROLLOUT_APPROVAL) {
        static const char *const people[] = {"ann", "bob", "uid 7 (cid)", "dan"};
        ev.type = ROLLOUT_APPROVE;
        ev.actor = people[rng_below(rng, 4)];
    } else if (dice < 660) {
        ev.type = rng_below(rng, 2) ? ROLLOUT_RETRY : ROLLOUT_RESTART;
    } else if (dice < 700) {
        static const enum rollout_event_type often[] = {ROLLOUT_START, ROLLOUT_PROMOTE,
                                                        ROLLOUT_PAUSE, ROLLOUT_RESUME};
        ev.type = often[rng_below(rng, 4)];
    } else if (dice < 706) {
        ev.type = ROLLOUT_ABORT + rng_below(rng, 3);
    }
    return ev;
}

static const char *const random_specs[] = {
    PLAIN,
    EVIDENCE ",\"judge\":{\"on_undecided\":\"advance\",\"max_error_rate\":0.1}}",
    EVIDENCE ",\"judge\":{\"on_undecided\":\"abort\"}}",
    EVIDENCE ",\"judge\":{\"mode\":\"observe\"}}",
    "{\"version\":\"v2\",\"steps\":[{\"weight\":100}]}",
    "{\"version\":\"v2\",\"endpoints\":[\"127.0.0.1:1\"],\"steps\":[{\"weight\":1,\"hold\":"
    "\"2s\"}"
    ",{\"weight\":2,\"hold\":{\"until\":\"approval\"}},{\"weight\":3},{\"weight\":100}]}",
    TASKS,
    APPROVALS,
    "{\"version\":\"v2\",\"warmup\":\"0s\",\"steps\":[{\"weight\":50,\"hold\":\"0s\"},{"
    "\"weight\":100},"
    "{\"approve\":{\"name\":\"keep\",\"need\":1,\"of\":[\"ann\",\"bob\"]}}],\"bake\":{\"for\":"
    "\"20s\"}}",
    "{\"version\":\"v2\",\"warmup\":\"0s\",\"smoke\":[{\"request\":\"GET "
    "/\"}],\"strategy\":\"bluegreen\","
    "\"bake\":{\"for\":\"20s\"}}",
    "{\"version\":\"v2\",\"warmup\":\"0s\",\"smoke\":[{\"request\":\"GET "
    "/\"}],\"strategy\":\"bluegreen\"}",
};

/* Every edge that the machine has was gone, each time with its event (check_change). */
static void check_edges(unsigned gone[ROLLOUT_NSTATES][ROLLOUT_NSTATES])
{
    for (int a = 0; a < ROLLOUT_NSTATES; a++)
        for (int b = 0; b < ROLLOUT_NSTATES; b++)
            if (a != b || move_allowed(a, b))
                ck_assert_msg((gone[a][b] > 0) == move_allowed(a, b), "%s to %s: %u times",
                              rollout_state_name(a), rollout_state_name(b), gone[a][b]);
}

START_TEST(random_lives_keep_the_invariants)
{
    struct rng rng;
    unsigned seen[ROLLOUT_NSTATES] = {0};
    static unsigned gone[ROLLOUT_NSTATES][ROLLOUT_NSTATES];

    rng_seed(&rng, 42);
    for (int n = 0; n < 1000; n++) {
        struct life l = life_new(random_specs[rng_below(&rng, ARRAY_LEN(random_specs))]);
        struct rollout twin;
        bool saves = n % 10 == 0; /* each tenth is saved and loaded between all events */

        twin = l.r;
        for (int i = 0; i < 150; i++) {
            struct rollout before = l.r;
            struct judge_report report;
            struct rollout_event ev =
                event_random(&rng, &l.r, &report, &l.generation, n % 4 == 1 && i < 140);
            struct rollout_effects fx2;
            int rc;

            l.now_ms += rng_below(&rng, 3000);
            ev.wall_ms = ev.mono_ms = l.now_ms;
            rc = rollout_apply(&l.r, &ev, &l.fx);
            check_change(&before, &ev, rc, &l.r, &l.fx);
            seen[l.r.state]++;
            gone[before.state][l.r.state] += l.fx.type && l.r.index != before.index;
            if (!saves)
                continue;
            check_saved(&twin);
            ck_assert_int_eq(rollout_apply(&twin, &ev, &fx2), rc);
            ck_assert_mem_eq(&twin, &l.r, sizeof(twin));
            ck_assert_mem_eq(&fx2, &l.fx, sizeof(fx2));
        }
    }
    for (int s = 0; s < ROLLOUT_NSTATES; s++)
        ck_assert_msg(seen[s] > 20, "%s seen %u times", rollout_state_name(s), seen[s]);
    check_edges(gone);
}
END_TEST

START_TEST(damaged_documents_are_refused)
{
    struct life l = life_at_first_step(PLAIN);
    json_t *doc = rollout_write(&l.r), *broken;
    const char *key;
    json_t *value;
    struct spec_error err;
    struct rollout r;

    json_object_foreach(doc, key, value)
    {
        broken = json_deep_copy(doc);
        json_object_del(broken, key);
        ck_assert_msg(rollout_read(broken, &r, &err) == -1, "without %s", key);
        json_decref(broken);
    }
    json_object_set_new(doc, "state", json_string("dancing"));
    ck_assert_int_eq(rollout_read(doc, &r, &err), -1);
    ck_assert_str_eq(err.pointer, "/state");
    json_decref(doc);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rollout");
    TCase *t = tcase_create("all");

    suite_add_tcase(s, t);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, imbalance_holds);
    tcase_add_test(t, good_version_goes_all_the_way);
    tcase_add_test(t, checks_come_before_between_and_behind_the_weights);
    tcase_add_test(t, a_failed_check_holds_or_aborts);
    tcase_add_test(t, a_check_that_may_have_run_is_not_run_again_unasked);
    tcase_add_test(t, people_must_agree);
    tcase_add_test(t, bad_version_comes_back);
    tcase_add_test(t, regression_while_paused_or_baking_comes_back_too);
    tcase_add_test(t, observing_mode_only_warns);
    tcase_add_loop_test(t, no_data_neither_aborts_nor_advances, 0, 5);
    tcase_add_test(t, undecided_does_what_was_asked);
    tcase_add_test(t, approval_waits_for_somebody);
    tcase_add_loop_test(t, a_hold_begins_after_the_warm_up, 0, 2);
    tcase_add_test(t, paused_time_does_not_count);
    tcase_add_test(t, promote_while_shifting_waits_for_the_workers);
    tcase_add_test(t, stale_worker_holds);
    tcase_add_test(t, revert_that_is_not_confirmed_says_so);
    tcase_add_test(t, dead_version_is_taken_out);
    tcase_add_test(t, undo_while_retained);
    tcase_add_test(t, superseded_is_its_own_end);
    tcase_add_test(t, who_waits_owns_nothing);
    tcase_add_test(t, restart_asks_for_the_weight_again);
    tcase_add_test(t, observe_feeds_the_judge);
    tcase_add_test(t, latency_is_learnt_before_the_first_step);
    tcase_add_loop_test(t, every_command_in_every_state, 0, (int)ARRAY_LEN(matrix));
    tcase_add_test(t, random_lives_keep_the_invariants);
    tcase_add_test(t, damaged_documents_are_refused);
    return unit_run(s);
}
