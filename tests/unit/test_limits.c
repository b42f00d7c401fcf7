/* test_limits.c - the arithmetic of rates, and the table that workers share. */
#include "proxy/base/limits.h"
#include "proxy/base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

START_TEST(burst_then_the_rate)
{
    struct gcra g = gcra_of(10, 1000, 3); /* one each 100 ms, three at once */
    uint64_t full = 0, now = 5000 * MS;
    struct gcra_verdict v;

    for (uint64_t left = 3; left-- > 0;) {
        v = gcra_eval(&g, full, now);
        ck_assert(v.allowed);
        ck_assert_uint_eq(v.remaining, left);
        full = v.full_ns;
    }
    v = gcra_eval(&g, full, now);
    ck_assert(!v.allowed);
    ck_assert_uint_eq(v.wait_ns, 100 * MS);
    ck_assert_uint_eq(v.full_ns, full);
    ck_assert(!gcra_eval(&g, full, now + 100 * MS - 1).allowed);
    ck_assert(gcra_eval(&g, full, now + 100 * MS).allowed);
    ck_assert_uint_eq(gcra_eval(&g, full, now + 10000 * MS).remaining, 2);
}
END_TEST

START_TEST(never_more_than_burst_and_rate)
{
    struct gcra g = gcra_of(100, 1000, 5);
    uint64_t full = 0, passed = 0;

    for (uint64_t t = 0; t < 2000; t++) { /* a request each ms for two seconds */
        struct gcra_verdict v = gcra_eval(&g, full, (7000 + t) * MS);

        full = v.full_ns;
        passed += v.allowed;
    }
    ck_assert_uint_eq(passed, 5 + 199);
}
END_TEST

static struct limits *limits;

static void open_limits(void)
{
    int fd = limits_create();

    ck_assert_int_ge(fd, 0);
    limits = limits_map(fd);
    ck_assert_ptr_nonnull(limits);
    close(fd);
}

static void close_limits(void)
{
    limits_unmap(limits);
}

START_TEST(keys_do_not_share)
{
    struct gcra g = gcra_of(1, 60000, 1);
    uint64_t a = limits_key(limits, 1, STR("a")), b = limits_key(limits, 1, STR("b"));

    ck_assert_uint_ne(a, b);
    ck_assert_uint_ne(a, limits_key(limits, 2, STR("a")));
    ck_assert(limits_take(limits, a, &g, 100 * MS).allowed);
    ck_assert(!limits_take(limits, a, &g, 101 * MS).allowed);
    ck_assert(limits_take(limits, b, &g, 101 * MS).allowed);
}
END_TEST

START_TEST(full_table_forgets_some_and_stays_right)
{
    struct gcra g = gcra_of(1, 60000, 1);
    unsigned refused = 0;
    char name[16];

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < LIMITS_BUCKETS / 8; i++) {
            snprintf(name, sizeof(name), "%d", i);
            refused +=
                !limits_take(limits, limits_key(limits, 1, str_of(name)), &g, MS).allowed;
        }
    /* An eighth of the table: all but a few sets of four have room. */
    ck_assert_uint_ge(refused, LIMITS_BUCKETS / 8 * 99 / 100);
    ck_assert_uint_le(refused, LIMITS_BUCKETS / 8 * 101 / 100);
}
END_TEST

static unsigned take_many(const struct gcra *g, uint64_t key)
{
    unsigned taken = 0;

    for (int i = 0; i < 20000; i++)
        taken += limits_take(limits, key, g, 100 * MS).allowed;
    return taken;
}

START_TEST(processes_share_a_bucket)
{
    struct gcra g = gcra_of(10000, 3600000, 10000);
    uint64_t key = limits_key(limits, 1, STR("shared"));
    unsigned mine, others;
    int pipe_fds[2], status;
    pid_t pid;

    ck_assert(limits_take(limits, key, &g, 100 * MS).allowed); /* its place in the table */
    ck_assert_int_eq(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) {
        unsigned n = take_many(&g, key);

        _exit(write(pipe_fds[1], &n, sizeof(n)) != sizeof(n));
    }
    mine = take_many(&g, key);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(read(pipe_fds[0], &others, sizeof(others)), sizeof(others));
    ck_assert_uint_eq(1 + mine + others, 10000);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}
END_TEST

START_TEST(gauges_count_all_workers)
{
    ck_assert(limits_enter(limits, 3, 0, 2));
    ck_assert(limits_enter(limits, 3, 1, 2));
    ck_assert(!limits_enter(limits, 3, 0, 2));
    ck_assert(limits_enter(limits, 4, 0, 1));
    limits_retire(limits, 1); /* it died with one under way */
    ck_assert(limits_enter(limits, 3, 0, 2));
    limits_leave(limits, 3, 0);
    limits_leave(limits, 3, 0);
    ck_assert(limits_enter(limits, 3, 5, 1));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limits");
    TCase *pure = tcase_create("gcra"), *shared = tcase_create("table");

    tcase_add_test(pure, burst_then_the_rate);
    tcase_add_test(pure, never_more_than_burst_and_rate);
    tcase_add_checked_fixture(shared, open_limits, close_limits);
    tcase_add_test(shared, keys_do_not_share);
    tcase_add_test(shared, full_table_forgets_some_and_stays_right);
    tcase_add_test(shared, processes_share_a_bucket);
    tcase_add_test(shared, gauges_count_all_workers);
    suite_add_tcase(s, pure);
    suite_add_tcase(s, shared);
    return unit_run(s);
}
