/* test_expand.c - variables in strings, their escape, and what they must not do. */
#include "config/expand.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct arena arena;
static struct expansion out;

static void setup(void)
{
    arena_init(&arena, NULL, 0);
    setenv("SLUICE_A", "one", 1);
    setenv("SLUICE_VAR", "${ENV:SLUICE_A}", 1);
    setenv("SLUICE_EMPTY", "", 1);
    unsetenv("SLUICE_UNSET");
}

static void teardown(void)
{
    arena_release(&arena);
}

static bool run(const char *text)
{
    return expand(&arena, str_of(text), true, STR("/tmp"), &out);
}

START_TEST(variables)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"plain $ {} $5 $", "plain $ {} $5 $"},
        {"${ENV:SLUICE_A}", "one"},
        {"a${ENV:SLUICE_A}b${ENV:SLUICE_A}", "aonebone"},
        {"${ENV:SLUICE_UNSET:-two}", "two"},
        {"${ENV:SLUICE_UNSET:-}", ""},
        {"${ENV:SLUICE_A:-two}", "one"},
        {"${ENV:SLUICE_EMPTY:-two}", ""},         /* set, though empty */
        {"${ENV:SLUICE_VAR}", "${ENV:SLUICE_A}"}, /* once only */
        {"$${ENV:SLUICE_A}", "${ENV:SLUICE_A}"},
        {"$$${x", "$${x"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert_msg(run(cases[i].text), "%s", cases[i].text);
        ck_assert_msg(str_eq(out.text, str_of(cases[i].want)), "%s -> %.*s", cases[i].text,
                      STR_ARG(out.text));
        ck_assert_ptr_null(out.shown.p);
    }
}
END_TEST

START_TEST(mistakes)
{
    static const char *const cases[] = {"${",
                                        "${ENV:",
                                        "${ENV:}",
                                        "${ENV:SLUICE_UNSET}",
                                        "${env:SLUICE_A}",
                                        "${}",
                                        "${FILE:}",
                                        "${FILE:/nonexistent}",
                                        "${CRED:}",
                                        "${CRED:a/b}",
                                        "${SLUICE_A}"};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert_msg(!run(cases[i]), "%s", cases[i]);
        ck_assert_uint_gt(out.error.n, 0);
    }
}
END_TEST

START_TEST(without_lookup_only_the_escape_works)
{
    ck_assert(!expand(&arena, STR("${ENV:SLUICE_A}"), false, STR("/"), &out));
    ck_assert(!expand(&arena, STR("${FILE:/etc/passwd}"), false, STR("/"), &out));
    ck_assert(expand(&arena, STR("$${ENV:SLUICE_A}"), false, STR("/"), &out));
    ck_assert(str_eq(out.text, STR("${ENV:SLUICE_A}")));
}
END_TEST

START_TEST(files_are_secret)
{
    char path[] = "/tmp/sluice-expand-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(sys_write_all(fd, "pass\nword\n\n", 11), 0);
    sys_close(fd);

    struct str text =
        arena_printf(&arena, "<${FILE:%s}|${FILE:%s}>", path, path + strlen("/tmp/"));

    ck_assert(expand(&arena, text, true, STR("/tmp"), &out));
    ck_assert_str_eq(out.text.p, "<pass\nword\n|pass\nword\n>"); /* one newline is trimmed */
    ck_assert_str_eq(out.shown.p, "<***|***>");
    unlink(path);
}
END_TEST

START_TEST(escaping_is_undone_by_expansion)
{
    static const char *const cases[] = {
        "", "$", "${", "$${", "$$${", "{}", "${}", "a${ENV:SLUICE_A}b", "$$", "${${${"};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str escaped = expand_escape(&arena, str_of(cases[i]));

        ck_assert(expand(&arena, escaped, false, STR("/"), &out));
        ck_assert_msg(str_eq(out.text, str_of(cases[i])), "%s -> %.*s -> %.*s", cases[i],
                      STR_ARG(escaped), STR_ARG(out.text));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("expand");
    TCase *tc = tcase_create("expand");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, variables);
    tcase_add_test(tc, mistakes);
    tcase_add_test(tc, without_lookup_only_the_escape_works);
    tcase_add_test(tc, files_are_secret);
    tcase_add_test(tc, escaping_is_undone_by_expansion);
    suite_add_tcase(s, tc);

    return unit_run(s);
}
