/*
 * test_flag_offline.c - flags and contexts from files: the lines that come out.
 */
#include "control/ctl/flag_offline.h"

#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

static const char flags[] =
    "{\"flags\":{"
    "\"color\":{\"state\":\"ENABLED\",\"variants\":{\"r\":\"#f00\",\"g\":{\"x\":[1]}},"
    "\"defaultVariant\":\"r\",\"targeting\":{\"if\":[{\"==\":[{\"var\":\"n\"},1]},\"g\"]}},"
    "\"off\":{\"state\":\"DISABLED\",\"variants\":{\"a\":1},\"defaultVariant\":\"a\"},"
    "\"bad\":{\"state\":\"ENABLED\",\"variants\":{\"a\":1},\"targeting\":{\"what\":1}},"
    "\"time\":{\"state\":\"ENABLED\",\"variants\":{\"77\":true},"
    "\"targeting\":{\"var\":\"$flagd.timestamp\"}}}}";

static void with_file(char path[32], const char *text)
{
    int fd;

    memcpy(path, "/tmp/test_flag_offline.XXXXXX", 30);
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(sys_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

/* What comes out, malloc'd; RC 0 is expected unless WHY is not NULL. */
static char *run(const char *document, const char *contexts, char **why)
{
    char f[32], c[32], *text = NULL, *reason = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int rc;

    with_file(f, document);
    if (contexts)
        with_file(c, contexts);
    rc = flag_offline(f, contexts ? c : NULL, 77, out, &reason);
    fclose(out);
    unlink(f);
    if (contexts)
        unlink(c);
    ck_assert_int_eq(rc, reason ? -1 : 0);
    ck_assert_msg(!reason || why, "%s", reason);
    if (why)
        *why = reason;
    return text;
}

START_TEST(every_flag_of_every_line)
{
    char *text = run(flags, "{\"context\":{\"n\":1}}\n\n{\"flag\":\"color\"}\n", NULL);

    ck_assert_str_eq(
        text, "{\"i\":0,\"flag\":\"color\",\"value\":{\"x\":[1]},\"variant\":\"g\","
              "\"reason\":\"TARGETING_MATCH\"}\n"
              "{\"i\":0,\"flag\":\"off\",\"reason\":\"DISABLED\"}\n"
              "{\"i\":0,\"flag\":\"bad\",\"reason\":\"ERROR\",\"errorCode\":\"PARSE_ERROR\"}\n"
              "{\"i\":0,\"flag\":\"time\",\"value\":true,\"variant\":\"77\","
              "\"reason\":\"TARGETING_MATCH\"}\n"
              "{\"i\":1,\"flag\":\"color\",\"value\":\"#f00\",\"variant\":\"r\","
              "\"reason\":\"DEFAULT\"}\n");
    xfree(text);
}
END_TEST

START_TEST(no_contexts_is_the_empty_one)
{
    char *text = run(flags, NULL, NULL);

    ck_assert(strstr(text, "\"variant\":\"r\",\"reason\":\"DEFAULT\"") != NULL);
    xfree(text);
}
END_TEST

START_TEST(unknown_flags_are_said)
{
    char *text = run(flags, "{\"flag\":\"g\\\"one\",\"context\":{}}", NULL);

    ck_assert_str_eq(text, "{\"i\":0,\"flag\":\"g\\\"one\",\"reason\":\"ERROR\","
                           "\"errorCode\":\"FLAG_NOT_FOUND\"}\n");
    xfree(text);
}
END_TEST

START_TEST(bad_files_have_reasons)
{
    static const struct {
        const char *flags, *contexts, *reason;
    } t[] = {
        {"{", NULL, "line 1"},
        {"{\"flags\":1}", NULL, "\"flags\" must be"},
        {flags, "{\"context\":{}}\n[1]\n", "context 1 is not"},
    };
    char *why = NULL;

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        xfree(run(t[i].flags, t[i].contexts, &why));
        ck_assert_msg(why && strstr(why, t[i].reason), "%s", why);
        xfree(why);
    }
    why = NULL;
    ck_assert_int_eq(flag_offline("/nonexistent", NULL, 0, stdout, &why), -1);
    ck_assert(strstr(why, "/nonexistent: ") != NULL);
    xfree(why);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flag_offline");
    TCase *t = tcase_create("flag_offline");

    suite_add_tcase(s, t);
    tcase_add_test(t, every_flag_of_every_line);
    tcase_add_test(t, no_contexts_is_the_empty_one);
    tcase_add_test(t, unknown_flags_are_said);
    tcase_add_test(t, bad_files_have_reasons);
    return unit_run(s);
}
