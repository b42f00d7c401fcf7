/* test_loop.c - the order of a turn, timers, ipc with descriptors, counters of dead workers. */
#include "proxy/base/check.h"
#include "proxy/base/shm.h"
#include "proxy/base/stats.h"
#include "proxy/base/sys.h"
#include "proxy/event/ipc.h"
#include "proxy/event/loop.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct trace {
    struct loop *loop;
    char order[32];
    struct post post;
    struct flusher flusher;
    struct grave grave;
    struct watch watch;
    int fds[2];
};

static void note(struct trace *t, char c)
{
    size_t n = strlen(t->order);

    ck_assert_uint_lt(n, sizeof(t->order) - 1);
    t->order[n] = c;
}

static void on_post(void *arg)
{
    note(arg, 'p');
}

static void on_flush(void *arg)
{
    note(arg, 'f');
}

static void on_grave(void *arg)
{
    note(arg, 'g');
}

static void on_event(void *arg, unsigned what)
{
    struct trace *t = arg;
    char c;

    (void)what;
    ck_assert_int_eq(read(t->fds[0], &c, 1), 1);
    loop_bury(t->loop, &t->grave, on_grave, t); /* asked for first, run last */
    loop_post(t->loop, &t->post, on_post, t);
    loop_post(t->loop, &t->post, on_post, t); /* twice is once */
    note(t, 'e');
}

START_TEST(test_turn_order)
{
    struct trace t = {.loop = loop_new()};

    ck_assert_int_eq(pipe(t.fds), 0);
    watch_start(&t.watch, t.loop, t.fds[0], WATCH_READ, on_event, &t);
    loop_add_flusher(t.loop, &t.flusher, on_flush, &t);
    ck_assert_int_eq(write(t.fds[1], "x", 1), 1);
    loop_turn(t.loop);
    ck_assert_str_eq(t.order, "epfg");
    watch_stop(&t.watch);
    watch_stop(&t.watch);
    loop_free(t.loop);
}
END_TEST

static void on_timer(void *arg)
{
    loop_stop(arg);
}

START_TEST(test_timer)
{
    struct loop *l = loop_new();
    struct timer t = {0};
    uint64_t start = loop_now_us(l);

    timer_stop(&t); /* zeroed is fine */
    timer_init(&t, l, on_timer, l);
    timer_start(&t, 20);
    ck_assert(timer_pending(&t));
    loop_run(l);
    ck_assert(!timer_pending(&t));
    ck_assert_uint_ge(loop_now_us(l) - start, 10000);
    loop_free(l);
}
END_TEST

struct peer {
    struct loop *loop;
    struct ipc *ipc;
    int got, closed;
    struct str doc;
};

static void on_msg(void *arg, const struct ipc_msg *m)
{
    struct peer *p = arg;

    if (!m) {
        p->closed++;
        ipc_close(p->ipc);
        loop_stop(p->loop);
        return;
    }
    p->got++;
    if (m->type == IPC_SNAPSHOT) {
        ck_assert_uint_eq(m->a, 42);
        ck_assert_int_ge(m->fd, 0);
        ck_assert_int_eq(shm_map(m->fd, &p->doc), 0);
        sys_close(m->fd);
    } else {
        ck_assert_int_eq(m->type, IPC_LISTEN);
        ck_assert(str_eq(m->text, STR("web")));
    }
}

START_TEST(test_ipc_messages_and_end)
{
    struct loop *l = loop_new();
    struct peer a = {.loop = l}, b = {.loop = l};
    int fds[2], fd = shm_seal("doc", STR("{}"));

    ck_assert_int_eq(ipc_pair(fds), 0);
    a.ipc = ipc_open(l, fds[0], on_msg, &a);
    b.ipc = ipc_open(l, fds[1], on_msg, &b);
    ipc_send(a.ipc, &(struct ipc_msg){.type = IPC_SNAPSHOT, .a = 42, .fd = fd});
    for (int i = 0; i < 2000; i++) /* more than a socket buffer holds */
        ipc_send(a.ipc, &(struct ipc_msg){.type = IPC_LISTEN, .fd = -1, .text = STR("web")});
    sys_close(fd);
    for (int i = 0; i < 10000 && b.got < 2001; i++)
        loop_turn(l);
    ck_assert_int_eq(b.got, 2001);
    ck_assert(str_eq(b.doc, STR("{}")));
    ipc_close(a.ipc);
    loop_run(l);
    ck_assert_int_eq(b.closed, 1);
    shm_unmap(b.doc);
    loop_free(l);
}
END_TEST

START_TEST(test_stats_retire_keeps_counters_and_drops_gauges)
{
    int fd = stats_create(2);
    struct stats *s = stats_map(fd, 1), *r = stats_map(fd, 0);
    struct stats_slab *w = &s->slabs[1], *old = &s->slabs[STATS_RETIRED];

    ck_assert_ptr_nonnull(s);
    ck_assert_ptr_nonnull(r);
    for (int life = 1; life <= 2; life++) {
        stat_set(&w->pid, 123);
        stat_add(&w->requests_total, 10);
        stat_add(&w->connections, 3);
        stat_add(&w->violations[STATS_BAD_HOST], 1);
        stat_add(&w->versions[7].requests[stats_code_index(200)][STATS_METHOD_GET], 5);
        stat_add(&w->versions[7].duration[HIST_BUCKETS - 1], 2);
        stat_add(&w->versions[7].in_flight, 4);
        stat_set(&w->versions[7].last_routed_us, 100);
        stat_add(&w->endpoints[9].errors, 2);
        stat_add(&w->endpoints[9].idle, 2);
        stat_add(&w->flag_evaluations[3][1], 1);
        stats_retire(s, fd, 1);
        ck_assert_uint_eq(stat_get(&r->slabs[STATS_RETIRED].requests_total), 10u * life);
        ck_assert_uint_eq(stat_get(&old->violations[STATS_BAD_HOST]), 1u * life);
        ck_assert_uint_eq(
            stat_get(&old->versions[7].requests[stats_code_index(200)][STATS_METHOD_GET]),
            5u * life);
        ck_assert_uint_eq(stat_get(&old->versions[7].duration[HIST_BUCKETS - 1]), 2u * life);
        ck_assert_uint_eq(stat_get(&old->endpoints[9].errors), 2u * life);
        ck_assert_uint_eq(stat_get(&old->flag_evaluations[3][1]), 1u * life);
        ck_assert_uint_eq(stat_get(&old->versions[7].last_routed_us), 100);
        ck_assert_uint_eq(stat_get(&old->versions[7].in_flight), 0);
        ck_assert_uint_eq(stat_get(&old->connections), 0);
        ck_assert_uint_eq(stat_get(&w->requests_total), 0);
        ck_assert_uint_eq(stat_get(&w->connections), 0);
        ck_assert_uint_eq(stat_get(&w->versions[7].in_flight), 0);
        ck_assert_uint_eq(stat_get(&w->endpoints[9].idle), 0);
        ck_assert_uint_eq(stat_get(&s->fold_seq), 2u * life);
    }
    stats_unmap(s);
    stats_unmap(r);
    sys_close(fd);
}
END_TEST

START_TEST(test_stats_codes)
{
    ck_assert_int_eq(stats_code(stats_code_index(200)), 200);
    ck_assert_int_eq(stats_code(stats_code_index(404)), 404);
    ck_assert_int_eq(stats_code(stats_code_index(418)), 418);
    ck_assert_int_eq(stats_code(stats_code_index(599)), 500);
    ck_assert_int_eq(stats_code(stats_code_index(299)), 200);
    ck_assert_int_eq(stats_code(stats_code_index(9999)), 500);
    ck_assert_str_eq(stats_method_name(STATS_METHOD_PATCH), "PATCH");
    ck_assert_str_eq(stats_violation_name(STATS_BAD_CL_AND_TE), "cl_and_te");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loop");
    TCase *t = tcase_create("loop");

    tcase_add_test(t, test_turn_order);
    tcase_add_test(t, test_timer);
    tcase_add_test(t, test_ipc_messages_and_end);
    tcase_add_test(t, test_stats_retire_keeps_counters_and_drops_gauges);
    tcase_add_test(t, test_stats_codes);
    suite_add_tcase(s, t);
    return unit_run(s);
}
