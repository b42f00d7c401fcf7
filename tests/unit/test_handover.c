/* test_handover.c - what one supervisor leaves is what the next one reads, or nothing at all.
 */
#include "proxy/base/log.h"
#include "proxy/base/shm.h"
#include "proxy/base/sys.h"
#include "proxy/proc/handover.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int web[] = {20, 21}, inner[] = {22, 23};

static void fill(struct handover *h)
{
    handover_init(h);
    h->workers = 2;
    h->base = 2;
    h->config_fd = 10;
    h->stats_fd = 11;
    h->limits_fd = 12;
    h->keys_fd = 13;
    h->fd[HANDOUT_SNAPSHOT] = 14;
    h->number[HANDOUT_SNAPSHOT] = UINT64_MAX;
    h->api[APISOCK_CONTROL] = 15;
    *vec_add(&h->listeners) = (struct handover_listener){STR("web"), STR("127.0.0.1"), 80, web};
    *vec_add(&h->listeners) = (struct handover_listener){STR("inner"), STR("::1"), 0, inner};
    *vec_add(&h->elders.list) = (struct elder){.pid = 4711, .slab = 1, .fd = 30};
}

static void add_up(int fd, void *arg)
{
    *(int *)arg += fd;
}

START_TEST(test_round_trip)
{
    struct handover a, b;
    int named_a = 0, named_b = 0;

    fill(&a);
    handover_init(&b);
    ck_assert(handover_parse(&b, handover_write(&a)));
    ck_assert_uint_eq(b.workers, 2);
    ck_assert_uint_eq(b.base, 2);
    ck_assert_int_eq(b.config_fd, 10);
    ck_assert_uint_eq(b.number[HANDOUT_SNAPSHOT], UINT64_MAX);
    ck_assert_int_eq(b.fd[HANDOUT_FLAGS], -1);
    ck_assert_int_eq(b.api[APISOCK_CONTROL], 15);
    ck_assert_int_eq(b.api[APISOCK_TELEMETRY], -1);
    ck_assert_uint_eq(b.listeners.n, 2);
    ck_assert(str_eq(b.listeners.v[1].name, STR("inner")));
    ck_assert(str_eq(b.listeners.v[1].host, STR("::1")));
    ck_assert_uint_eq(b.listeners.v[0].port, 80);
    ck_assert_int_eq(b.listeners.v[1].fds[1], 23);
    ck_assert_uint_eq(b.elders.list.n, 1);
    ck_assert_int_eq(b.elders.list.v[0].pid, 4711);
    ck_assert_uint_eq(b.elders.list.v[0].slab, 1);
    handover_each_fd(&a, add_up, &named_a);
    handover_each_fd(&b, add_up, &named_b);
    ck_assert_int_eq(named_a, 10 + 11 + 12 + 13 + 14 + 15 + 20 + 21 + 22 + 23 + 30);
    ck_assert_int_eq(named_b, named_a);
    handover_release(&a);
    handover_release(&b);
}
END_TEST

/* Cut at any byte but the last, it is refused or lacks whole lines at the end. */
START_TEST(test_damaged)
{
    struct handover a, b;
    struct str text;

    fill(&a);
    text = handover_write(&a);
    for (size_t n = 0; n < text.n; n++) {
        struct str cut = {text.p, n};

        handover_init(&b);
        if (handover_parse(&b, cut))
            ck_assert_uint_gt(b.workers, 0);
        handover_release(&b);
    }
    handover_release(&a);
}
END_TEST

static const char *const bad[] = {
    "",
    "sluice-handover 2\n",
    "sluice-handover 1\n",
    "sluice-handover 1\nconfig\n",
    "sluice-handover 1\nconfig -1\n",
    "sluice-handover 1\nconfig 3 4\n",
    "sluice-handover 1\nconfig 99999999999\n",
    "sluice-handover 1\nworkers 0 0\n",
    "sluice-handover 1\nworkers 64 1\n",
    "sluice-handover 1\napi sideways 3\n",
    "sluice-handover 1\nelder 1 0 3\n",
    "sluice-handover 1\nworkers 2 0\nlistener web 127.0.0.1 80 3\n",
    "sluice-handover 1\nworkers 2 0\nlistener web 127.0.0.1 80 3 4 5\n",
    "sluice-handover 1\nworkers 2 0\nlistener web 127.0.0.1 65536 3 4\n",
    "sluice-handover 1\nlistener web 127.0.0.1 80\n",
    "sluice-handover 1\nworkers 1 0\nworkers 2 0\n",
    "sluice-handover 1\nspoons 4\n",
};

START_TEST(test_refused)
{
    struct handover h;

    handover_init(&h);
    ck_assert_msg(!handover_parse(&h, str_of(bad[_i])), "%s", bad[_i]);
    handover_release(&h);
}
END_TEST

START_TEST(test_taken_from_the_environment)
{
    struct handover a, b;
    char number[16];
    int fd;

    unsetenv(HANDOVER_VARIABLE);
    ck_assert_int_eq(handover_take(&b), 0);
    handover_release(&b);

    fill(&a); /* of descriptors that are open: dup2 makes them so */
    for (int i = 10; i <= 30; i++)
        ck_assert_int_eq(dup2(STDERR_FILENO, i), i);
    fd = shm_seal("handover", handover_write(&a));
    ck_assert_int_ge(fd, 0);
    snprintf(number, sizeof(number), "%d", fd);
    setenv(HANDOVER_VARIABLE, number, 1);
    ck_assert_int_eq(handover_take(&b), 1);
    ck_assert_ptr_null(getenv(HANDOVER_VARIABLE));
    ck_assert(fcntl(30, F_GETFD) & FD_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    handover_release(&b);

    fd = shm_seal("handover", handover_write(&a));
    snprintf(number, sizeof(number), "%d", fd);
    setenv(HANDOVER_VARIABLE, number, 1);
    sys_close(23); /* one that is named and not there */
    ck_assert_int_eq(handover_take(&b), -1);
    handover_release(&b);
    handover_release(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("handover");
    TCase *c = tcase_create("all");

    tcase_add_test(c, test_round_trip);
    tcase_add_test(c, test_damaged);
    tcase_add_loop_test(c, test_refused, 0, ARRAY_LEN(bad));
    tcase_add_test(c, test_taken_from_the_environment);
    suite_add_tcase(s, c);
    return unit_run(s);
}
