/* test_snapshot.c - the routing snapshot: there and back, live over config, bad ones refused.
 */
#include "config/snapshot.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 0);
}

static void teardown(void)
{
    arena_release(&arena);
}

static struct conf *load(const char *path)
{
    struct conf_diags d;
    struct conf *c;

    conf_diags_init(&d);
    c = conf_load(path, &d);
    ck_assert_msg(c != NULL, "%s", conf_diags_text(&arena, &d).p);
    conf_diags_release(&d);
    return c;
}

static struct snapshot parse(const char *doc)
{
    struct snapshot s = {0};
    char *why;
    int rc = snapshot_parse(str_of(doc), &s, &why);

    ck_assert_msg(rc == 0, "%s", why ? why : "?");
    return s;
}

static void refuse(const char *doc, const char *because)
{
    struct snapshot s = {0};
    char *why = NULL;

    ck_assert_int_eq(snapshot_parse(str_of(doc), &s, &why), -1);
    ck_assert_ptr_nonnull(why);
    ck_assert_msg(strstr(why, because) != NULL, "\"%s\" in \"%s\"", because, why);
    xfree(why);
}

START_TEST(there_and_back)
{
    struct conf *c = load("config/examples/full.jsonc");
    struct conf_service *shop = &c->services[0];

    snapshot_number(c);
    shop->rollout = STR("r-17");
    shop->versions[0].weight = 9000;
    shop->versions[1].weight = 1000;
    shop->versions[1].age = 7;
    shop->versions[0].endpoints[1].up = false;
    shop->versions[0].endpoints[1].drain = true;

    char *doc = snapshot_write(c, 42);
    struct snapshot s = parse(doc);
    const struct conf_service *t = &s.conf->services[0];

    ck_assert_uint_eq(s.generation, 42);
    ck_assert_str_eq(t->rollout.p, "r-17");
    ck_assert_uint_eq(t->versions[0].weight, 9000);
    ck_assert_uint_eq(t->versions[1].age, 7);
    ck_assert_uint_eq(t->versions[1].cell, 2);
    ck_assert_uint_eq(t->versions[1].endpoints[0].cell, 3);
    ck_assert(!t->versions[0].endpoints[1].up);
    ck_assert(t->versions[0].endpoints[1].drain);
    ck_assert(t->versions[0].endpoints[0].up);
    /* the name is kept, its address is not looked up again */
    ck_assert_str_eq(t->versions[1].endpoints[0].name.p, "localhost:9003");
    ck_assert_str_eq(t->versions[1].endpoints[0].host.p, "127.0.0.1");
    ck_assert_uint_eq(t->versions[1].endpoints[0].port, 9003);
    ck_assert_uint_eq(t->overrides[0].version, 1);
    ck_assert_str_eq(s.conf->services[1].rollout.p, "");

    char *again = snapshot_write(s.conf, 42);

    ck_assert_str_eq(doc, again);
    xfree(doc);
    xfree(again);
    conf_free(s.conf);
    conf_free(c);
}
END_TEST

START_TEST(variables_are_not_expanded_twice)
{
    struct conf *c;
    struct conf_diags d;

    setenv("SLUICE_TEST", "/x/${ENV:HOME}", 1);
    conf_diags_init(&d);
    c = conf_parse(
        STR("{\"version\":1,\"state_dir\":\"${ENV:SLUICE_TEST}\",\"listeners\":{\"w\":"
            "{\"address\":\"127.0.0.1:0\"}},\"services\":{},\"routes\":[]}"),
        "", &d);
    ck_assert_ptr_nonnull(c);

    char *doc = snapshot_write(c, 1);
    struct snapshot s = parse(doc);

    ck_assert_str_eq(s.conf->state_dir.p, "/x/${ENV:HOME}");
    conf_free(c);
    conf_free(s.conf);
    conf_diags_release(&d);
    xfree(doc);
}
END_TEST

START_TEST(passwords_stay_out)
{
    struct conf *c;
    struct conf_diags d;

    conf_diags_init(&d);
    c = conf_parse(
        STR("{\"version\":1,\"flags\":{\"redis\":\"redis://ann:hunter2@127.0.0.1/0\"},"
            "\"listeners\":{\"w\":{\"address\":\"127.0.0.1:0\"}},\"services\":{},"
            "\"routes\":[]}"),
        "", &d);
    ck_assert_ptr_nonnull(c);

    char *doc = snapshot_write(c, 1);
    struct snapshot s = parse(doc);

    ck_assert_ptr_null(strstr(doc, "hunter2"));
    ck_assert_str_eq(s.conf->flags.redis.p, "redis://***@127.0.0.1/0");
    conf_free(c);
    conf_free(s.conf);
    conf_diags_release(&d);
    xfree(doc);
}
END_TEST

#define CONFIG                                                                                 \
    "\"config\":{\"version\":1,\"listeners\":{\"w\":{\"address\":\"127.0.0.1:0\"}},"           \
    "\"services\":{\"s\":{\"versions\":{\"v1\":{\"endpoints\":[\"127.0.0.1:1\"]},"             \
    "\"v2\":{\"endpoints\":[\"127.0.0.1:2\"]}},\"overrides\":[{\"name\":\"o\",\"to\":\"v2\","  \
    "\"match\":{\"cookie\":{\"a\":\"b\"}}}]}},\"routes\":[{\"service\":\"s\"}]}"
#define HEAD     "{\"format\":1,\"generation\":9," CONFIG ",\"live\":"
#define EP(cell) "{\"cell\":" cell ",\"up\":true,\"drain\":false}"
#define VERSION(weight, cell, endpoints)                                                       \
    "{\"weight_bp\":" weight ",\"cell\":" cell ",\"age\":0,\"endpoints\":" endpoints "}"

START_TEST(live_replaces_the_versions)
{
    struct snapshot s = parse(
        HEAD "{\"s\":{\"versions\":{"
             "\"v3\":" VERSION("2500", "5",
                               "{\"[::1]:7\":" EP("9") ",\"127.0.0.1:8\":" EP(
                                   "10") "}") ","
                                              "\"v2\":" VERSION("7500", "6", "{}") "}}}}");
    const struct conf_service *t = &s.conf->services[0];

    ck_assert_uint_eq(t->nversions, 2);
    ck_assert_str_eq(t->versions[0].name.p, "v3");
    ck_assert_uint_eq(t->versions[0].cell, 5);
    ck_assert_uint_eq(t->versions[0].nendpoints, 2);
    ck_assert_str_eq(t->versions[0].endpoints[0].host.p, "::1");
    ck_assert_uint_eq(t->versions[1].nendpoints, 0);
    ck_assert_uint_eq(t->overrides[0].version, 1); /* still v2, at its new place */
    conf_free(s.conf);
}
END_TEST

START_TEST(without_live_the_config_counts)
{
    struct snapshot s = parse(HEAD "{}}");

    ck_assert_uint_eq(s.conf->services[0].nversions, 2);
    ck_assert_uint_eq(s.conf->services[0].versions[0].weight, CONF_WEIGHT_FULL);
    conf_free(s.conf);
}
END_TEST

START_TEST(bad_snapshots_are_refused)
{
    refuse("", "empty");
    refuse("{\"format\":1", "1:12: the document ends");
    refuse("[]", "not a snapshot");
    refuse("{\"format\":2,\"generation\":1}", "not a snapshot");
    refuse("{\"format\":1,\"generation\":-1}", "not a snapshot");
    refuse("{\"format\":1,\"generation\":1}", "no config");
    refuse("{\"format\":1,\"generation\":1,\"config\":{\"version\":1}}", "missing key");
    refuse(HEAD "{\"s\":{}}}", "without versions");
    refuse(HEAD "{\"s\":{\"versions\":{\"v2\":" VERSION("9999", "1", "{}") "}}}}", "10000");
    refuse(HEAD "{\"s\":{\"versions\":{\"v2\":" VERSION("-1", "1", "{}") "}}}}", "weight_bp");
    refuse(HEAD "{\"s\":{\"versions\":{\"v2\":" VERSION("10000", "4096", "{}") "}}}}", "cell");
    refuse(HEAD "{\"s\":{\"versions\":{\"v1\":" VERSION("10000", "1", "{}") "}}}}", "override");
    refuse(HEAD
           "{\"s\":{\"versions\":{\"v2\":" VERSION("10000", "1", "{\"x\":" EP("1") "}") "}}}}",
           "not an address");
    refuse(HEAD "{\"s\":{\"versions\":{\"v2\":" VERSION(
               "10000", "1",
               "{\"host:1\":{\"host\":\"elsewhere\",\"cell\":"
               "1,\"up\":true,\"drain\":false}}") "}}}}",
           "without an address");
    refuse(HEAD "{\"s\":{\"versions\":{\"v2\":" VERSION(
               "10000", "1", "{\"127.0.0.1:1\":" EP("16384") "}") "}}}}",
           "cell");
}
END_TEST

/* 10000 routes, 1000 services, 10000 endpoints. */
static struct str large_config(void)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    fputs("{\"version\":1,\"listeners\":{\"w\":{\"address\":\"127.0.0.1:0\"}},\"services\":{",
          f);
    for (int i = 0; i < 1000; i++) {
        fprintf(f, "%s\"service-%d\":{\"versions\":{", i ? "," : "", i);
        for (int v = 0; v < 2; v++) {
            fprintf(f, "%s\"v%d\":{\"endpoints\":[", v ? "," : "", v);
            for (int e = 0; e < 5; e++)
                fprintf(f, "%s\"10.%d.%d.%d:8080\"", e ? "," : "", i / 250, i % 250, v * 5 + e);
            fputs("]}", f);
        }
        fputs("}}", f);
    }
    fputs("},\"routes\":[", f);
    for (int i = 0; i < 10000; i++)
        fprintf(
            f, "%s{\"host\":\"h%d.example.com\",\"path\":\"/p%d/\",\"service\":\"service-%d\"}",
            i ? "," : "", i % 100, i, i % 1000);
    fputs("]}", f);
    fclose(f);

    struct str s = arena_str(&arena, (struct str){text, n});

    free(text); /* open_memstream's own allocation */
    return s;
}

static double cpu_ms(clock_t ticks)
{
    return (double)ticks * 1000 / CLOCKS_PER_SEC;
}

START_TEST(a_large_snapshot_is_quick)
{
    struct conf_diags d;
    clock_t start = clock(), parsed, written, loaded; /* of this process: others do not count */

    conf_diags_init(&d);

    struct conf *c = conf_parse(large_config(), "", &d);

    ck_assert_ptr_nonnull(c);
    snapshot_number(c);
    parsed = clock();

    char *doc = snapshot_write(c, 1);

    written = clock();

    struct snapshot s = parse(doc);

    loaded = clock();
    ck_assert_uint_eq(s.conf->nroutes, 10000);
    ck_assert_uint_eq(s.conf->services[999].versions[1].nendpoints, 5);
    ck_assert_uint_eq(s.conf->services[999].versions[1].endpoints[4].cell, 10000);
    printf("10000 routes, 1000 services, 10000 endpoints: config %.1f ms, write %.1f ms, "
           "snapshot %.1f ms, %zu bytes\n",
           cpu_ms(parsed - start), cpu_ms(written - parsed), cpu_ms(loaded - written),
           strlen(doc));
    ck_assert_int_lt((loaded - written) / CLOCKS_PER_SEC,
                     2); /* quadratic work would take far longer */
    xfree(doc);
    conf_free(s.conf);
    conf_free(c);
    conf_diags_release(&d);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("snapshot");
    TCase *tc = tcase_create("snapshot");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, there_and_back);
    tcase_add_test(tc, variables_are_not_expanded_twice);
    tcase_add_test(tc, passwords_stay_out);
    tcase_add_test(tc, live_replaces_the_versions);
    tcase_add_test(tc, without_live_the_config_counts);
    tcase_add_test(tc, bad_snapshots_are_refused);
    tcase_add_test(tc, a_large_snapshot_is_quick);
    suite_add_tcase(s, tc);

    return unit_run(s);
}
