/*
 * test_engine.c - the engine with a scripted supervisor: one worker that applies what it gets,
 * and counters that are written here as a worker would.
 */
#include "config/snapshot.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/engine/events.h"
#include "control/engine/publish.h"
#include "control/engine/rollouts.h"
#include "control/link/workers.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"
#include "proxy/base/shm.h"
#include "proxy/base/stats.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEP_MS 20

struct world {
    struct loop *loop;
    struct ipc *supervisor;
    struct workers *workers;
    struct engine *engine;
    struct stats *stats;
    int stats_fd;
    struct timer traffic;
    char dir[32];
    char *doc;
    uint64_t generation; /* newest that the worker applied */
    uint32_t canary;     /* weight of v2 in it */
    unsigned bad_of_ten; /* of the canary's requests */
    bool mute;           /* the worker does not answer */
    uint64_t served;     /* requests on the canary so far */
};

/* --- the worker --- */

static void apply(struct world *w, const struct ipc_msg *msg)
{
    struct snapshot s;
    struct str doc;
    char *why = NULL;

    ck_assert_int_eq(shm_map(msg->fd, &doc), 0);
    ck_assert_msg(snapshot_parse(doc, &s, &why) == 0, "%s", why);
    ck_assert_uint_gt(s.generation, w->generation); /* strictly rising */
    w->generation = s.generation;
    w->canary = s.conf->services[0].versions[1].weight;
    conf_free(s.conf);
    shm_unmap(doc);
    if (!w->mute)
        ipc_send(w->supervisor,
                 &(struct ipc_msg){.type = IPC_ACK_SNAPSHOT, .a = msg->a, .b = 0, .fd = -1});
}

static void on_message(void *arg, const struct ipc_msg *msg)
{
    if (msg && msg->type == IPC_SNAPSHOT)
        apply(arg, msg);
    if (msg)
        sys_close(msg->fd);
}

static void count(struct world *w, uint32_t cell, unsigned requests, unsigned bad)
{
    struct stats_version *v = &w->stats->slabs[0].versions[cell];

    stat_add(&v->errors, bad);
    stat_add(&v->judged, requests);
    stat_add(&v->routed, requests);
    stat_add(&v->judged_time[hist_bucket(1000)], requests);
    stat_set(&v->last_routed_us, clock_mono_us());
}

static void on_traffic(void *arg)
{
    struct world *w = arg;

    count(w, 1, 30, 0); /* a split as asked for: 25 of 100 */
    if (w->canary > 0) {
        count(w, 2, 10, w->bad_of_ten);
        w->served += 10;
    }
    timer_start(&w->traffic, STEP_MS);
}

/* --- the world --- */

static void applied(void *arg, const struct publish_result *r)
{
    if (!r->error)
        *(bool *)arg = true;
}

static void start_engine(struct world *w)
{
    static const struct workers_callbacks none;
    int fds[2];
    char *why = NULL;

    ck_assert_int_eq(ipc_pair(fds), 0);
    w->supervisor = ipc_open(w->loop, fds[0], on_message, w);
    w->workers = workers_open(w->loop, fds[1], &none, w);
    ipc_send(w->supervisor,
             &(struct ipc_msg){.type = IPC_WORKER,
                               .a = IPC_WORKER_UP,
                               .b = 0,
                               .fd = -1,
                               .text = STR("{\"pid\":1,\"restarts\":0,\"backoff_ms\":0,"
                                           "\"reason\":\"\"}")});
    for (size_t n = 0; n == 0; workers_rows(w->workers, &n))
        loop_turn(w->loop);
    w->engine = engine_new(&(struct engine_options){.loop = w->loop,
                                                    .stats = w->stats,
                                                    .workers = w->workers,
                                                    .boot = 7,
                                                    .doc = str_of(w->doc),
                                                    .path = STR("test.jsonc"),
                                                    .generation = w->generation},
                           &why);
    ck_assert_msg(w->engine != NULL, "%s", why);
}

static void stop_engine(struct world *w)
{
    engine_free(w->engine);
    workers_close(w->workers);
    ipc_close(w->supervisor);
}

static void world_open(struct world *w)
{
    *w = (struct world){.dir = "/tmp/sluice-test-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    w->doc =
        xasprintf("{\"version\":1,\"state_dir\":\"%s\",\"access_log\":{\"format\":\"off\"},"
                  "\"listeners\":{\"web\":{\"address\":\"127.0.0.1:8080\"}},"
                  "\"services\":{\"shop\":{\"versions\":{"
                  "\"v1\":{\"endpoints\":[\"127.0.0.1:1\"]},"
                  "\"v2\":{\"endpoints\":[\"127.0.0.1:2\"]}},"
                  "\"weights\":{\"v1\":100,\"v2\":0}}},"
                  "\"routes\":[{\"path\":\"/\",\"service\":\"shop\"}]}",
                  w->dir);
    w->loop = loop_new();
    w->stats_fd = stats_create(1);
    w->stats = stats_map(w->stats_fd, 1);
    ck_assert_ptr_nonnull(w->stats);
    timer_init(&w->traffic, w->loop, on_traffic, w);
    timer_start(&w->traffic, STEP_MS);
    start_engine(w);
}

static void world_close(struct world *w)
{
    char *rm = xasprintf("rm -rf %s", w->dir);

    stop_engine(w);
    timer_stop(&w->traffic);
    loop_free(w->loop);
    stats_unmap(w->stats);
    close(w->stats_fd);
    ck_assert_int_eq(system(rm), 0);
    xfree(rm);
    xfree(w->doc);
}

static const struct rollout_entry *start(struct world *w, const char *hold)
{
    struct spec *spec = xcalloc(1, sizeof(*spec));
    struct spec_error err = {0};
    struct refusal why = {0};
    json_t *doc = json_pack("{s:s,s:s,s:[{s:i,s:s},{s:i}]}", "version", "v2", "warmup", "0s",
                            "steps", "weight", 25, "hold", hold, "weight", 100);

    ck_assert_msg(spec_read(doc, spec, &err) == 0, "%s", err.message);
    json_decref(doc);
    const struct rollout_entry *l = rollouts_start(
        w->engine->rollouts, "shop", spec, (struct requester){"test", ""}, NULL, NULL, &why);
    ck_assert_msg(l != NULL, "%s", why.message);
    xfree(spec);
    return l;
}

static void run_until(struct world *w, const char *id, enum rollout_state want)
{
    uint64_t limit_us = clock_mono_us() + 15000000;

    while (rollouts_get(w->engine->rollouts, id)->r.state != want) {
        ck_assert_msg(clock_mono_us() < limit_us, "still %s",
                      rollout_state_name(rollouts_get(w->engine->rollouts, id)->r.state));
        loop_turn(w->loop);
    }
}

static bool has_event(struct world *w, const char *type)
{
    json_t *page = events_page(w->engine->events, 0, 100), *ev;
    bool found = false;
    size_t i;

    json_array_foreach(page, i, ev) found |=
        strcmp(json_string_value(json_object_get(ev, "type")), type) == 0;
    json_decref(page);
    return found;
}

START_TEST(test_bad_version_comes_back)
{
    struct world w;

    world_open(&w);
    w.bad_of_ten = 5;
    const struct rollout_entry *l = start(&w, "30s");
    ck_assert_str_eq(l->r.stable, "v1");
    run_until(&w, "r-1", ROLLOUT_REVERTED);
    ck_assert_uint_eq(w.canary, 0); /* it is the workers' truth, not only the record */
    ck_assert(l->r.result.by_judge);
    ck_assert_int_eq(l->r.result.class, JUDGE_ERROR);
    ck_assert_uint_gt(l->exposed, 0);
    ck_assert_uint_le(l->exposed, w.served);
    ck_assert_uint_gt(l->reverted_us, l->verdict_us);
    ck_assert(has_event(&w, "rollout.started"));
    ck_assert(has_event(&w, "rollout.reverted"));
    ck_assert(desired_service(w.engine->desired, "shop")->versions[1].endpoints[0].drain);

    stop_engine(&w); /* and that is what the next controller finds */
    start_engine(&w);
    l = rollouts_get(w.engine->rollouts, "r-1");
    ck_assert_int_eq(l->r.state, ROLLOUT_REVERTED);
    ck_assert_uint_eq(desired_service(w.engine->desired, "shop")->versions[1].weight, 0);
    world_close(&w);
}
END_TEST

START_TEST(test_good_version_goes_out_over_a_restart)
{
    struct world w;

    world_open(&w);
    start(&w, "2s");
    run_until(&w, "r-1", ROLLOUT_STEPPING);
    while (!rollouts_get(w.engine->rollouts, "r-1")->r.applied ||
           rollouts_get(w.engine->rollouts, "r-1")->exposed == 0)
        loop_turn(w.loop);
    stop_engine(&w);
    start_engine(&w);
    const struct rollout_entry *l = rollouts_get(w.engine->rollouts, "r-1");
    ck_assert_int_eq(l->r.state, ROLLOUT_STEPPING);
    ck_assert_uint_eq(desired_service(w.engine->desired, "shop")->versions[1].weight, 2500);
    run_until(&w, "r-1", ROLLOUT_SUCCEEDED);
    ck_assert_uint_eq(w.canary, 10000);
    ck_assert_uint_eq(desired_service(w.engine->desired, "shop")->rollout.n, 0);
    ck_assert(rollouts_undoable(w.engine->rollouts, "shop") != NULL);
    world_close(&w);
}
END_TEST

START_TEST(test_refusals)
{
    struct world w;
    struct refusal why;

    world_open(&w);
    const struct rollout_entry *l = start(&w, "30s");
    struct requester who = {"test", "why not"};
    ck_assert_int_eq(rollouts_check(w.engine->rollouts, "shop", &l->r.spec, &why), -1);
    ck_assert_int_eq(why.status, 409);
    ck_assert_str_eq(why.code, "rollout_active");
    ck_assert_int_eq(rollouts_check(w.engine->rollouts, "none", &l->r.spec, &why), -1);
    ck_assert_int_eq(why.status, 404);
    ck_assert_int_eq(
        rollouts_command(w.engine->rollouts, "r-1", ROLLOUT_RESUME, who, NULL, NULL, &why), -1);
    ck_assert_str_eq(why.code, "state");
    ck_assert_int_eq(
        rollouts_command(w.engine->rollouts, "r-7", ROLLOUT_ABORT, who, NULL, NULL, &why), -1);
    ck_assert_int_eq(why.status, 404);
    ck_assert_int_ge(
        rollouts_command(w.engine->rollouts, "r-1", ROLLOUT_ABORT, who, NULL, NULL, &why), 0);
    run_until(&w, "r-1", ROLLOUT_REVERTED);
    world_close(&w);
}
END_TEST

/* Changes of one turn are one snapshot; whoever asked is told once it is live. */
START_TEST(test_publications_coalesce)
{
    struct world w;
    bool first = false, second = false;

    world_open(&w);
    while (publish_applied(w.engine->publish) == 0)
        loop_turn(w.loop);
    uint64_t before = w.generation;
    uint64_t a = publish_request(w.engine->publish, applied, &first);
    uint64_t b = publish_request(w.engine->publish, applied, &second);
    ck_assert_uint_eq(a, b);
    ck_assert(!first);
    while (!second)
        loop_turn(w.loop);
    ck_assert(first);
    ck_assert_uint_eq(w.generation, before + 1);
    world_close(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("engine");
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_bad_version_comes_back);
    tcase_add_test(t, test_good_version_goes_out_over_a_restart);
    tcase_add_test(t, test_refusals);
    tcase_add_test(t, test_publications_coalesce);
    suite_add_tcase(s, t);
    return unit_run(s);
}
