/*
 * test_golden_config.c - every file NAME.jsonc of tests/golden/config and what is said of it.
 *
 * NAME.txt beside it holds the exact diagnostics; an empty one means that the file is good.
 * UPDATE=1 in the environment rewrites them: read the difference before you commit it.
 */
#include "config/conf.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#define FOLDER      "tests/golden/config"
#define CASES_LEAST 45

static glob_t cases;

static struct str diagnose(struct arena *a, const char *path)
{
    struct conf_diags d;

    conf_diags_init(&d);
    conf_free(conf_load(path, &d));

    struct str text = conf_diags_text(a, &d);

    conf_diags_release(&d);
    return text;
}

START_TEST(golden)
{
    const char *path = cases.gl_pathv[_i];
    struct arena a;
    struct str want = STR("");

    arena_init(&a, NULL, 0);

    struct str base = {path, strlen(path) - strlen(".jsonc")};
    struct str expected = arena_printf(&a, "%.*s.txt", STR_ARG(base));
    struct str got = diagnose(&a, path);

    if (getenv("UPDATE"))
        ck_assert_int_eq(sys_write_file(expected.p, got, 0644), 0);
    ck_assert_msg(sys_read_file(&a, expected.p, 1 << 20, &want) == 0, "no %s", expected.p);
    ck_assert_msg(str_eq(got, want), "%s:\ngot:\n%s\nwant:\n%s", path, got.p, want.p);
    arena_release(&a);
}
END_TEST

START_TEST(there_are_enough)
{
    ck_assert_uint_ge(cases.gl_pathc, CASES_LEAST);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("golden_config");
    TCase *tc = tcase_create("golden");

    setenv("SLUICE_TEST_HOST", "127.0.0.1", 1);
    unsetenv("SLUICE_TEST_UNSET");
    unsetenv("CREDENTIALS_DIRECTORY");
    if (glob(FOLDER "/*.jsonc", 0, NULL, &cases) != 0)
        return EXIT_FAILURE; /* not run from the root of the project */
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, golden, 0, (int)cases.gl_pathc);
    tcase_add_test(tc, there_are_enough);
    suite_add_tcase(s, tc);

    int code = unit_run(s);

    globfree(&cases);
    return code;
}
