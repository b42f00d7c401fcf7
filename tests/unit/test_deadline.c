/* test_deadline.c - order, restarting, stopping, and that callbacks may do all of it. */
#include "proxy/event/deadline.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

static struct loop *loop;
static struct deadlines *ds;
static int fired[4], order;

static void on_fire(void *arg)
{
    fired[(long)arg] = ++order;
    if (order >= 2)
        loop_stop(loop);
}

static void setup(void)
{
    loop = loop_new();
    ds = deadlines_new(loop);
    order = 0;
    fired[0] = fired[1] = fired[2] = fired[3] = 0;
}

static void teardown(void)
{
    deadlines_free(ds);
    loop_free(loop);
}

START_TEST(a_restarted_one_moves_behind)
{
    struct deadline_queue *q = deadline_queue(ds, 20);
    struct deadline a, b, c;

    deadline_init(&a, on_fire, (void *)0);
    deadline_init(&b, on_fire, (void *)1);
    deadline_init(&c, on_fire, (void *)2);
    deadline_start(&a, q);
    deadline_start(&b, q);
    deadline_start(&c, q);
    deadline_start(&a, q);
    deadline_stop(&c);
    loop_run(loop);
    ck_assert_int_eq(fired[1], 1);
    ck_assert_int_eq(fired[0], 2);
    ck_assert_int_eq(fired[2], 0);
}
END_TEST

static void on_fire_stop_other(void *arg)
{
    deadline_stop(arg);
    loop_stop(loop);
}

START_TEST(a_callback_may_stop_the_next)
{
    struct deadline_queue *q = deadline_queue(ds, 10);
    struct deadline a, b;

    deadline_init(&b, on_fire, (void *)3);
    deadline_init(&a, on_fire_stop_other, &b);
    deadline_start(&a, q);
    deadline_start(&b, q);
    loop_run(loop);
    ck_assert_int_eq(fired[3], 0);
}
END_TEST

START_TEST(zero_is_never_and_queues_are_shared)
{
    struct deadline d;

    ck_assert_ptr_null(deadline_queue(ds, 0));
    ck_assert_ptr_eq(deadline_queue(ds, 30), deadline_queue(ds, 30));
    ck_assert_ptr_ne(deadline_queue(ds, 30), deadline_queue(ds, 31));
    deadline_init(&d, on_fire, NULL);
    deadline_start(&d, deadline_queue(ds, 30));
    deadline_start(&d, NULL);
    ck_assert_ptr_null(d.queue);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("deadline");
    TCase *t = tcase_create("deadline");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_restarted_one_moves_behind);
    tcase_add_test(t, a_callback_may_stop_the_next);
    tcase_add_test(t, zero_is_never_and_queues_are_shared);
    suite_add_tcase(s, t);
    return unit_run(s);
}
