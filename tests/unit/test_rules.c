/* test_rules.c - the rules of others beside the judge's, and recorded windows through them. */
#include "control/ctl/replay.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

static struct rule *rule_of(enum rule_kind kind)
{
    struct rule *r = xcalloc(1, sizeof(*r));
    struct rule_config conf;

    rule_defaults(&conf, kind);
    rule_init(r, &conf);
    rule_begin(r);
    return r;
}

/* SECONDS ticks of N canary requests with BAD errors, beside ten times as many of stable with 1
 * in 100; the second of the verdict, or 0. */
static int seconds_to_regressed(struct rule *r, int seconds, uint64_t n, uint64_t bad)
{
    struct rule_report report;

    for (int t = 1; t <= seconds; t++) {
        struct judge_window w = {.stable = {.n = 10 * n, .errors = n / 10},
                                 .canary = {.n = n, .errors = bad}};

        rule_step(r, t, &w, NULL, &report);
        if (report.verdict == JUDGE_REGRESSED)
            return t;
    }
    return 0;
}

static void check_regressed(enum rule_kind kind, uint64_t bad, int want)
{
    struct rule *r = rule_of(kind);

    ck_assert_int_eq(seconds_to_regressed(r, 1200, 100, bad), want);
    xfree(r);
}

START_TEST(thresholds_take_their_looks)
{
    check_regressed(RULE_FLAGGER, 1, 0);   /* 99 % is above 98 % */
    check_regressed(RULE_FLAGGER, 5, 360); /* five failed checks, acted on at the sixth look */
    check_regressed(RULE_ARGO, 5, 240);    /* the fourth failure */
    check_regressed(RULE_ARGO, 1, 0);
    check_regressed(RULE_ZTEST, 5, 60);
    check_regressed(RULE_KAYENTA, 5, 300);
    check_regressed(RULE_KAYENTA, 1, 0);
    check_regressed(RULE_EPROCESS, 5, 2);
}
END_TEST

START_TEST(no_data_fails_flagger_only)
{
    for (int kind = 0; kind < RULE_NKINDS; kind++) {
        struct rule *r = rule_of((enum rule_kind)kind);

        ck_assert_int_eq(seconds_to_regressed(r, 1200, 0, 0), kind == RULE_FLAGGER ? 360 : 0);
        xfree(r);
    }
}
END_TEST

START_TEST(flagger_halts_where_a_check_fails)
{
    struct rule *r = rule_of(RULE_FLAGGER);

    ck_assert_int_eq(seconds_to_regressed(r, 60, 100, 5), 0);
    ck_assert(r->halted);
    r->next_s = 60;
    ck_assert_int_eq(seconds_to_regressed(r, 60, 100, 0), 0);
    ck_assert(!r->halted);
    ck_assert_uint_eq(r->failed, 1); /* never forgotten */
    xfree(r);
}
END_TEST

/* Ten points each; BAD of the canary's are a hundred times the baseline's. */
static bool is_high(int bad, double shift[3])
{
    double canary[10], baseline[10];

    for (int i = 0; i < 10; i++) {
        baseline[i] = 1;
        canary[i] = i < bad ? 100 : 1;
    }
    return rule_mann_whitney(canary, 10, baseline, 10, shift);
}

START_TEST(seven_bad_points_of_ten_pass_kayenta)
{
    double shift[3];

    ck_assert(!is_high(7, shift)); /* as its users found */
    ck_assert_double_eq_tol(shift[0], 0, 2e-4);
    ck_assert_double_eq_tol(shift[1], 99, 2e-4);
    ck_assert(is_high(8, shift));
    ck_assert_double_ge(shift[0], 98);
    ck_assert(!is_high(0, shift));
    ck_assert_double_eq(shift[1], 0);
}
END_TEST

/* --- replay --- */

static char *replay(const char *windows, enum rule_kind kind, char **why)
{
    char path[] = "/tmp/test_rules.XXXXXX", *text = NULL, *reason = NULL;
    struct rule_config conf;
    int fd = mkstemp(path), rc;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(sys_write_all(fd, windows, strlen(windows)), 0);
    close(fd);
    rule_defaults(&conf, kind);
    rc = replay_file(path, &conf, out, &reason);
    fclose(out);
    unlink(path);
    ck_assert_msg(rc == (why ? -1 : 0), "%s", reason ? reason : "it was taken");
    if (why)
        *why = reason;
    return text;
}

static const char window[] =
    "{\"t\":12.0,\"stable\":{\"n\":950,\"errors\":9,\"slow\":{\"p50\":470,\"p90\":94,\"p99\":9}"
    "},"
    "\"canary\":{\"n\":50,\"errors\":20,\"slow\":{\"p50\":26,\"p90\":5,\"p99\":1}},"
    "\"weight\":5.0}\n";

START_TEST(a_window_gets_a_verdict)
{
    static const char *const fields[] = {"t",     "verdict", "class", "evalue",
                                         "limit", "excess",  "reason"};
    char *text = replay(window, RULE_EPROCESS, NULL);
    json_t *v = json_loads(text, 0, NULL);

    ck_assert_uint_eq(json_object_size(v), ARRAY_LEN(fields));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        ck_assert_ptr_nonnull(json_object_get(v, fields[i]));
    ck_assert_double_eq(json_real_value(json_object_get(v, "t")), 12);
    ck_assert_str_eq(json_string_value(json_object_get(v, "verdict")), "regressed");
    ck_assert_str_eq(json_string_value(json_object_get(v, "class")), "error");
    ck_assert_double_eq_tol(json_real_value(json_object_get(v, "excess")), .4 - 9. / 950, 1e-4);
    json_decref(v);
    free(text);
}
END_TEST

/* Five times slower by the histogram; each weight is a step. */
START_TEST(latency_may_be_a_histogram)
{
    char text[4096] = "";
    size_t n = 0;

    for (int t = 1; t <= 12; t++)
        n += (size_t)snprintf(
            text + n, sizeof(text) - n,
            "{\"t\":%d,\"stable\":{\"n\":100,\"errors\":0},\"canary\":{\"n\":20,\"errors\":0},"
            "\"latency\":{\"stable\":[[10,90],[20,10]],\"canary\":[[50,18],[100,2]]},"
            "\"weight\":%d}\n",
            t, t < 6 ? 5 : 10);
    char *out = replay(text, RULE_EPROCESS, NULL);
    ck_assert_ptr_nonnull(strstr(out, "\"verdict\":\"regressed\",\"class\":\"latency_p"));
    free(out);
}
END_TEST

START_TEST(bad_windows_are_named)
{
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"[]", ":2: is not a JSON object"},
        {"{", ":2: is not a JSON object"},
        {"{\"t\":1}", ":2: \"t\" must be seconds that do not fall"},
        {"{\"t\":13}", ":2: \"stable\" and \"canary\" must be objects"},
        {"{\"t\":13,\"weight\":101}", ":2: \"weight\" must be a number from 0 to 100"},
        {"{\"t\":13,\"stable\":{\"n\":1,\"errors\":2},\"canary\":{\"n\":1,\"errors\":0}}",
         "errors not above n"},
        {"{\"t\":13,\"stable\":{\"n\":-1,\"errors\":0},\"canary\":{\"n\":1,\"errors\":0}}",
         "must be counts"},
        {"{\"t\":13,\"stable\":{\"n\":1,\"errors\":0,\"slow\":{\"p50\":2,\"p90\":0,\"p99\":0}},"
         "\"canary\":{\"n\":1,\"errors\":0}}",
         "\"slow\" must have"},
        {"{\"t\":13,\"stable\":{\"n\":1,\"errors\":0},\"canary\":{\"n\":1,\"errors\":0},"
         "\"latency\":{\"stable\":[[0,1]],\"canary\":[]}}",
         "\"latency\" must have"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *text = xasprintf("%s%s\n", window, bad[i].line), *why = NULL;
        char *out = replay(text, RULE_EPROCESS, &why);

        ck_assert_msg(strstr(why, bad[i].why) != NULL, "%s", why);
        xfree(why);
        xfree(text);
        free(out);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rules");
    TCase *t = tcase_create("all");

    suite_add_tcase(s, t);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, thresholds_take_their_looks);
    tcase_add_test(t, no_data_fails_flagger_only);
    tcase_add_test(t, flagger_halts_where_a_check_fails);
    tcase_add_test(t, seven_bad_points_of_ten_pass_kayenta);
    tcase_add_test(t, a_window_gets_a_verdict);
    tcase_add_test(t, latency_may_be_a_histogram);
    tcase_add_test(t, bad_windows_are_named);
    return unit_run(s);
}
