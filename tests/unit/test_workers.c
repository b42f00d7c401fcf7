/* test_workers.c - a scripted supervisor at the other end: who is waited for, and how it ends.
 */
#include "control/link/workers.h"
#include "proxy/base/mem.h"
#include "proxy/base/shm.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    struct loop *loop;
    struct ipc *peer; /* we are the supervisor */
    struct workers *workers;
    unsigned snapshots, flags, reloads, readies; /* what arrived at the peer */
    char doc[64];
    unsigned configs, changes, reloaded_ok, reloaded_bad, gone, api, draining, certificates;
    char path[64];
} t;

static void on_peer(void *arg, const struct ipc_msg *msg)
{
    struct str doc;

    (void)arg;
    if (!msg)
        return;
    t.snapshots += msg->type == IPC_SNAPSHOT;
    t.flags += msg->type == IPC_FLAGS;
    t.reloads += msg->type == IPC_RELOAD;
    t.readies += msg->type == IPC_READY;
    if (msg->fd >= 0) {
        ck_assert_int_eq(shm_map(msg->fd, &doc), 0); /* sealed, or it would refuse */
        str_copy(t.doc, sizeof(t.doc), doc);
        shm_unmap(doc);
        sys_close(msg->fd);
    }
}

static void on_config(void *arg, struct str doc, struct str path, uint64_t generation,
                      uint64_t sequence)
{
    (void)arg;
    ck_assert(str_eq(doc, STR("{}")));
    ck_assert_uint_eq(generation, 7);
    ck_assert_uint_eq(sequence, 3);
    str_copy(t.path, sizeof(t.path), path);
    t.configs++;
}

static void on_certificates(void *arg, struct str doc)
{
    (void)arg;
    ck_assert(str_eq(doc, STR("[]")));
    t.certificates++;
}

static void on_worker(void *arg, const struct workers_row *row)
{
    (void)arg;
    (void)row;
    t.changes++;
}

static void on_reloaded(void *arg, bool ok, struct str diags)
{
    (void)arg;
    t.reloaded_ok += ok;
    t.reloaded_bad += !ok;
    ck_assert(ok || str_eq(diags, STR("[{}]")));
}

static void on_listen_api(void *arg, struct str kind, int fd)
{
    (void)arg;
    ck_assert(str_eq(kind, STR("telemetry")));
    ck_assert_int_ge(fd, 0);
    sys_close(fd);
    t.api++;
}

static void on_draining(void *arg, uint64_t deadline_ms)
{
    (void)arg;
    ck_assert_uint_eq(deadline_ms, 30000);
    t.draining++;
}

static void on_gone(void *arg)
{
    (void)arg;
    t.gone++;
}

static const struct workers_callbacks callbacks = {.config = on_config,
                                                   .certificates = on_certificates,
                                                   .worker = on_worker,
                                                   .reloaded = on_reloaded,
                                                   .listen_api = on_listen_api,
                                                   .draining = on_draining,
                                                   .gone = on_gone};

static void setup(void)
{
    int fds[2];

    memset(&t, 0, sizeof(t));
    t.loop = loop_new();
    ck_assert_int_eq(ipc_pair(fds), 0);
    t.peer = ipc_open(t.loop, fds[0], on_peer, NULL);
    t.workers = workers_open(t.loop, fds[1], &callbacks, NULL);
}

static void teardown(void)
{
    workers_close(t.workers);
    ipc_close(t.peer);
    loop_free(t.loop);
}

static void say(enum ipc_type type, uint64_t a, uint64_t b, const char *text)
{
    ipc_send(t.peer, &(struct ipc_msg){type, a, b, -1, str_of(text)});
}

static void up(unsigned slot, long pid)
{
    char *text =
        xasprintf("{\"pid\":%ld,\"restarts\":2,\"backoff_ms\":0,\"reason\":\"\"}", pid);

    say(IPC_WORKER, IPC_WORKER_UP, slot, text);
    xfree(text);
}

static void down(unsigned slot)
{
    say(IPC_WORKER, IPC_WORKER_DOWN, slot,
        "{\"pid\":0,\"restarts\":2,\"backoff_ms\":0,\"reason\":\"killed by signal 9\"}");
}

/* Turns until nothing happens any more. */
static void settle(void)
{
    for (int i = 0; i < 8; i++) {
        struct post wake = {0};

        loop_post(t.loop, &wake, (loop_cb *)loop_touch, t.loop);
        loop_turn(t.loop);
    }
}

struct result {
    unsigned calls;
    bool ok;
    char error[128];
};

static void on_applied(void *arg, const char *error)
{
    struct result *r = arg;

    r->calls++;
    r->ok = !error;
    str_copy(r->error, sizeof(r->error), str_of(error));
}

START_TEST(test_applied_when_all_acked)
{
    struct result r = {0};

    up(0, 100);
    up(1, 101);
    settle();
    ck_assert_uint_eq(t.changes, 2);
    workers_publish_snapshot(t.workers, 8, STR("doc 8"), on_applied, &r);
    ck_assert_uint_eq(r.calls, 0); /* never before it returns */
    settle();
    ck_assert_uint_eq(t.snapshots, 1);
    ck_assert_str_eq(t.doc, "doc 8");
    say(IPC_ACK_SNAPSHOT, 8, 1, NULL);
    settle();
    ck_assert_uint_eq(r.calls, 0); /* one is missing */
    say(IPC_ACK_FLAGS, 9, 0, NULL);
    settle();
    ck_assert_uint_eq(r.calls, 0); /* the other kind does not count */
    say(IPC_ACK_SNAPSHOT, 8, 0, NULL);
    settle();
    ck_assert_uint_eq(r.calls, 1);
    ck_assert(r.ok);
}
END_TEST

START_TEST(test_newer_ack_settles_older)
{
    struct result first = {0}, second = {0};

    up(0, 100);
    settle();
    workers_publish_flags(t.workers, 4, STR("a"), on_applied, &first);
    workers_publish_flags(t.workers, 5, STR("b"), on_applied, &second);
    say(IPC_ACK_FLAGS, 5, 0, NULL);
    settle();
    ck_assert_uint_eq(t.flags, 2);
    ck_assert(first.calls == 1 && first.ok && second.calls == 1 && second.ok);
}
END_TEST

START_TEST(test_dead_worker_is_not_waited_for)
{
    struct result r = {0};

    up(0, 100);
    up(1, 101);
    settle();
    workers_publish_snapshot(t.workers, 8, STR("x"), on_applied, &r);
    say(IPC_ACK_SNAPSHOT, 8, 0, NULL);
    settle();
    ck_assert_uint_eq(r.calls, 0);
    down(1);
    settle();
    ck_assert(r.calls == 1 && r.ok);
}
END_TEST

START_TEST(test_replacement_must_ack_itself)
{
    struct result r = {0};
    const struct workers_row *rows;
    size_t n;

    up(0, 100);
    say(IPC_ACK_SNAPSHOT, 8, 0, NULL);
    settle();
    rows = workers_rows(t.workers, &n);
    ck_assert(n == 1 && rows[0].generation == 8 && rows[0].restarts == 2);
    down(0);
    settle();
    ck_assert_str_eq(workers_rows(t.workers, &n)[0].reason, "killed by signal 9");
    up(0, 200);
    settle();
    ck_assert_uint_eq(workers_rows(t.workers, &n)[0].generation, 0);
    workers_publish_snapshot(t.workers, 9, STR("x"), on_applied, &r);
    settle();
    ck_assert_uint_eq(r.calls, 0);
    say(IPC_ACK_SNAPSHOT, 9, 0, NULL);
    settle();
    ck_assert(r.calls == 1 && r.ok);
}
END_TEST

START_TEST(test_refusal_names_slot_and_reason)
{
    struct result r = {0};

    up(0, 100);
    up(1, 101);
    settle();
    workers_publish_snapshot(t.workers, 8, STR("x"), on_applied, &r);
    say(IPC_ACK_SNAPSHOT, 8, 0, NULL);
    say(IPC_NACK, 8, 1, "no such thing");
    settle();
    ck_assert_uint_eq(r.calls, 1);
    ck_assert_str_eq(r.error, "worker 1: refused: no such thing");
    say(IPC_ACK_SNAPSHOT, 8, 1, NULL);
    settle();
    ck_assert_uint_eq(r.calls, 1); /* exactly once */
}
END_TEST

START_TEST(test_silence_times_out)
{
    struct result r = {0};

    up(0, 100);
    up(3, 103);
    settle();
    workers_publish_snapshot(t.workers, 8, STR("x"), on_applied, &r);
    for (int i = 0; i < 10 && !r.calls; i++)
        loop_turn(t.loop);
    ck_assert_uint_eq(r.calls, 1);
    ck_assert_str_eq(r.error, "no answer from workers 0, 3 within 5 s");
}
END_TEST

START_TEST(test_messages)
{
    int fd = shm_seal("t", STR("{}"));

    ipc_send(t.peer, &(struct ipc_msg){IPC_CONFIG, 7, 3, fd, STR("/etc/x.jsonc")});
    ipc_send(t.peer, &(struct ipc_msg){IPC_LISTEN_API, 0, 0, fd, STR("telemetry")});
    sys_close(fd);
    fd = shm_seal("t", STR("[]"));
    ipc_send(t.peer, &(struct ipc_msg){IPC_CERTIFICATES, 0, 0, fd, STR_NONE});
    sys_close(fd);
    say(IPC_RELOADED, 1, 0, "[]");
    say(IPC_RELOADED, 0, 0, "[{}]");
    say(IPC_DRAINING, 30000, 0, NULL);
    workers_request_reload(t.workers);
    workers_ready(t.workers);
    settle();
    ck_assert(t.configs == 1 && t.api == 1 && t.reloaded_ok == 1 && t.reloaded_bad == 1);
    ck_assert(t.draining == 1 && t.reloads == 1 && t.readies == 1);
    ck_assert_uint_eq(t.certificates, 1);
    ck_assert_str_eq(t.path, "/etc/x.jsonc");
}
END_TEST

START_TEST(test_supervisor_gone)
{
    struct result r = {0}, late = {0};

    up(0, 100);
    settle();
    workers_publish_snapshot(t.workers, 8, STR("x"), on_applied, &r);
    ipc_close(t.peer);
    t.peer = NULL;
    settle();
    ck_assert_uint_eq(t.gone, 1);
    ck_assert(r.calls == 1 && !r.ok);
    workers_publish_snapshot(t.workers, 9, STR("x"), on_applied, &late);
    settle();
    ck_assert(late.calls == 1 && !late.ok);
}
END_TEST

static void on_applied_close(void *arg, const char *error)
{
    on_applied(arg, error);
    workers_close(t.workers);
    t.workers = NULL;
}

START_TEST(test_close_from_callback)
{
    struct result first = {0}, second = {0};

    workers_publish_snapshot(t.workers, 8, STR("x"), on_applied_close, &first);
    workers_publish_snapshot(t.workers, 9, STR("x"), on_applied, &second);
    settle();
    ck_assert_uint_eq(first.calls, 1); /* no worker is up: applied */
    ck_assert_uint_eq(second.calls, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("workers");
    TCase *c = tcase_create("workers");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 20);
    tcase_add_test(c, test_applied_when_all_acked);
    tcase_add_test(c, test_newer_ack_settles_older);
    tcase_add_test(c, test_dead_worker_is_not_waited_for);
    tcase_add_test(c, test_replacement_must_ack_itself);
    tcase_add_test(c, test_refusal_names_slot_and_reason);
    tcase_add_test(c, test_silence_times_out);
    tcase_add_test(c, test_messages);
    tcase_add_test(c, test_supervisor_gone);
    tcase_add_test(c, test_close_from_callback);
    suite_add_tcase(s, c);
    return unit_run(s);
}
