/*
 * test_flagsync.c - where flags come from, against a real Redis that comes and goes.
 *
 * The workers are a hook that acknowledges on the next turn. "Served" is what the set says
 * that was handed to them last.
 */
#include "control/engine/flagsync.h"

#include "control/store/store.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/loop.h"
#include "proxy/route/flag_eval.h"
#include "tests/unit/redis_server.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <jansson.h>

#define FLAG(variant)                                                                          \
    "{\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":false},\"defaultVariant\":"      \
    "\"" variant "\"}"

struct world {
    struct loop *loop;
    struct timer tick;
    struct store *store;
    struct redis_server server;
    struct flagsync *sync;
    struct conf_flags conf;
    char dir[64], url[64], bootstrap[128];
    struct post ack; /* the workers' answer */
    flagsync_published_cb *published;
    void *published_arg;
    uint64_t sequence;
    unsigned publications, dones;
    enum flagsync_outcome outcome;
    char why[256];
};

static void on_tick(void *arg)
{
    struct world *w = arg;

    timer_start(&w->tick, 5);
}

static void on_ack(void *arg)
{
    struct world *w = arg;

    w->published(w->published_arg, NULL);
}

static void publish(void *arg, uint64_t sequence, struct str doc, flagsync_published_cb *done,
                    void *done_arg)
{
    struct world *w = arg;
    char *why = NULL;
    struct flagset *set = flagset_compile(doc, &why);

    ck_assert_msg(set != NULL, "%s", why);
    ck_assert_uint_gt(sequence, w->sequence);
    ck_assert_uint_eq(flagset_sequence(set), sequence);
    flagset_unref(set);
    if (w->ack.queued) /* two in a turn: the first is answered now, as ipc would later */
        w->published(w->published_arg, NULL);
    w->sequence = sequence;
    w->publications++;
    w->published = done;
    w->published_arg = done_arg;
    loop_unpost(w->loop, &w->ack);
    loop_post(w->loop, &w->ack, on_ack, w);
}

static void on_done(void *arg, enum flagsync_outcome o, const char *why)
{
    struct world *w = arg;

    w->dones++;
    w->outcome = o;
    str_copy(w->why, sizeof(w->why), str_of(why));
}

/* REDIS: with a server. BOOTSTRAP: a flagd document, or NULL. */
static void begin(struct world *w, bool redis, const char *bootstrap)
{
    char err[STORE_MESSAGE_MAX];

    *w = (struct world){.loop = loop_new()};
    timer_init(&w->tick, w->loop, on_tick, w);
    timer_start(&w->tick, 5);
    w->store = store_open(":memory:", err);
    ck_assert_msg(w->store != NULL, "%s", err);
    str_copy(w->dir, sizeof(w->dir), STR("/tmp/test_flagsync.XXXXXX"));
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    if (redis) {
        ck_assert(redis_server_start(&w->server));
        snprintf(w->url, sizeof(w->url), "redis://127.0.0.1:%d/0", w->server.port);
    }
    if (bootstrap) {
        snprintf(w->bootstrap, sizeof(w->bootstrap), "%s/bootstrap.json", w->dir);
        ck_assert_int_eq(sys_write_file(w->bootstrap, str_of(bootstrap), 0600), 0);
    }
    w->conf = (struct conf_flags){.enabled = true,
                                  .redis = str_of(w->url),
                                  .env = STR("test"),
                                  .bootstrap = str_of(w->bootstrap)};
}

static void start(struct world *w)
{
    w->sync = flagsync_new(&(struct flagsync_options){.loop = w->loop,
                                                      .conf = &w->conf,
                                                      .state_dir = str_of(w->dir),
                                                      .store = w->store,
                                                      .sequence = w->sequence,
                                                      .hooks = {publish, NULL, w}});
}

static void stop(struct world *w)
{
    flagsync_free(w->sync);
    if (w->ack.queued)
        w->published(w->published_arg, NULL);
    loop_unpost(w->loop, &w->ack);
    w->sync = NULL;
}

static void end(struct world *w)
{
    char path[160];

    stop(w);
    timer_stop(&w->tick);
    store_close(w->store);
    loop_free(w->loop);
    redis_server_stop(&w->server);
    snprintf(path, sizeof(path), "%s/flags-test.json", w->dir);
    unlink(path);
    if (w->bootstrap[0])
        unlink(w->bootstrap);
    rmdir(w->dir);
}

static bool nothing(void *arg, struct str path, struct flag_value *out)
{
    (void)arg;
    (void)path;
    (void)out;
    return false;
}

/* The variant that is served, "" without one. */
static void served(struct world *w, const char *key, char out[32])
{
    struct flagset *set = flagsync_set(w->sync);
    struct flag_ctx *c;

    out[0] = 0;
    if (!set)
        return;
    c = flag_ctx_new();
    flag_ctx_begin(c, set, nothing, NULL, loop_wall_ms(w->loop) / 1000);
    if (flag_eval(c, flagset_find(set, str_of(key)))->variant)
        str_copy(out, 32, flag_eval(c, flagset_find(set, str_of(key)))->variant->name);
    flag_ctx_free(c);
}

static void turn_for(struct world *w, uint64_t ms)
{
    uint64_t end_ms = loop_now_ms(w->loop) + ms;

    while (loop_now_ms(w->loop) < end_ms)
        loop_turn(w->loop);
}

static void wait_served(struct world *w, const char *key, const char *variant)
{
    uint64_t end_ms = loop_now_ms(w->loop) + 60000;
    char now[32];

    for (served(w, key, now); strcmp(now, variant) != 0; served(w, key, now)) {
        ck_assert_msg(loop_now_ms(w->loop) < end_ms, "%s stays %s, not %s", key, now, variant);
        loop_turn(w->loop);
    }
}

static void wait_done(struct world *w, enum flagsync_outcome want)
{
    uint64_t end_ms = loop_now_ms(w->loop) + 60000;

    while (w->dones == 0) {
        ck_assert_msg(loop_now_ms(w->loop) < end_ms, "the change does not end");
        loop_turn(w->loop);
    }
    ck_assert_uint_eq(w->dones, 1);
    ck_assert_msg(w->outcome == want, "outcome %d: %s", w->outcome, w->why);
    w->dones = 0;
}

static void wait_redis(struct world *w, enum flagsync_redis want)
{
    uint64_t end_ms = loop_now_ms(w->loop) + 60000;
    struct flagsync_status s;

    for (flagsync_status(w->sync, &s); s.redis != want; flagsync_status(w->sync, &s)) {
        ck_assert(loop_now_ms(w->loop) < end_ms);
        loop_turn(w->loop);
    }
}

static void put(struct world *w, const char *key, const char *flag)
{
    json_t *j = json_loads(flag, 0, NULL);

    ck_assert_ptr_nonnull(j);
    flagsync_put(w->sync, key, j, (struct flagsync_who){"ann", "test"}, on_done, w);
    ck_assert_uint_eq(w->dones, 0); /* never before it returns */
    json_decref(j);
}

/* Another writer: redis-cli with these words. */
static void cli(struct world *w, const char *a, const char *b, const char *c, const char *d)
{
    char port[8];
    pid_t pid;
    int status;

    snprintf(port, sizeof(port), "%d", w->server.port);
    pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execlp("redis-cli", "redis-cli", "-p", port, a, b, c, d, (char *)NULL);
        _exit(127);
    }
    ck_assert(waitpid(pid, &status, 0) == pid && status == 0);
}

static const struct flagsync_who ann = {"ann", "INC-12"};

START_TEST(without_redis_the_file_and_the_store)
{
    struct flagsync_status s;
    struct world w;

    begin(&w, false, "{\"flags\":{\"a\":" FLAG("on") ",\"b\":" FLAG("on") "}}");
    start(&w);
    wait_served(&w, "a", "on");
    flagsync_status(w.sync, &s);
    ck_assert_str_eq(s.source, "bootstrap");
    ck_assert_int_eq(s.redis, FLAGSYNC_REDIS_OFF);
    put(&w, "a", FLAG("off"));
    wait_done(&w, FLAGSYNC_DONE);
    wait_served(&w, "a", "off");
    flagsync_delete(w.sync, "b", ann, on_done, &w);
    wait_done(&w, FLAGSYNC_DONE);
    ck_assert_ptr_null(flagsync_flag(w.sync, "b"));
    put(&w, "c", FLAG("gone"));
    wait_done(&w, FLAGSYNC_REFUSED);
    flagsync_kill(w.sync, "a", &(struct flagsync_kill){.variant = "on"}, ann, on_done, &w);
    wait_done(&w, FLAGSYNC_DONE);
    stop(&w); /* all of it is there after a restart */
    start(&w);
    wait_served(&w, "a", "on");
    ck_assert_ptr_null(flagsync_flag(w.sync, "b"));
    ck_assert_ptr_nonnull(flagsync_override(w.sync, "a"));
    flagsync_restore(w.sync, "a", ann, on_done, &w);
    wait_done(&w, FLAGSYNC_DONE);
    wait_served(&w, "a", "off");
    end(&w);
}
END_TEST

START_TEST(redis_is_followed)
{
    struct flagsync_status s;
    struct world w;

    begin(&w, true, NULL);
    start(&w);
    wait_redis(&w, FLAGSYNC_REDIS_UP);
    put(&w, "a", FLAG("on"));
    wait_done(&w, FLAGSYNC_DONE);
    wait_served(&w, "a", "on");
    flagsync_status(w.sync, &s);
    ck_assert_str_eq(s.source, "redis");
    ck_assert_uint_eq(s.version, 1);
    /* somebody else writes, without a hint: the poll finds it */
    cli(&w, "HSET", "{ff:test}:flags", "a", FLAG("off"));
    cli(&w, "HINCRBY", "{ff:test}:meta", "version", "1");
    wait_served(&w, "a", "off");
    /* a definition that is bad: the last good one stays, and is named */
    cli(&w, "HSET", "{ff:test}:flags", "a", "{\"state\":\"ENABLED\"");
    cli(&w, "HSET", "{ff:test}:flags", "b", FLAG("on"));
    cli(&w, "HINCRBY", "{ff:test}:meta", "version", "1");
    wait_served(&w, "b", "on");
    wait_served(&w, "a", "off");
    flagsync_status(w.sync, &s);
    ck_assert_uint_eq(json_object_size(s.quarantined), 1);
    ck_assert_ptr_nonnull(json_object_get(s.quarantined, "a"));
    end(&w);
}
END_TEST

START_TEST(losing_redis_changes_nothing)
{
    struct flagsync_status s;
    unsigned publications;
    struct world w;

    begin(&w, true, NULL);
    start(&w);
    wait_redis(&w, FLAGSYNC_REDIS_UP);
    put(&w, "a", FLAG("on"));
    wait_done(&w, FLAGSYNC_DONE);
    put(&w, "b", FLAG("on"));
    wait_done(&w, FLAGSYNC_DONE);
    turn_for(&w, 100);
    publications = w.publications;
    redis_server_stop(&w.server);
    wait_redis(&w, FLAGSYNC_REDIS_DOWN);
    turn_for(&w, 300);
    wait_served(&w, "a", "on");
    ck_assert_uint_eq(w.publications, publications);
    flagsync_status(w.sync, &s);
    ck_assert_uint_gt(s.stale_ms, 0);
    put(&w, "a", FLAG("off"));
    wait_done(&w, FLAGSYNC_UNAVAILABLE);
    /* the kill switch works all the same */
    flagsync_kill(w.sync, "a", &(struct flagsync_kill){.variant = "off"}, ann, on_done, &w);
    wait_done(&w, FLAGSYNC_DONE);
    wait_served(&w, "a", "off");
    stop(&w); /* a restart without Redis: the set from disk, and the kill */
    start(&w);
    wait_served(&w, "a", "off");
    wait_served(&w, "b", "on");
    flagsync_status(w.sync, &s);
    ck_assert_str_eq(s.source, "disk");
    /* an empty Redis comes back: nothing is turned off */
    ck_assert(redis_server_start(&w.server));
    wait_redis(&w, FLAGSYNC_REDIS_UP);
    turn_for(&w, 2500);
    wait_served(&w, "b", "on");
    /* the next change brings the whole set, then the kill is handed over */
    put(&w, "c", FLAG("on"));
    wait_done(&w, FLAGSYNC_DONE);
    wait_served(&w, "b", "on");
    wait_served(&w, "a", "off");
    turn_for(&w, 2500);
    flagsync_restore(w.sync, "a", ann, on_done, &w);
    wait_done(&w, FLAGSYNC_DONE);
    wait_served(&w, "a", "on");
    end(&w);
}
END_TEST

START_TEST(a_flush_turns_nothing_off)
{
    struct world w;

    begin(&w, true, "{\"flags\":{\"a\":" FLAG("off") "}}");
    start(&w);
    wait_served(&w, "a", "off"); /* from the file, before Redis has a set */
    wait_redis(&w, FLAGSYNC_REDIS_UP);
    put(&w, "a", FLAG("on"));
    wait_done(&w, FLAGSYNC_DONE);
    cli(&w, "FLUSHALL", NULL, NULL, NULL);
    turn_for(&w, 2500);
    wait_served(&w, "a", "on");
    /* an older copy of the same set is not believed, a new set with flags is */
    cli(&w, "HSET", "{ff:test}:flags", "a", FLAG("off"));
    cli(&w, "HSET", "{ff:test}:meta", "epoch", "other");
    cli(&w, "HSET", "{ff:test}:meta", "version", "1");
    wait_served(&w, "a", "off");
    cli(&w, "HSET", "{ff:test}:flags", "a", FLAG("on"));
    cli(&w, "HSET", "{ff:test}:meta", "version", "5");
    wait_served(&w, "a", "on");
    cli(&w, "HSET", "{ff:test}:flags", "a", FLAG("off"));
    cli(&w, "HSET", "{ff:test}:meta", "version", "4");
    turn_for(&w, 2500);
    wait_served(&w, "a", "on");
    end(&w);
}
END_TEST

START_TEST(writers_that_collide)
{
    struct world w;

    begin(&w, true, NULL);
    start(&w);
    wait_redis(&w, FLAGSYNC_REDIS_UP);
    put(&w, "a", FLAG("on"));
    wait_done(&w, FLAGSYNC_DONE);
    cli(&w, "HSET", "{ff:test}:flags", "b", FLAG("on"));
    cli(&w, "HINCRBY", "{ff:test}:meta", "version", "1");
    put(&w, "a", FLAG("off")); /* another flag has changed: no conflict */
    wait_done(&w, FLAGSYNC_DONE);
    wait_served(&w, "a", "off");
    wait_served(&w, "b", "on");
    cli(&w, "HSET", "{ff:test}:flags", "a", "{}");
    cli(&w, "HINCRBY", "{ff:test}:meta", "version", "1");
    cli(&w, "HSET", "{ff:test}:flags", "b", FLAG("off"));
    cli(&w, "HINCRBY", "{ff:test}:meta", "version", "1");
    put(&w, "b", FLAG("on")); /* made for the flag as it was */
    wait_done(&w, FLAGSYNC_CONFLICT);
    wait_served(&w, "b", "off");
    flagsync_kill(w.sync, "b", &(struct flagsync_kill){.variant = "on"}, ann, on_done, &w);
    wait_done(&w, FLAGSYNC_DONE);
    flagsync_delete(w.sync, "b", ann, on_done, &w); /* beside our own override */
    wait_done(&w, FLAGSYNC_DONE);
    end(&w);
}
END_TEST

START_TEST(cells_stay_with_their_variants)
{
    const json_t *cells;
    json_int_t before;
    struct world w;

    begin(&w, false, "{\"flags\":{\"a\":" FLAG("on") ",\"b\":" FLAG("on") "}}");
    start(&w);
    turn_for(&w, 50);
    cells = json_object_get(flagsync_document(w.sync), "cells");
    before = json_integer_value(json_object_get(json_object_get(cells, "b"), "off"));
    ck_assert_int_gt(before, 0);
    flagsync_delete(w.sync, "a", ann, on_done, &w);
    wait_done(&w, FLAGSYNC_DONE);
    put(&w, "c", FLAG("on"));
    wait_done(&w, FLAGSYNC_DONE);
    stop(&w);
    start(&w);
    turn_for(&w, 50);
    cells = json_object_get(flagsync_document(w.sync), "cells");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(cells, "b"), "off")),
                     before);
    ck_assert_int_gt(json_integer_value(json_object_get(json_object_get(cells, "c"), "on")), 4);
    end(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flagsync");
    TCase *t = tcase_create("flagsync");

    suite_add_tcase(s, t);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, without_redis_the_file_and_the_store);
    tcase_add_test(t, redis_is_followed);
    tcase_add_test(t, losing_redis_changes_nothing);
    tcase_add_test(t, a_flush_turns_nothing_off);
    tcase_add_test(t, writers_that_collide);
    tcase_add_test(t, cells_stay_with_their_variants);
    return unit_run(s);
}
