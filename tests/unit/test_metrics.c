/* test_metrics.c - the text is what a strict scraper takes, and the numbers are right. */
#include "control/api/metrics.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- a strict reader of the exposition format --- */

static const char *take_name(const char *p)
{
    ck_assert_msg(isalpha((unsigned char)*p) || *p == '_', "a name begins here: %.40s", p);
    while (isalnum((unsigned char)*p) || *p == '_')
        p++;
    return p;
}

static const char *take_label_value(const char *p)
{
    ck_assert_int_eq(*p, '"');
    for (p++; *p != '"'; p++) {
        ck_assert_msg(*p && *p != '\n', "unterminated label value");
        if (*p == '\\') {
            p++;
            ck_assert_msg(*p == '\\' || *p == '"' || *p == 'n', "bad escape \\%c", *p);
        }
    }
    return p + 1;
}

static const char *take_labels(const char *p)
{
    if (*p != '{')
        return p;
    do {
        p = take_name(p + 1);
        ck_assert_int_eq(*p, '=');
        p = take_label_value(p + 1);
    } while (*p == ',');
    ck_assert_int_eq(*p, '}');
    return p + 1;
}

/* NAME is the family's or, for a histogram, the family's with a suffix. */
static void check_member(const char *name, size_t n, const char *fam, const char *type)
{
    size_t f = strlen(fam);
    const char *rest = name + f;

    ck_assert_msg(n >= f && memcmp(name, fam, f) == 0, "%.*s is not of %s", (int)n, name, fam);
    if (strcmp(type, "histogram") != 0) {
        ck_assert_uint_eq(n, f);
        return;
    }
    ck_assert((n - f == 7 && !memcmp(rest, "_bucket", 7)) ||
              (n - f == 4 && !memcmp(rest, "_sum", 4)) ||
              (n - f == 6 && !memcmp(rest, "_count", 6)));
}

/* Checks all of TEXT; counts the samples. */
static int check_format(const char *text)
{
    char fam[128] = "", type[32] = "", seen[100][128];
    int samples = 0, families = 0, of_family = 1;
    char *end;

    for (const char *p = text, *q; *p; p++, samples++, of_family++) {
        if (sscanf(p, "# HELP %127s", fam) == 1) {
            ck_assert_msg(of_family > 0, "%s: the family before it is empty", fam);
            of_family = -1;
            for (int i = 0; i < families; i++)
                ck_assert_str_ne(seen[i], fam);
            snprintf(seen[families++], 128, "%s", fam);
            p = strchr(p, '\n') + 1;
            ck_assert_int_eq(sscanf(p, "# TYPE %127s %31s", fam, type), 2);
            ck_assert_str_eq(seen[families - 1], fam);
            p = strchr(p, '\n');
            samples--;
            continue;
        }
        q = take_name(p);
        check_member(p, (size_t)(q - p), fam, type);
        if (strcmp(type, "counter") == 0)
            ck_assert_msg(strstr(fam, "_total") != NULL, "counter %s", fam);
        q = take_labels(q);
        ck_assert_int_eq(*q, ' ');
        strtod(q + 1, &end);
        ck_assert_msg(end > q + 1 && *end == '\n', "no number: %.60s", p);
        p = end;
    }
    return samples;
}

static void check_has(const char *text, const char *line)
{
    const char *p = strstr(text, line);

    ck_assert_msg(p && p > text && p[-1] == '\n', "no line %s", line);
}

static struct stats *stats_some(void)
{
    int fd = stats_create(2);
    struct stats *s = stats_map(fd, 1);

    sys_close(fd);
    return s;
}

START_TEST(test_empty)
{
    struct stats *st = stats_some();
    struct metrics m = {.stats = st, .version = "1.2", .flags_stale_seconds = -1};
    size_t n;
    char *text = metrics_text(&m, METRICS_TEXT, &n);

    ck_assert_uint_eq(strlen(text), n);
    ck_assert_int_gt(check_format(text), 10);
    ck_assert_ptr_null(strstr(text, "redis"));
    ck_assert_ptr_null(strstr(text, "stale"));
    check_has(text, "sluice_build_info{version=\"1.2\"} 1\n");
    xfree(text);
    stats_unmap(st);
}
END_TEST

START_TEST(test_everything)
{
    struct stats *st = stats_some();
    struct stats_version *v = &st->slabs[1].versions[3];
    struct metrics_version versions[] = {{STR("shop"), STR("v1"), 3, .75, .7512},
                                         {STR("shop"), STR("v\"2\\\n"), 4, .25, NAN}};
    struct metrics_endpoint endpoint = {STR("shop"), STR("v1"), STR("[::1]:80"), 1, true};
    struct metrics_rollout rollout = {
        STR("shop"), STR("r-1"), STR("canary"), STR("v2"), STR("v1"), STR("stepping"), 2};
    struct metrics_evalue evalue = {STR("shop"), STR("error"), INFINITY};
    struct metrics_result result = {STR("shop"), STR("reverted"), 3};
    struct metrics_revert revert = {STR("shop"), .012, 77};
    struct metrics_flag flag = {STR("new"), STR("on"), STR("STATIC"), 9};
    struct metrics m = {.stats = st,
                        .versions = versions,
                        .nversions = 2,
                        .endpoints = &endpoint,
                        .nendpoints = 1,
                        .rollouts = &rollout,
                        .nrollouts = 1,
                        .evalues = &evalue,
                        .nevalues = 1,
                        .results = &result,
                        .nresults = 1,
                        .reverts = &revert,
                        .nreverts = 1,
                        .flags = &flag,
                        .nflags = 1,
                        .version = "1",
                        .redis = METRICS_REDIS_DOWN,
                        .flags_stale_seconds = 1.5,
                        .config_ok = true};
    size_t n;
    char *text;

    stat_add(&v->requests[stats_code_index(200)][STATS_METHOD_GET], 5);
    stat_add(&v->duration[hist_bucket(700)], 2);
    stat_add(&v->duration[hist_bucket(40000)], 2);
    stat_add(&v->duration[hist_bucket(99000000)], 1);
    stat_add(&v->duration_sum_us, 99081400);
    stat_add(&st->slabs[0].violations[STATS_BAD_HOST], 2);
    text = metrics_text(&m, METRICS_TEXT, &n);
    check_format(text);
    check_has(text, "sluice_requests_total{service=\"shop\",version=\"v1\",code=\"200\","
                    "method=\"GET\"} 5\n");
    check_has(text, "sluice_request_duration_seconds_bucket{service=\"shop\",version=\"v1\","
                    "le=\"+Inf\"} 5\n");
    check_has(text,
              "sluice_request_duration_seconds_count{service=\"shop\",version=\"v1\"} 5\n");
    check_has(text, "sluice_request_duration_seconds_sum{service=\"shop\",version=\"v1\"} "
                    "99.0814\n");
    check_has(text, "sluice_version_weight_ratio{service=\"shop\",version=\"v\\\"2\\\\\\n\"} "
                    "0.25\n");
    ck_assert_ptr_null(strstr(text, "traffic_ratio{service=\"shop\",version=\"v\\\""));
    check_has(text, "sluice_endpoint_up{service=\"shop\",version=\"v1\",endpoint=\"[::1]:80\"} "
                    "1\n");
    check_has(text, "sluice_judge_evalue{service=\"shop\",class=\"error\"} +Inf\n");
    check_has(text, "sluice_http_violations_total{kind=\"host\",action=\"refused\"} 2\n");
    check_has(text, "sluice_redis_up 0\n");
    check_has(text, "sluice_flags_stale_seconds 1.5\n");
    check_has(text, "sluice_config_last_reload_successful 1\n");
    xfree(text);
    stats_unmap(st);
}
END_TEST

/* Every le is a real edge: exactly the requests at or below it are counted there. */
START_TEST(test_buckets_are_exact)
{
    struct stats *st = stats_some();
    struct stats_version *v = &st->slabs[0].versions[1];
    struct metrics_version version = {STR("s"), STR("v"), 1, 1, NAN};
    struct metrics m = {.stats = st, .versions = &version, .nversions = 1};
    double le, before = 0;
    unsigned long count;
    size_t n;
    char *text;
    int edges = 0;

    for (int i = 0; i < HIST_BUCKETS; i++)
        stat_add(&v->duration[i], 1);
    text = metrics_text(&m, METRICS_TEXT, &n);
    for (const char *p = text; (p = strstr(p, "sluice_request_duration_seconds_bucket{"));
         p++) {
        const char *q = strstr(p, "le=\"");

        ck_assert_int_eq(sscanf(q, "le=\"%lf\"} %lu", &le, &count), 2);
        ck_assert_double_gt(le, before);
        before = le;
        if (isinf(le)) {
            ck_assert_uint_eq(count, HIST_BUCKETS);
            break;
        }
        ck_assert_uint_eq(hist_upper_us((int)count - 1), (uint64_t)llround(le * 1e6));
        edges++;
    }
    ck_assert_int_eq(edges, 16);
    xfree(text);
    stats_unmap(st);
}
END_TEST

/* The same samples; families of counters lose their suffix, and the end is marked. */
START_TEST(test_open_metrics)
{
    struct stats *st = stats_some();
    struct metrics_version version = {STR("s"), STR("v"), 1, 1, NAN};
    struct metrics m = {.stats = st, .versions = &version, .nversions = 1, .version = "1"};
    size_t n;
    char *text;

    stat_add(&st->slabs[0].versions[1].requests[stats_code_index(200)][STATS_METHOD_GET], 5);
    text = metrics_text(&m, METRICS_OPEN, &n);
    check_has(text, "# TYPE sluice_requests counter\n");
    check_has(text, "# TYPE sluice_request_duration_seconds histogram\n");
    check_has(text, "sluice_requests_total{service=\"s\",version=\"v\",code=\"200\","
                    "method=\"GET\"} 5\n");
    ck_assert_ptr_null(strstr(text, "# TYPE sluice_requests_total"));
    ck_assert_uint_eq(strlen(text), n);
    ck_assert_str_eq(text + n - 6, "# EOF\n");
    ck_assert_ptr_eq(strstr(text, "# EOF"), text + n - 6);
    xfree(text);
    stats_unmap(st);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metrics");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, test_empty);
    tcase_add_test(tc, test_everything);
    tcase_add_test(tc, test_buckets_are_exact);
    tcase_add_test(tc, test_open_metrics);
    suite_add_tcase(s, tc);
    return unit_run(s);
}
