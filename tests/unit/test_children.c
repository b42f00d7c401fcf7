/* test_children.c - real processes that die in several ways, and what is made of it. */
#include "proxy/base/mem.h"
#include "proxy/base/stats.h"
#include "proxy/base/sys.h"
#include "proxy/proc/children.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    struct loop *loop;
    struct children *children;
    struct spawn_user user;
    int stats_fd;
    unsigned ups, downs, backoffs; /* of worker 0 */
    unsigned stop_after_ups;
    char reason[128];
    uint64_t waited_ms;
} t;

static void on_changed(void *arg, struct child *c)
{
    (void)arg;
    if (c->slot != 0)
        return;
    t.ups += c->state == IPC_WORKER_UP;
    t.downs += c->state == IPC_WORKER_DOWN;
    if (c->state == IPC_WORKER_DOWN)
        str_copy(t.reason, sizeof(t.reason), str_of(c->reason));
    if (c->state == IPC_WORKER_BACKOFF) {
        t.backoffs++;
        t.waited_ms += c->backoff_ms;
    }
    if (t.ups == t.stop_after_ups)
        loop_stop(t.loop);
}

static void on_message(void *arg, struct child *c, const struct ipc_msg *msg)
{
    (void)arg;
    (void)c;
    sys_close(msg->fd);
}

static void on_stranger(void *arg, pid_t pid, int status)
{
    (void)arg;
    (void)status;
    ck_abort_msg("pid %d is nobody's", (int)pid);
}

static const struct children_callbacks callbacks = {on_changed, on_message, on_stranger};

/* Worker 0 runs SCRIPT, the controller sleeps. */
static void begin(const char *script)
{
    memset(&t, 0, sizeof(t));
    t.loop = loop_new();
    t.stats_fd = stats_create(1);
    t.children = children_new(t.loop, 1, t.stats_fd, &t.user, &callbacks, NULL);
    children_program(t.children, 0, "/bin/sh", (const char *[]){"sh", "-c", script, NULL});
    children_program(t.children, 1, "/bin/sleep", (const char *[]){"sleep", "60", NULL});
}

static void end(void)
{
    children_free(t.children);
    loop_free(t.loop);
    sys_close(t.stats_fd);
}

START_TEST(test_backoff)
{
    struct backoff b = {0};

    ck_assert_uint_eq(backoff_next(&b, 5000), 0);
    ck_assert_uint_eq(backoff_next(&b, 10), 0); /* one accident */
    ck_assert_uint_eq(backoff_next(&b, 10), 100);
    ck_assert_uint_eq(backoff_next(&b, 10), 200);
    ck_assert_uint_eq(backoff_next(&b, 999), 400);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_le(backoff_next(&b, 10), BACKOFF_MOST_MS);
    ck_assert_uint_eq(backoff_next(&b, 10), BACKOFF_MOST_MS);
    ck_assert_uint_eq(backoff_next(&b, 1000), 0); /* it lived */
    ck_assert_uint_eq(backoff_next(&b, 10), 0);
}
END_TEST

START_TEST(test_dying_young)
{
    begin("exit 3");
    t.stop_after_ups = 4;
    children_start(t.children);
    loop_run(t.loop);
    ck_assert_uint_eq(t.downs, 3);
    ck_assert_uint_eq(t.backoffs, 2); /* at once, 100 ms, 200 ms */
    ck_assert_uint_eq(t.waited_ms, 300);
    ck_assert_str_eq(t.reason, "exited with status 3");
    ck_assert_uint_eq(children_worker(t.children, 0)->restarts, 3);
    end();
}
END_TEST

START_TEST(test_killed_is_replaced_at_once)
{
    char json[384];
    struct child *c;
    struct str text;

    begin("exec sleep 60");
    children_start(t.children);
    c = children_worker(t.children, 0);
    t.stop_after_ups = 2;
    child_signal(c, SIGKILL);
    loop_run(t.loop);
    ck_assert_uint_eq(t.backoffs, 0);
    ck_assert_str_eq(t.reason, "killed by signal 9 (Killed)");
    text = child_json(c, json, sizeof(json));
    ck_assert_int_eq(strncmp(text.p, "{\"pid\":", 7), 0);
    ck_assert_ptr_nonnull(strstr(text.p, "\"restarts\":1,\"backoff_ms\":0,"));
    end();
}
END_TEST

START_TEST(test_quiet_table_starts_nobody)
{
    begin("exit 0");
    children_start(t.children);
    children_quiesce(t.children);
    ck_assert(!children_workers_gone(t.children));
    while (!children_workers_gone(t.children))
        loop_turn(t.loop);
    ck_assert_uint_eq(t.ups, 1);
    ck_assert_uint_eq(t.downs, 1);
    end();
}
END_TEST

/* Which descriptors, which group, which signal mask: asked from the inside. */
START_TEST(test_what_a_child_gets)
{
    begin("cd /proc/$$; [ -e fd/2 ] && [ -e fd/3 ] && [ -e fd/4 ] || exit 9;"
          "[ -e fd/77 ] && exit 8;"
          "[ $(cut -d' ' -f5 stat) = $$ ] || exit 7;"
          "grep -q 'SigBlk:.*0000000000000000' status || exit 6;"
          "grep -q 'SigIgn:.*[08]0000000$' status || exit 5; exit 42"); /* 32, 33: libc's own */
    ck_assert_int_eq(dup2(STDERR_FILENO, 77), 77); /* left open by whoever started us */
    signal(SIGUSR1, SIG_IGN);                      /* must not be inherited */
    children_start(t.children);
    children_quiesce(t.children);
    while (!children_workers_gone(t.children))
        loop_turn(t.loop);
    ck_assert_str_eq(t.reason, "exited with status 42");
    end();
}
END_TEST

START_TEST(test_missing_program)
{
    begin("exit 0");
    children_free(t.children);
    t.children = children_new(t.loop, 1, t.stats_fd, &t.user, &callbacks, NULL);
    children_program(t.children, 0, "/nonexistent/x", (const char *[]){"x", NULL});
    children_program(t.children, 1, "/bin/sleep", (const char *[]){"sleep", "60", NULL});
    t.stop_after_ups = 2;
    children_start(t.children);
    loop_run(t.loop);
    ck_assert_str_eq(t.reason, "exited with status 127");
    end();
}
END_TEST

/* A supervisor that is killed takes its children with it. */
START_TEST(test_children_die_with_us)
{
    int p[2];
    pid_t pid, grandchild;

    ck_assert_int_eq(pipe(p), 0);
    pid = fork();
    if (pid == 0) {
        begin("exec sleep 60");
        children_start(t.children);
        grandchild = children_worker(t.children, 0)->pid;
        _exit(write(p[1], &grandchild, sizeof(grandchild)) < 0 || kill(getpid(), SIGKILL));
    }
    ck_assert_int_eq(read(p[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
    for (int i = 0; i < 6000 && kill(grandchild, 0) == 0; i++)
        usleep(10000);
    /* Gone, or a zombie that its new parent has not collected yet. */
    if (kill(grandchild, 0) == 0) {
        char *cmd = xasprintf("grep -q 'State:.*Z' /proc/%ld/status", (long)grandchild);

        ck_assert_int_eq(system(cmd), 0);
        xfree(cmd);
    }
    close(p[0]);
    close(p[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("children");
    TCase *c = tcase_create("children");

    tcase_set_timeout(c, 120);
    tcase_add_test(c, test_backoff);
    tcase_add_test(c, test_dying_young);
    tcase_add_test(c, test_killed_is_replaced_at_once);
    tcase_add_test(c, test_quiet_table_starts_nobody);
    tcase_add_test(c, test_what_a_child_gets);
    tcase_add_test(c, test_missing_program);
    tcase_add_test(c, test_children_die_with_us);
    suite_add_tcase(s, c);
    return unit_run(s);
}
