/* test_match.c - paths of the route table, and answers that are given twice. */
#include "control/api/match.h"
#include "control/api/replay.h"
#include "control/api/routes.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define ENDPOINT "/v1/services/{service}/versions/{version}/endpoints/{endpoint}"

static bool matches(const char *pattern, const char *path)
{
    struct match m;

    return match_path(str_of(pattern), str_of(path), &m);
}

START_TEST(test_literal)
{
    ck_assert(matches("/v1/status", "/v1/status"));
    ck_assert(matches("/v1/config:reload", "/v1/config:reload"));
    ck_assert(!matches("/v1/status", "/v1/status/"));
    ck_assert(!matches("/v1/status", "/v1"));
    ck_assert(!matches("/v1", "/v1/status"));
    ck_assert(!matches("/v1/status", "/v1/statu"));
    ck_assert(!matches("/v1/status", ""));
    ck_assert(!matches("/v1/status", "/"));
}
END_TEST

START_TEST(test_parameters)
{
    struct match m;

    ck_assert(match_path(STR(ENDPOINT),
                         STR("/v1/services/shop/versions/v1/endpoints/127.0.0.1:9001"), &m));
    ck_assert_uint_eq(m.n, 3);
    ck_assert(str_eq(m.params[0].name, STR("service")));
    ck_assert(str_eq(m.params[0].text, STR("shop")));
    ck_assert(str_eq(m.params[2].text, STR("127.0.0.1:9001")));
    ck_assert(!matches("/v1/services/{service}", "/v1/services/"));
    ck_assert(!matches("/v1/services/{service}", "/v1/services"));
    ck_assert(!matches("/v1/services/{service}", "/v1/services/a/b"));
}
END_TEST

START_TEST(test_verbs)
{
    struct match m;

    ck_assert(match_path(STR(ENDPOINT ":drain"),
                         STR("/v1/services/s/versions/v/endpoints/[::1]:80:drain"), &m));
    ck_assert(str_eq(m.params[2].text, STR("[::1]:80")));
    ck_assert(!matches("/v1/rollouts/{rollout}:abort", "/v1/rollouts/r-1:pause"));
    ck_assert(!matches("/v1/rollouts/{rollout}:abort", "/v1/rollouts/:abort"));
    ck_assert(matches("/v1/rollouts/{rollout}", "/v1/rollouts/r-1:abort")); /* order decides */
}
END_TEST

/* A verb that stood behind its bare parameter would never be reached by its method. */
START_TEST(test_table_order)
{
    for (const struct api_route *r = api_routes; r->method; r++)
        for (const struct api_route *q = r + 1; q->method; q++)
            if (strcmp(r->method, q->method) == 0)
                ck_assert_msg(!matches(r->path, q->path), "%s %s hides %s", r->method, r->path,
                              q->path);
}
END_TEST

START_TEST(test_replay)
{
    struct replay *r = replay_new();
    uint64_t one = replay_digest(STR("PUT"), STR("/a"), STR("{}"));
    char key[16];

    ck_assert_ptr_null(replay_find(r, STR("k")));
    replay_keep(r, STR("k"), one, 201, "application/json", STR("{\"a\":1}"));
    const struct replay_answer *a = replay_find(r, STR("k"));
    ck_assert_ptr_nonnull(a);
    ck_assert_int_eq(a->status, 201);
    ck_assert(str_eq(a->body, STR("{\"a\":1}")));
    ck_assert_uint_eq(a->digest, one);
    ck_assert_uint_ne(one, replay_digest(STR("PUT"), STR("/a"), STR("{} ")));
    ck_assert_uint_ne(one, replay_digest(STR("POST"), STR("/a"), STR("{}")));
    for (int i = 0; i < REPLAY_MAX - 1; i++) {
        snprintf(key, sizeof(key), "n%d", i);
        replay_keep(r, str_of(key), 1, 204, NULL, STR(""));
    }
    ck_assert_ptr_nonnull(replay_find(r, STR("k")));
    replay_keep(r, STR("last"), 1, 204, NULL, STR(""));
    ck_assert_ptr_null(replay_find(r, STR("k"))); /* the oldest made room */
    ck_assert_ptr_nonnull(replay_find(r, STR("n0")));
    replay_free(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("match");
    TCase *t = tcase_create("all");

    tcase_add_test(t, test_literal);
    tcase_add_test(t, test_parameters);
    tcase_add_test(t, test_verbs);
    tcase_add_test(t, test_table_order);
    tcase_add_test(t, test_replay);
    suite_add_tcase(s, t);
    return unit_run(s);
}
