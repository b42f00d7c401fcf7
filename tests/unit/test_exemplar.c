/* test_exemplar.c - what is kept of exchanges, and that no reader ever sees half of one. */
#include "proxy/base/exemplar.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct exemplar_slot slots[EXEMPLARS];
static const struct str some = STR_INIT("00112233445566778899aabbccddeeff");

START_TEST(one_is_kept_for_each_octave_and_second)
{
    struct exemplar e;
    int slot = hist_bucket(5000) / HIST_PER_OCTAVE;

    exemplar_clear(slots);
    ck_assert(!exemplar_read(&slots[slot], &e));
    exemplar_note(slots, some, 5000, 1000000);
    exemplar_note(slots, STR("ffffffffffffffffffffffffffffffff"), 5001, 1000999);
    ck_assert(exemplar_read(&slots[slot], &e));
    ck_assert_str_eq(e.trace, some.p);
    ck_assert_uint_eq(e.us, 5000);
    ck_assert_uint_eq(e.at_ms, 1000000);
    exemplar_note(slots, STR("ffffffffffffffffffffffffffffffff"), 5001, 1001000);
    ck_assert(exemplar_read(&slots[slot], &e));
    ck_assert_uint_eq(e.us, 5001);
    exemplar_note(slots, some, UINT64_MAX, 1001000);
    ck_assert(exemplar_read(&slots[EXEMPLARS - 1], &e));
    exemplar_clear(slots);
    ck_assert(!exemplar_read(&slots[slot], &e));
}
END_TEST

START_TEST(what_is_no_trace_is_not_kept)
{
    struct exemplar e;

    exemplar_clear(slots);
    exemplar_note(slots, STR(""), 100, 1000000);
    exemplar_note(slots, STR("00112233445566778899aabbccddeefg"), 100, 1000000);
    ck_assert(!exemplar_read(&slots[0], &e));
}
END_TEST

/* Traces whose halves are the same, and a time that goes with them. */
static void *write_many(void *arg)
{
    char trace[EXEMPLAR_TRACE + 1];

    (void)arg;
    for (uint64_t i = 1; i <= 100000; i++) {
        snprintf(trace, sizeof(trace), "%016llx%016llx", (unsigned long long)i,
                 (unsigned long long)i);
        exemplar_note(slots, (struct str){trace, EXEMPLAR_TRACE}, 5000, i * EXEMPLAR_MS);
    }
    return NULL;
}

START_TEST(no_reader_sees_half_of_one)
{
    struct exemplar e = {.at_ms = 0};
    pthread_t writer;

    exemplar_clear(slots);
    ck_assert_int_eq(pthread_create(&writer, NULL, write_many, NULL), 0);
    while (e.at_ms < 100000 * EXEMPLAR_MS) {
        if (!exemplar_read(&slots[hist_bucket(5000) / HIST_PER_OCTAVE], &e))
            continue;
        ck_assert_int_eq(memcmp(e.trace, e.trace + 16, 16), 0);
        ck_assert_uint_eq(strtoull(e.trace + 16, NULL, 16) * EXEMPLAR_MS, e.at_ms);
    }
    pthread_join(writer, NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("exemplar");
    TCase *t = tcase_create("exemplar");

    tcase_add_test(t, one_is_kept_for_each_octave_and_second);
    tcase_add_test(t, what_is_no_trace_is_not_kept);
    tcase_add_test(t, no_reader_sees_half_of_one);
    suite_add_tcase(s, t);
    return unit_run(s);
}
