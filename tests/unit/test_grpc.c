/* test_grpc.c - statuses, deadlines and messages of gRPC, good ones and others. */
#include "control/link/grpc_health.h"
#include "proxy/http/grpc.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

START_TEST(test_type)
{
    ck_assert(grpc_type(STR("application/grpc")));
    ck_assert(grpc_type(STR("Application/GRPC")));
    ck_assert(grpc_type(STR("application/grpc+proto")));
    ck_assert(grpc_type(STR("application/grpc;charset=utf-8")));
    ck_assert(grpc_type(STR("application/grpc ; a=b")));
    ck_assert(!grpc_type(STR("application/grpc-web")));
    ck_assert(!grpc_type(STR("application/grpc-web+proto")));
    ck_assert(!grpc_type(STR("application/grpcx")));
    ck_assert(!grpc_type(STR("application/grp")));
    ck_assert(!grpc_type(STR("")));
}
END_TEST

START_TEST(test_status)
{
    ck_assert_int_eq(grpc_status_parse(STR("0")), GRPC_OK);
    ck_assert_int_eq(grpc_status_parse(STR("13")), GRPC_INTERNAL);
    ck_assert_int_eq(grpc_status_parse(STR("16")), GRPC_UNAUTHENTICATED);
    ck_assert_int_eq(grpc_status_parse(STR("17")), GRPC_UNKNOWN);
    ck_assert_int_eq(grpc_status_parse(STR("")), GRPC_UNKNOWN);
    ck_assert_int_eq(grpc_status_parse(STR("000")), GRPC_UNKNOWN);
    ck_assert_int_eq(grpc_status_parse(STR("-1")), GRPC_UNKNOWN);
    ck_assert_int_eq(grpc_status_parse(STR("1 ")), GRPC_UNKNOWN);
    ck_assert_int_eq(grpc_status_parse(STR("18446744073709551616")), GRPC_UNKNOWN);
}
END_TEST

START_TEST(test_lines)
{
    ck_assert_int_eq(grpc_status_of_lines(STR("a: b\r\nGrpc-Status: 14\r\nc: d\r\n")), 14);
    ck_assert_int_eq(grpc_status_of_lines(STR("grpc-status:0\r\n")), 0);
    ck_assert_int_eq(grpc_status_of_lines(STR("grpc-status: x\r\n")), GRPC_UNKNOWN);
    ck_assert_int_eq(grpc_status_of_lines(STR("grpc-status-details-bin: 1\r\n")), -1);
    ck_assert_int_eq(grpc_status_of_lines(STR_NONE), -1);
    ck_assert_int_eq(grpc_status_of_lines(STR("grpc-status:")), GRPC_UNKNOWN);
}
END_TEST

START_TEST(test_of_http)
{
    static const int rows[][2] = {{400, GRPC_INTERNAL},          {401, GRPC_UNAUTHENTICATED},
                                  {403, GRPC_PERMISSION_DENIED}, {404, GRPC_UNIMPLEMENTED},
                                  {429, GRPC_UNAVAILABLE},       {502, GRPC_UNAVAILABLE},
                                  {503, GRPC_UNAVAILABLE},       {504, GRPC_UNAVAILABLE},
                                  {200, GRPC_UNKNOWN},           {500, GRPC_UNKNOWN}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_int_eq((int)grpc_status_of_http(rows[i][0]), rows[i][1]);
}
END_TEST

/* "-": no deadline. */
static const struct {
    const char *in;
    int64_t us;
} timeouts[] = {
    {"1H", 3600000000},
    {"99999999H", 359999996400000000},
    {"2M", 120000000},
    {"3S", 3000000},
    {"100m", 100000},
    {"7u", 7},
    {"1500n", 2},
    {"1n", 1},
    {"0n", 0},
    {"00000005S", 5000000},
    /* none */
    {"", -1},
    {"S", -1},
    {"5", -1},
    {"5s", -1},
    {"123456789S", -1},
    {"-5S", -1},
    {"5 S", -1},
    {"5.5S", -1},
    {"5SS", -1},
};

START_TEST(test_timeout_parse)
{
    uint64_t us = 0;
    bool ok = grpc_timeout_parse(str_of(timeouts[_i].in), &us);

    ck_assert_msg(ok == (timeouts[_i].us >= 0), "%s", timeouts[_i].in);
    if (ok)
        ck_assert_int_eq((int64_t)us, timeouts[_i].us);
}
END_TEST

START_TEST(test_timeout_write)
{
    static const struct {
        uint64_t us;
        const char *want;
    } rows[] = {{0, "0u"},
                {99999999, "99999999u"},
                {100000000, "100000m"},
                {99999999999, "99999999m"},
                {100000000000, "100000S"},
                {359999996400000000, "99999999H"},
                {UINT64_MAX, "99999999H"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char room[GRPC_TIMEOUT_MAX];
        struct out o = out_init(room, sizeof(room));

        grpc_timeout_write(&o, rows[i].us);
        ck_assert(!o.full);
        ck_assert_msg(str_eq(out_text(&o), str_of(rows[i].want)), "%s", rows[i].want);
    }
}
END_TEST

START_TEST(test_message)
{
    char room[64];
    struct out o = out_init(room, sizeof(room));

    grpc_message_write(&o, STR("50 % off\r\n\t~\x7f\xc3\xa9"));
    ck_assert(str_eq(out_text(&o), STR("50 %25 off%0D%0A%09~%7F%C3%A9")));
}
END_TEST

START_TEST(test_health_ask)
{
    char room[GRPC_HEALTH_ASK], name[GRPC_HEALTH_NAME];
    struct str s;

    ck_assert(str_eq(grpc_health_ask(room, STR_NONE), STR("\0\0\0\0\0")));
    ck_assert(str_eq(grpc_health_ask(room, STR("a.B")), STR("\0\0\0\0\5\n\3a.B")));
    memset(name, 'x', sizeof(name));
    s = grpc_health_ask(room, (struct str){name, sizeof(name)});
    ck_assert_uint_eq(s.n, 5 + 3 + sizeof(name));
    ck_assert_int_eq(memcmp(s.p, "\0\0\0\0\xcb\n\xc8\1xx", 10), 0);
}
END_TEST

START_TEST(test_health_serving)
{
    ck_assert(grpc_health_serving(STR("\0\0\0\0\2\x08\1")));
    /* unknown fields around it, and the last one counts */
    ck_assert(grpc_health_serving(STR("\0\0\0\0\7\x12\1x\x08\2\x08\1")));
    ck_assert(grpc_health_serving(STR("\0\0\0\0\7\x08\1\x15xxxx")));
    ck_assert(!grpc_health_serving(STR("\0\0\0\0\2\x08\2")));
    ck_assert(!grpc_health_serving(STR("\0\0\0\0\0")));       /* UNKNOWN */
    ck_assert(!grpc_health_serving(STR("\1\0\0\0\2\x08\1"))); /* compressed */
    ck_assert(!grpc_health_serving(STR("\0\0\0\0\3\x08\1"))); /* cut */
    ck_assert(!grpc_health_serving(STR("\0\0\0\0\2\x08\1x")));
    ck_assert(!grpc_health_serving(STR("\0\0\0\0\2\x08\x81")));
    ck_assert(!grpc_health_serving(STR("\0\0\0\0\4\x08\1\x12\5")));
    ck_assert(!grpc_health_serving(STR("\0\0\0\0\3\x08\1\x0b"))); /* a group */
    ck_assert(!grpc_health_serving(STR("")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grpc");
    TCase *t = tcase_create("grpc");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_type);
    tcase_add_test(t, test_status);
    tcase_add_test(t, test_lines);
    tcase_add_test(t, test_of_http);
    tcase_add_loop_test(t, test_timeout_parse, 0, sizeof(timeouts) / sizeof(timeouts[0]));
    tcase_add_test(t, test_timeout_write);
    tcase_add_test(t, test_message);
    tcase_add_test(t, test_health_ask);
    tcase_add_test(t, test_health_serving);
    return unit_run(s);
}
