/*
 * test_flag_guard.c - windows and prerequisites of flags, and the times they are written in.
 */
#include "config/flag_time.h"
#include "proxy/base/mem.h"
#include "proxy/route/flag_eval.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>

#define SET(flags) "{\"format\":1,\"flags\":{" flags "}}"
#define FLAG(key, metadata)                                                                    \
    "\"" key "\":{\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":false},"             \
    "\"defaultVariant\":\"off\",\"targeting\":{\"var\":\"wants\"},\"metadata\":{" metadata     \
    "}}"

static const char *wants; /* what every rule answers */

static bool get(void *arg, struct str path, struct flag_value *out)
{
    (void)arg;
    *out = flag_text(str_of(wants));
    return str_eq(path, STR("wants"));
}

static struct flagset *compiled(const char *doc)
{
    char *why = NULL;
    struct flagset *set = flagset_compile(str_of(doc), &why);

    ck_assert_msg(set != NULL, "%s", why);
    return set;
}

/* "variant/REASON", with "!" behind it when a need is not met, or "error". */
static void expect(const char *doc, const char *key, uint64_t now, const char *want)
{
    struct flagset *set = compiled(doc);
    struct flag_ctx *c = flag_ctx_new();
    const struct flag_result *r;
    char is[64] = "error";

    wants = "on";
    flag_ctx_begin(c, set, get, NULL, now);
    r = flag_eval(c, flagset_find(set, str_of(key)));
    if (r->error == FLAG_OK)
        snprintf(is, sizeof(is), "%.*s/%s%s", STR_ARG(r->variant ? r->variant->name : STR("-")),
                 flag_reason_name(r->reason), r->unsatisfied ? "!" : "");
    ck_assert_msg(!strcmp(is, want), "%s %s: %s, want %s", doc, key, is, want);
    flag_ctx_free(c);
    flagset_unref(set);
}

START_TEST(times_are_rfc_3339)
{
    static const struct {
        const char *text;
        uint64_t unix_s; /* 0: refused */
    } cases[] = {
        {"2026-11-22T21:00:00Z", 1795381200},
        {"2026-11-22T21:00:00.999Z", 1795381200},
        {"2026-11-22T22:30:00+01:30", 1795381200},
        {"2026-11-22T16:00:00-05:00", 1795381200},
        {"2026-11-22 21:00:00Z", 0},
        {"2026-11-22T21:00:00", 0},
        {"2026-13-22T21:00:00Z", 0},
        {"2026-11-22T24:00:00Z", 0},
        {"2026-11-22T21:00:00.Z", 0},
        {"2026-11-22T21:00:00+1:00", 0},
        {"2026-11-22T21:00:00Z ", 0},
        {"1969-12-31T23:59:59Z", 0},
        {"-026-11-22T21:00:00Z", 0},
        {"", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint64_t t = 0;

        ck_assert_msg(flag_time_parse(str_of(cases[i].text), &t) == (cases[i].unix_s != 0),
                      "%s", cases[i].text);
        if (cases[i].unix_s)
            ck_assert_uint_eq(t, cases[i].unix_s);
    }
}
END_TEST

START_TEST(a_window_is_open_from_and_closed_until)
{
    static const char doc[] = SET(FLAG("f", "\"proxy.from\":\"2026-11-22T21:00:00Z\","
                                            "\"proxy.until\":\"2026-11-22T22:00:00Z\""));

    expect(doc, "f", 1795381199, "off/DEFAULT");
    expect(doc, "f", 1795381200, "on/TARGETING_MATCH");
    expect(doc, "f", 1795384799, "on/TARGETING_MATCH");
    expect(doc, "f", 1795384800, "off/DEFAULT");
    expect(SET(FLAG("f", "\"proxy.until\":\"soon\"")), "f", 1, "error");
    expect(SET(FLAG("f", "\"proxy.from\":5")), "f", 1, "error");
}
END_TEST

START_TEST(needs_are_what_the_same_request_gets)
{
    expect(SET(FLAG("f", "\"proxy.needs\":\"g=on\"") "," FLAG("g", "")), "f", 1,
           "on/TARGETING_MATCH");
    expect(SET(FLAG("f", "\"proxy.needs\":\" g = off \"") "," FLAG("g", "")), "f", 1,
           "off/DEFAULT!");
    expect(
        SET(FLAG("f", "\"proxy.needs\":\"g!=off, h=on\"") "," FLAG("g", "") "," FLAG("h", "")),
        "f", 1, "on/TARGETING_MATCH");
    expect(SET(FLAG("f", "\"proxy.needs\":\"g!=on,h=on\"") "," FLAG("g", "") "," FLAG("h", "")),
           "f", 1, "off/DEFAULT!");
    /* a flag that is needed and is not there, or is bad, satisfies nothing */
    expect(SET(FLAG("f", "\"proxy.needs\":\"gone=on\"")), "f", 1, "off/DEFAULT!");
    expect(SET(FLAG("f", "\"proxy.needs\":\"gone!=on\"")), "f", 1, "off/DEFAULT!");
    expect(SET(FLAG("f", "\"proxy.needs\":\"bad!=on\"") ",\"bad\":{\"state\":\"?\"}"), "f", 1,
           "off/DEFAULT!");
    /* the window of what is needed counts */
    expect(SET(FLAG("f", "\"proxy.needs\":\"g=on\"") "," FLAG(
               "g", "\"proxy.until\":\"2000-01-01T00:00:00Z\"")),
           "f", 1795381200, "off/DEFAULT!");
}
END_TEST

START_TEST(needs_that_make_no_sense_quarantine)
{
    static const char *const bad[] = {
        SET(FLAG("f", "\"proxy.needs\":true")),
        SET(FLAG("f", "\"proxy.needs\":\"g\"") "," FLAG("g", "")),
        SET(FLAG("f", "\"proxy.needs\":\"=on\"")),
        SET(FLAG("f", "\"proxy.needs\":\"!=on\"")),
        SET(FLAG("f", "\"proxy.needs\":\"g=\"") "," FLAG("g", "")),
        SET(FLAG("f", "\"proxy.needs\":\"f=on\"")),
        SET(FLAG("f", "\"proxy.needs\":\"g=on\"") "," FLAG("g", "\"proxy.needs\":\"f=on\"")),
        SET(FLAG("f", "\"proxy.needs\":\"g=on\"") "," FLAG(
            "g", "\"proxy.needs\":\"h=on\"") "," FLAG("h", "")),
        SET(FLAG("f", "\"proxy.needs\":\"a=b,a=b,a=b,a=b,a=b,a=b,a=b,a=b,a=b,a=b,a=b,a=b,a=b,"
                      "a=b,a=b,a=b,a=b\"")),
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct flagset *set = compiled(bad[i]);

        ck_assert_msg(flagset_quarantine(set, 0).n > 0, "%s", bad[i]);
        flagset_unref(set);
        expect(bad[i], "f", 1, "error");
    }
}
END_TEST

START_TEST(a_request_is_told_once_for_each_flag)
{
    struct flagset *set =
        compiled(SET(FLAG("f", "\"proxy.needs\":\"g=on\"") "," FLAG("g", "")));
    struct flag_ctx *c = flag_ctx_new();

    for (int i = 0; i < 3; i++) {
        flag_ctx_begin(c, set, get, NULL, 1);
        (void)flag_eval(c, 0);
        ck_assert(flag_known(c, 1)); /* it was needed */
        ck_assert(flag_first(c, 1) && !flag_first(c, 1));
        ck_assert(flag_first(c, 0) && !flag_first(c, 0));
    }
    flag_ctx_free(c);
    flagset_unref(set);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flag_guard");
    TCase *t = tcase_create("flag_guard");

    tcase_add_test(t, times_are_rfc_3339);
    tcase_add_test(t, a_window_is_open_from_and_closed_until);
    tcase_add_test(t, needs_are_what_the_same_request_gets);
    tcase_add_test(t, needs_that_make_no_sense_quarantine);
    tcase_add_test(t, a_request_is_told_once_for_each_flag);
    suite_add_tcase(s, t);
    return unit_run(s);
}
