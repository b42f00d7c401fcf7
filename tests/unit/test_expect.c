/* test_expect.c - what an answer may be asked to be like, and what is said when it is not. */
#include "control/rollout/expect.h"
#include "tests/unit/unit.h"

#include <jansson.h>

#define HEAD "Content-Type: text/html; charset=utf-8\r\nX-A: one\r\nx-a:  two \r\n"
#define JSON "{\"ok\":true,\"items\":[{\"id\":7},{\"id\":8.0}],\"s\":\"x\",\"n\":null}"

static const struct row {
    const char *expect, *body;
    int status;
    const char *why; /* NULL: it is met */
} rows[] = {
    {"null", "", 204, NULL},
    {"null", "", 302, "status 302, not 2xx"},
    {"{}", "", 200, NULL},
    {"{\"status\":302}", "", 302, NULL},
    {"{\"status\":302}", "", 200, "status 200, not 302"},
    {"{\"status\":\"5xx\"}", "", 503, NULL},
    {"{\"status\":[200,\"4xx\"]}", "", 404, NULL},
    {"{\"status\":[200,\"4xx\"]}", "", 201, "status 201, not [200,\"4xx\"]"},
    {"{\"body\":\"wel+come\"}", "a wellcome", 200, NULL},
    {"{\"body\":\"^welcome\"}", "a welcome", 200, "does not match"},
    {"{\"body\":\"x\"}", "", 200, "it is empty"},
    {"{\"header\":{\"content-type\":\"^text/html\"}}", "", 200, NULL},
    {"{\"header\":{\"X-A\":\"^two$\"}}", "", 200, NULL},
    {"{\"header\":{\"X-A\":\"^three$\"}}", "", 200, "no header X-A"},
    {"{\"header\":{\"Content\":\"\"}}", "", 200, "no header Content"},
    {"{\"json\":{\"$.ok\":true,\"$.items[1].id\":8,\"$.n\":null}}", JSON, 200, NULL},
    {"{\"json\":{\"$.items[2].id\":8}}", JSON, 200, "$.items[2].id is not there"},
    {"{\"json\":{\"$.s\":\"y\"}}", JSON, 200, "$.s is \"x\""},
    {"{\"json\":{\"$.s.t\":1}}", JSON, 200, "not there"},
    {"{\"json\":{\"$\":7}}", "7", 200, NULL},
    {"{\"json\":{\"$.ok\":true}}", "<html>", 200, "not JSON"},
    {"{\"within\":\"1s\"}", "", 200, NULL},
    {"{\"within\":\"10ms\"}", "", 200, "took 500 ms, not 10ms"},
};

START_TEST(answers_are_compared)
{
    const struct row *r = &rows[_i];
    json_t *doc = json_loads(r->expect, JSON_DECODE_ANY, NULL);
    struct expect_answer a = {
        .status = r->status, .headers = STR(HEAD), .body = str_of(r->body), .took_ms = 500};
    char why[EXPECT_WHY] = "", field[64];

    ck_assert_ptr_nonnull(doc);
    ck_assert(json_is_null(doc) || expect_check(doc, field, why) == 0);
    bool met = expect_met(json_is_null(doc) ? NULL : doc, &a, why);
    ck_assert_msg(met == !r->why, "%s: %s", r->expect, why);
    if (r->why)
        ck_assert_msg(strstr(why, r->why), "%s: %s", r->expect, why);
    json_decref(doc);
}
END_TEST

static const struct mistake {
    const char *expect, *field;
} mistakes[] = {
    {"[]", ""},
    {"{\"statuss\":200}", "statuss"},
    {"{\"status\":20}", "status"},
    {"{\"status\":\"6xx\"}", "status"},
    {"{\"status\":[]}", "status"},
    {"{\"header\":\"x\"}", "header"},
    {"{\"header\":{\"a\":\"[\"}}", "header"},
    {"{\"body\":7}", "body"},
    {"{\"json\":{\"ok\":1}}", "json"},
    {"{\"json\":{\"$.a[x]\":1}}", "json"},
    {"{\"json\":{\"$.\":1}}", "json"},
    {"{\"json\":{\"$.a[1\":1}}", "json"},
    {"{\"within\":\"soon\"}", "within"},
    {"{\"within\":\"0s\"}", "within"},
};

START_TEST(mistakes_name_the_field)
{
    const struct mistake *m = &mistakes[_i];
    json_t *doc = json_loads(m->expect, 0, NULL);
    char why[EXPECT_WHY] = "", field[64];

    ck_assert_int_eq(expect_check(doc, field, why), -1);
    ck_assert_str_eq(field, m->field);
    ck_assert_int_ne(why[0], '\0');
    json_decref(doc);
}
END_TEST

START_TEST(a_body_that_was_cut_is_no_json)
{
    json_t *doc = json_loads("{\"json\":{\"$.ok\":true}}", 0, NULL);
    struct expect_answer a = {.status = 200, .body = STR(JSON), .truncated = true};
    char why[EXPECT_WHY];

    ck_assert(!expect_met(doc, &a, why));
    ck_assert_str_eq(why, "the body is too long for JSON");
    json_decref(doc);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("expect");
    TCase *t = tcase_create("all");

    suite_add_tcase(s, t);
    tcase_add_loop_test(t, answers_are_compared, 0, (int)ARRAY_LEN(rows));
    tcase_add_loop_test(t, mistakes_name_the_field, 0, (int)ARRAY_LEN(mistakes));
    tcase_add_test(t, a_body_that_was_cut_is_no_json);
    return unit_run(s);
}
