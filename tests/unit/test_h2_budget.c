/* test_h2_budget.c - what frames cost, how blocks are followed, numbers that were passed over.
 */
#include "proxy/http/h2_budget.h"
#include "tests/unit/unit.h"

#include <check.h>

enum { HEADERS = 1, RST = 3, PING = 6, CONTINUATION = 9, END_STREAM = 1, END_HEADERS = 4 };

static const struct str preface = STR_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/* A frame with N bytes of nothing behind it. */
static struct str frame_of(char *to, size_t n, int type, int flags, uint32_t id)
{
    memset(to, 0, 9 + n);
    to[1] = (char)(n >> 8);
    to[2] = (char)n;
    to[3] = (char)type;
    to[4] = (char)flags;
    to[7] = (char)(id >> 8);
    to[8] = (char)id;
    return (struct str){to, 9 + n};
}

static void begin(struct h2_budget *b)
{
    h2_budget_init(b, 0);
    ck_assert_uint_eq(h2_budget_look(b, preface, 0), preface.n);
}

START_TEST(test_control)
{
    struct h2_budget b;
    char room[32];
    struct str ping = frame_of(room, 8, PING, 0, 0);

    begin(&b);
    for (int i = 0; i < H2_CONTROL_MOST; i++)
        ck_assert_uint_eq(h2_budget_look(&b, ping, 0), ping.n);
    ck_assert_ptr_null(b.why);
    ck_assert_uint_eq(h2_budget_look(&b, ping, 0), 0);
    ck_assert_ptr_nonnull(b.why);
    ck_assert(!b.lies);
}
END_TEST

START_TEST(test_refill)
{
    struct h2_budget b;
    char room[32];
    struct str reset = frame_of(room, 4, RST, 0, 1);
    uint64_t now = 0;

    begin(&b);
    for (int i = 0; i < 10 * H2_RESETS_MOST; i++, now += 1000000 / H2_RESETS_RATE)
        ck_assert_uint_eq(h2_budget_look(&b, reset, now), reset.n);
    ck_assert_ptr_null(b.why);
}
END_TEST

/* However the bytes are cut, a block is open from its first byte to its last. */
START_TEST(test_blocks)
{
    struct h2_budget b;
    char room[64];
    struct str head = frame_of(room, 5, HEADERS, 0, 1);
    struct str rest = frame_of(room + 32, 3, CONTINUATION, END_HEADERS, 1);

    begin(&b);
    ck_assert_uint_eq(h2_budget_in_block(&b), 0);
    for (size_t i = 0; i < head.n; i++) {
        ck_assert_uint_eq(h2_budget_in_block(&b), i < 9 ? 0 : 1);
        ck_assert_uint_eq(h2_budget_look(&b, (struct str){head.p + i, 1}, 0), 1);
    }
    for (size_t i = 0; i < rest.n; i++) {
        ck_assert_uint_eq(h2_budget_in_block(&b), 1);
        ck_assert_uint_eq(h2_budget_look(&b, (struct str){rest.p + i, 1}, 0), 1);
    }
    ck_assert_uint_eq(h2_budget_in_block(&b), 0);
    head = frame_of(room, 5, HEADERS, END_HEADERS, 3);
    ck_assert_uint_eq(h2_budget_look(&b, (struct str){head.p, head.n - 1}, 0), head.n - 1);
    ck_assert_uint_eq(h2_budget_in_block(&b), 2);
}
END_TEST

/* Answers come in any order; an interim head each is free, heads without end are not. */
START_TEST(test_server)
{
    struct h2_budget b;
    char rooms[3][32];
    int heads = 0;

    h2_budget_init_server(&b, 0);
    for (uint32_t id = 9999; id > 1; id -= 2) {
        struct str interim = frame_of(rooms[0], 5, HEADERS, END_HEADERS, id);
        struct str head = frame_of(rooms[1], 5, HEADERS, END_HEADERS, id);
        struct str body = frame_of(rooms[2], 5, 0, END_STREAM, id);

        ck_assert_uint_eq(h2_budget_look(&b, interim, 0), interim.n);
        ck_assert_uint_eq(h2_budget_look(&b, head, 0), head.n);
        ck_assert_uint_eq(h2_budget_look(&b, body, 0), body.n);
    }
    ck_assert_ptr_null(b.why);
    while (!b.why && heads <= H2_CONTROL_MOST) {
        struct str interim = frame_of(rooms[0], 5, HEADERS, END_HEADERS, 10001);
        heads += h2_budget_look(&b, interim, 0) == interim.n;
    }
    ck_assert_ptr_nonnull(b.why);
    ck_assert_int_eq(heads, H2_CONTROL_MOST);
}
END_TEST

START_TEST(test_numbers)
{
    static const struct {
        uint32_t id;
        bool good;
    } rows[] = {
        {1, true},  {3, true},   {3, true}, {1, true},  {13, true},
        {5, false}, {11, false}, {3, true}, {13, true}, {15, true},
    };
    struct h2_numbers n = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_int_eq(h2_numbers_open(&n, rows[i].id), rows[i].good);
    n = (struct h2_numbers){0};
    ck_assert(h2_numbers_open(&n, 13)); /* clients there are that begin so */
    ck_assert(!h2_numbers_open(&n, 1));
    for (uint32_t id = 17; id < 17 + 4 * H2_GAPS; id += 4)
        ck_assert(h2_numbers_open(&n, id));
    ck_assert(h2_numbers_open(&n, 1)); /* forgotten by now */
    ck_assert(!h2_numbers_open(&n, 15));
}
END_TEST

START_TEST(test_passed_over)
{
    struct h2_budget b;
    char room[64];
    struct str head = frame_of(room, 5, HEADERS, END_HEADERS, 5);
    struct str low = frame_of(room + 32, 5, HEADERS, END_HEADERS, 3);

    begin(&b);
    ck_assert_uint_eq(h2_budget_look(&b, head, 0), head.n);
    ck_assert_uint_eq(h2_budget_look(&b, low, 0), 0);
    ck_assert(b.why && b.lies);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2_budget");
    TCase *t = tcase_create("h2_budget");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_control);
    tcase_add_test(t, test_refill);
    tcase_add_test(t, test_blocks);
    tcase_add_test(t, test_server);
    tcase_add_test(t, test_numbers);
    tcase_add_test(t, test_passed_over);
    return unit_run(s);
}
