/* test_units.c - durations, addresses, names, percentages, file modes, nearest names. */
#include "config/suggest.h"
#include "config/units.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

static struct arena arena;

START_TEST(durations)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0s", 0},        {"5s", 5000},           {"90s", 90000},
                {"1m30s", 90000}, {"500ms", 500},         {"24h", 86400000},
                {"0ms", 0},       {"1h2m3s4ms", 3723004}, {"1h5ms", 3600005}};
    static const char *const bad[] = {
        "",     "5",  "s",  "5 s", "1s1h", "1s1s",           "-1s",
        "1.5s", "1d", "5S", "s5",  "1m30", "99999999999999s"};
    uint64_t ms = 7;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_msg(conf_duration(str_of(good[i].text), &ms), "%s", good[i].text);
        ck_assert_uint_eq(ms, good[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!conf_duration(str_of(bad[i]), &ms), "%s", bad[i]);
}
END_TEST

START_TEST(sizes)
{
    static const char *const bad[] = {"",       "5",     "MiB",          "1MB",  "-1B",
                                      "1.5GiB", "1 MiB", "99999999999B", "1MiBx"};
    static const char *const exact[] = {"0B",      "1B",     "1023B", "64KiB",
                                        "1025KiB", "512MiB", "4GiB"};
    struct arena a;
    uint64_t n;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!unit_size(str_of(bad[i]), &n), "%s", bad[i]);
    arena_init(&a, NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(exact); i++) {
        ck_assert(unit_size(str_of(exact[i]), &n));
        ck_assert_str_eq(unit_size_text(&a, n).p, exact[i]);
    }
    ck_assert(unit_size(STR("1024KiB"), &n));
    ck_assert_uint_eq(n, 1 << 20);
    arena_release(&a);
}
END_TEST

START_TEST(duration_text_is_the_inverse)
{
    static const uint64_t values[] = {0,     1,       999,      1000,   60000,
                                      90000, 3600000, 86400000, 3723004};

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        uint64_t ms;

        ck_assert(conf_duration(conf_duration_text(&arena, values[i]), &ms));
        ck_assert_uint_eq(ms, values[i]);
    }
    ck_assert_str_eq(conf_duration_text(&arena, 90000).p, "1m30s");
    ck_assert_str_eq(conf_duration_text(&arena, 0).p, "0s");
    ck_assert_str_eq(conf_duration_text(&arena, 1500).p, "1s500ms");
}
END_TEST

START_TEST(addresses)
{
    static const char *const bad[] = {
        "",         ":80",          "127.0.0.1",     "127.0.0.1:",     "127.0.0.1:65536",
        "::1:80",   "[::1]",        "[::1]80",       "[127.0.0.1]:80", "[::1]:80x",
        "1.2.3:80", "256.1.1.1:80", "a b:80",        "-a:80",          "a..b:80",
        "a:b:80",   "http://a:80",  "127.0.0.1: 80", "127.0.0.1:+80",  "[::1:80"};
    struct str host;
    uint16_t port;

    ck_assert(conf_address(&arena, STR("127.0.0.1:9001"), &host, &port));
    ck_assert_str_eq(host.p, "127.0.0.1");
    ck_assert_uint_eq(port, 9001);
    ck_assert(conf_address(&arena, STR("[fe80::1]:80"), &host, &port));
    ck_assert_str_eq(host.p, "fe80::1");
    ck_assert_uint_eq(port, 80);
    ck_assert(conf_address(&arena, STR("shop_1.internal:0"), &host, &port));
    ck_assert_str_eq(host.p, "shop_1.internal");
    ck_assert_uint_eq(port, 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!conf_address(&arena, str_of(bad[i]), &host, &port), "%s", bad[i]);
}
END_TEST

START_TEST(names_of_things)
{
    char longest[66];

    memset(longest, 'a', sizeof(longest));
    ck_assert(conf_name_ok(STR("v1.8.2-rc_1")));
    ck_assert(conf_name_ok((struct str){longest, 64}));
    ck_assert(!conf_name_ok((struct str){longest, 65}));
    ck_assert(!conf_name_ok(STR("")));
    ck_assert(!conf_name_ok(STR(".hidden")));
    ck_assert(!conf_name_ok(STR("a/b")));
    ck_assert(!conf_name_ok(STR("a b")));
    ck_assert(!conf_name_ok(STR("gr\xc3\xbc\xc3\x9f")));
}
END_TEST

START_TEST(percentages)
{
    uint32_t w;

    for (uint32_t i = 0; i <= CONF_WEIGHT_FULL; i++) { /* every step survives a double */
        struct str text = unit_percent_text(&arena, i);

        ck_assert(unit_percent(strtod(text.p, NULL), &w));
        ck_assert_uint_eq(w, i);
    }
    ck_assert_str_eq(unit_percent_text(&arena, 3333).p, "33.33");
    ck_assert_str_eq(unit_percent_text(&arena, 50).p, "0.5");
    ck_assert_str_eq(unit_percent_text(&arena, 1).p, "0.01");
    ck_assert(!unit_percent(33.333, &w));
    ck_assert(!unit_percent(0.005, &w));
    ck_assert(!unit_percent(100.01, &w));
    ck_assert(!unit_percent(-0.01, &w));
    ck_assert(!unit_percent(0.0 / strtod("0", NULL), &w));
}
END_TEST

START_TEST(modes_tokens_and_paths)
{
    uint32_t mode = 0;

    ck_assert(unit_mode(STR("0660"), &mode));
    ck_assert_uint_eq(mode, 0660);
    ck_assert(unit_mode(STR("600"), &mode));
    ck_assert_uint_eq(mode, 0600);
    ck_assert(!unit_mode(STR("0888"), &mode));
    ck_assert(!unit_mode(STR("4755"), &mode));
    ck_assert(unit_token(STR("x-user_id")));
    ck_assert(!unit_token(STR("a;b")));
    ck_assert(!unit_token(STR("")));
    ck_assert(unit_path(STR("/a/b%20c"), false));
    ck_assert(!unit_path(STR("/a?b"), false));
    ck_assert(unit_path(STR("/a?b"), true));
    ck_assert(!unit_path(STR("/a#b"), true));
    ck_assert(!unit_path(STR("/a\xc3\xbc"), true));
    ck_assert(unit_loopback(STR("127.9.9.9")));
    ck_assert(unit_loopback(STR("::1")));
    ck_assert(!unit_loopback(STR("128.0.0.1")));
    ck_assert(!unit_loopback(STR("localhost")));
}
END_TEST

START_TEST(text_is_utf8_without_controls)
{
    ck_assert(unit_text(STR("gr\xc3\xb6\xc3\x9f\x65 \xf0\x9f\x9a\xb0")));
    ck_assert(!unit_text(STR("a\nb")));
    ck_assert(!unit_text(STR("a\x7f")));
    ck_assert(!unit_text(STR("\xff")));
    ck_assert(!unit_text(STR("\xc0\xaf")));         /* overlong */
    ck_assert(!unit_text(STR("\xe0\x80\xaf")));     /* overlong */
    ck_assert(!unit_text(STR("\xed\xa0\x80")));     /* surrogate */
    ck_assert(!unit_text(STR("\xf4\x90\x80\x80"))); /* above U+10FFFF */
    ck_assert(!unit_text(STR("\xe2\x82")));         /* cut off */
}
END_TEST

START_TEST(nearest_names)
{
    static const struct str names[] = {STR_INIT("health"), STR_INIT("weights"),
                                       STR_INIT("timeouts"), STR_INIT("to")};

    ck_assert_uint_eq(suggest_distance(STR("health"), STR("health")), 0);
    ck_assert_uint_eq(suggest_distance(STR("health"), STR("helath")), 1); /* a swap is one */
    ck_assert_uint_eq(suggest_distance(STR("health"), STR("halth")), 1);
    ck_assert_uint_eq(suggest_distance(STR("health"), STR("heealthh")), 2);
    ck_assert_uint_eq(suggest_distance(STR("health"), STR("wealthy")), 2);
    ck_assert_uint_eq(suggest_distance(STR("health"), STR("weights")), 3);
    ck_assert_uint_eq(suggest_distance(STR(""), STR("ab")), 2);
    ck_assert_int_eq(suggest_pick(STR("helth"), names, 4), 0);
    ck_assert_int_eq(suggest_pick(STR("wieghts"), names, 4), 1);
    ck_assert_int_eq(suggest_pick(STR("ot"), names, 4), 3);
    ck_assert_int_eq(suggest_pick(STR("tls"), names, 4), -1); /* short words: one edit */
    ck_assert_int_eq(suggest_pick(STR("x"), names, 4), -1);
    ck_assert_int_eq(suggest_pick(STR("mirror"), names, 4), -1);
}
END_TEST

START_TEST(endpoints)
{
    static const char *const bad[] = {"unix:", "unix:/", "unix:x.sock", "127.0.0.1:0", "a"};
    struct str host;
    uint16_t port;
    char path[128] = "unix:/";

    ck_assert(unit_endpoint(&arena, STR("unix:/run/x.sock"), &host, &port));
    ck_assert(str_eq(host, STR("/run/x.sock")) && port == 0);
    ck_assert(unit_endpoint(&arena, STR("[::1]:80"), &host, &port));
    ck_assert(str_eq(host, STR("::1")) && port == 80);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!unit_endpoint(&arena, str_of(bad[i]), &host, &port), "%s", bad[i]);
    memset(path + 6, 'x', 106); /* with the slash as long as the name of a socket can be */
    ck_assert(unit_endpoint(&arena, str_of(path), &host, &port));
    path[112] = 'x';
    ck_assert(!unit_endpoint(&arena, str_of(path), &host, &port));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("units");
    TCase *tc = tcase_create("units");

    arena_init(&arena, NULL, 0);
    tcase_add_test(tc, durations);
    tcase_add_test(tc, endpoints);
    tcase_add_test(tc, duration_text_is_the_inverse);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, addresses);
    tcase_add_test(tc, names_of_things);
    tcase_add_test(tc, percentages);
    tcase_add_test(tc, modes_tokens_and_paths);
    tcase_add_test(tc, text_is_utf8_without_controls);
    tcase_add_test(tc, nearest_names);
    suite_add_tcase(s, tc);

    int code = unit_run(s);

    arena_release(&arena);
    return code;
}
