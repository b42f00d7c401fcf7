/* test_spec.c - what a rollout may ask for, and what every mistake is told. */
#include "control/rollout/spec.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <jansson.h>
#include <string.h>

static int read_text(const char *text, struct spec *s, struct spec_error *err)
{
    json_t *doc = json_loads(text, 0, NULL);
    int rc;

    ck_assert_ptr_nonnull(doc);
    rc = spec_read(doc, s, err);
    json_decref(doc);
    return rc;
}

START_TEST(full_document)
{
    struct spec s;
    struct spec_error err;

    ck_assert_int_eq(
        read_text(
            "{\"version\":\"v2\",\"endpoints\":[\"127.0.0.1:9003\",\"[::1]:80\"],"
            "\"strategy\":\"canary\",\"warmup\":\"10s\",\"steps\":["
            "{\"weight\":0.5,\"hold\":{\"min\":\"2m\",\"max\":\"15m\","
            "\"until\":\"evidence\"}},{\"weight\":25,\"hold\":\"90s\"},"
            "{\"weight\":50,\"hold\":{\"until\":\"approval\"}},{\"weight\":100}],"
            "\"judge\":{\"mode\":\"observe\",\"alpha\":0.02,\"certify\":0.1,"
            "\"on_undecided\":\"advance\",\"tolerance\":1.25,\"max_error_rate\":0.02,"
            "\"unit\":\"request\"},\"bake\":{\"for\":\"1h\"},\"retain\":{\"for\":\"0s\"}}",
            &s, &err),
        0);
    ck_assert_str_eq(s.version, "v2");
    ck_assert_uint_eq(s.nendpoints, 2);
    ck_assert_str_eq(s.endpoints[1], "[::1]:80");
    ck_assert_uint_eq(s.nsteps, 4);
    ck_assert_uint_eq(s.steps[0].weight, 50);
    ck_assert_uint_eq(s.steps[0].min_ms, 120000);
    ck_assert_uint_eq(s.steps[0].max_ms, 900000);
    ck_assert_int_eq(s.steps[1].until, SPEC_TIME);
    ck_assert_uint_eq(s.steps[1].min_ms, 90000);
    ck_assert_int_eq(s.steps[2].until, SPEC_APPROVAL);
    ck_assert_uint_eq(s.steps[3].weight, 10000);
    ck_assert_int_eq(s.mode, SPEC_OBSERVE);
    ck_assert_int_eq(s.on_undecided, SPEC_ADVANCE);
    ck_assert_double_eq(s.judge.max_error_rate, 0.02);
    ck_assert_uint_eq(s.judge.ceiling, 1);
    ck_assert_uint_eq(s.judge.epochs, 4);
    ck_assert_uint_eq(s.bake_ms, 3600000);
    ck_assert_uint_eq(s.retain_ms, 0);
}
END_TEST

START_TEST(every_mistake_is_told)
{
    static const char *const pointers[] = {
        "/colour",       "/endpoints/0", "/warmup",   "/steps/0/weight",    "/steps/1/hold/min",
        "/steps/2/http", "/judge/alpha", "/notify/0", "/notify/1/email/to", "/version"};
    static const char text[] =
        "{\"endpoints\":[\"nowhere\"],\"warmup\":5,\"colour\":\"red\",\"steps\":["
        "{\"weight\":0},{\"weight\":5,\"hold\":{\"min\":\"soon\"}},{\"http\":{}},{\"weight\":"
        "100}],"
        "\"judge\":{\"alpha\":2},\"notify\":[{\"on\":[]},{\"email\":{\"to\":[],"
        "\"from\":\"a@b\",\"server\":\"smtp://h\"},\"name\":\"x\"}],"
        "\"escalation\":[{\"after\":\"1m\",\"to\":\"x\"}]}";
    json_t *doc = json_loads(text, 0, NULL);
    struct spec_errors errs;
    static struct spec s;

    ck_assert_int_eq(spec_read_all(doc, &s, &errs), -1);
    for (size_t i = 0; i < errs.n && i < ARRAY_LEN(pointers); i++)
        ck_assert_msg(strncmp(errs.v[i].pointer, pointers[i], strlen(pointers[i])) == 0,
                      "%zu: %s %s", i, errs.v[i].pointer, errs.v[i].message);
    ck_assert_uint_eq(errs.n, ARRAY_LEN(pointers));
    json_decref(doc);
}
END_TEST

START_TEST(more_mistakes_than_room)
{
    json_t *doc = json_object(), *list = json_array();
    struct spec_errors errs;
    static struct spec s;

    for (int i = 0; i < 1000; i++)
        json_array_append_new(list, json_integer(i));
    json_object_set_new(doc, "gates", list);
    ck_assert_int_eq(spec_read_all(doc, &s, &errs), -1);
    ck_assert_uint_eq(errs.n, SPEC_ERRORS);
    ck_assert_str_eq(errs.v[SPEC_ERRORS - 1].pointer, "/gates/19");
    json_decref(doc);
}
END_TEST

START_TEST(defaults_are_safe)
{
    struct spec s;
    struct spec_error err;

    ck_assert_int_eq(
        read_text("{\"version\":\"v2\",\"steps\":[{\"weight\":5},{\"weight\":100}]}", &s, &err),
        0);
    ck_assert_int_eq(s.mode, SPEC_ENFORCE);
    ck_assert_int_eq(s.on_undecided, SPEC_HOLD);
    ck_assert_int_eq(s.steps[0].until, SPEC_EVIDENCE);
    ck_assert_uint_eq(s.steps[0].min_ms, 30000);
    ck_assert_uint_eq(s.warmup_ms, 30000);
    ck_assert_double_eq(s.judge.alpha, 0.01);
    ck_assert_uint_eq(s.judge.ceiling, 0);
}
END_TEST

START_TEST(presets_are_steps)
{
    struct spec s;
    struct spec_error err;

    ck_assert_int_eq(read_text("{\"version\":\"v2\",\"preset\":\"normal\"}", &s, &err), 0);
    ck_assert_uint_eq(s.nsteps, 4);
    ck_assert_uint_eq(s.steps[0].weight, 500);
    ck_assert_uint_eq(s.steps[3].weight, 10000);
    ck_assert_int_eq(read_text("{\"version\":\"v2\",\"preset\":\"cautious\"}", &s, &err), 0);
    ck_assert_uint_eq(s.nsteps, 6);
}
END_TEST

static const struct mistake {
    const char *text, *pointer, *message;
} mistakes[] = {
    {"[]", "", "must be an object"},
    {"{}", "/version", "is missing"},
    {"{\"version\":\"v2\"}", "/steps", "is missing"},
    {"{\"version\":7,\"steps\":[{\"weight\":100}]}", "/version", "must be a name"},
    {"{\"version\":\"a b\",\"steps\":[{\"weight\":100}]}", "/version", "must be a name"},
    {"{\"version\":\"v\",\"stepz\":[]}", "/stepz", "unknown field"},
    {"{\"version\":\"v\",\"steps\":[]}", "/steps", "must be an array"},
    {"{\"version\":\"v\",\"steps\":[{}]}", "/steps/0/weight", "is missing"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":50}]}", "/steps/0/weight", "last step"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":0},{\"weight\":100}]}", "/steps/0/weight",
     "from 0.01 to 100"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":101}]}", "/steps/0/weight", "from 0.01"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":1.005},{\"weight\":100}]}", "/steps/0/weight",
     "two decimals"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":\"5\"},{\"weight\":100}]}", "/steps/0/weight",
     "must be a number"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":50},{\"weight\":50},{\"weight\":100}]}",
     "/steps/1/weight", "above the step before (50)"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":100,\"hold\":\"5m\"}]}", "/steps/0/hold",
     "bake"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":5,\"hold\":\"5 min\"},{\"weight\":100}]}",
     "/steps/0/hold", "duration"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":5,\"hold\":{\"mim\":\"5m\"}},{\"weight\":100}]"
     "}",
     "/steps/0/hold/mim", "unknown field"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":5,\"hold\":{\"min\":\"5m\",\"max\":\"1m\"}},"
     "{\"weight\":100}]}",
     "/steps/0/hold", "shorter than min"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":5,\"hold\":{\"until\":\"forever\"}},"
     "{\"weight\":100}]}",
     "/steps/0/hold/until", "\"evidence\", \"time\", \"approval\""},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":{}}", "/notify", "must be an array"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"on\":[\"reverted\"]}]}",
     "/notify/0", "must have one of"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"webhook\":\"ftp://x/\"}]}",
     "/notify/0/webhook", "must be a URL"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"webhook\":\"@cred:../x\"}]}",
     "/notify/0/webhook", "must be a URL"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"webhook\":\"http://x/"
     "\",\"on\":\"step\"}]}",
     "/notify/0/on", "must be an array of events"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"slack\":\"http://x/"
     "\",\"secret\":\"@env:S\"}]}",
     "/notify/0", "signs what a webhook gets"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"slack\":\"http://x/"
     "\",\"url\":\"http://x/\"}]}",
     "/notify/0", "where PagerDuty is"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"pagerduty\":\"0123456789\"}]}",
     "/notify/0/pagerduty", "can be read"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[],\"from\":\"a@"
     "b\",\"server\":\"smtp://h\"}}]}",
     "/notify/0/email/to", "1 to 8 addresses"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\",\"a\"],"
     "\"from\":\"a@b\",\"server\":\"smtp://h\"}}]}",
     "/notify/0/email/to/1", "must be an address"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\",\"a@\"],"
     "\"from\":\"a@b\",\"server\":\"smtp://h\"}}]}",
     "/notify/0/email/to/1", "must be an address"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\",\"@b\"],"
     "\"from\":\"a@b\",\"server\":\"smtp://h\"}}]}",
     "/notify/0/email/to/1", "must be an address"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\",\"a@b@c\"]"
     ",\"from\":\"a@b\",\"server\":\"smtp://h\"}}]}",
     "/notify/0/email/to/1", "must be an address"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\",\"a "
     "b@c\"],\"from\":\"a@b\",\"server\":\"smtp://h\"}}]}",
     "/notify/0/email/to/1", "must be an address"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\",\"a@b>\"],"
     "\"from\":\"a@b\",\"server\":\"smtp://h\"}}]}",
     "/notify/0/email/to/1", "must be an address"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\",\"a@"
     "b\\r\\nRCPT TO:c@d\"],\"from\":\"a@b\",\"server\":\"smtp://h\"}}]}",
     "/notify/0/email/to/1", "must be an address"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\"],\"from\":"
     "\"a@b\",\"server\":\"http://h\"}}]}",
     "/notify/0/email/server", "smtp://"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\"],\"from\":"
     "\"a@b\",\"server\":\"smtp://u:p@h\"}}]}",
     "/notify/0/email/server", "smtp://"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\"],\"from\":"
     "\"a@b\"}}]}",
     "/notify/0/email", "needs \"to\", \"from\" and \"server\""},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\"],\"from\":"
     "\"a@b\",\"server\":\"smtp://h\",\"user\":\"u\"}}]}",
     "/notify/0/email", "or neither"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"email\":{\"to\":[\"x@y\"],\"from\":"
     "\"a@b\",\"server\":\"smtp://h\",\"user\":\"u\",\"password\":\"p\"}}]}",
     "/notify/0/email/password", "can be read"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"name\":\"a\",\"slack\":\"http://x/"
     "\"},{\"name\":\"a\",\"slack\":\"http://y/\"}]}",
     "/notify/1", "names another entry"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"escalation\":[{\"after\":\"0s\",\"to\":\"a\"}]}",
     "/escalation/0/to", "the \"name\" of an entry"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"name\":\"a\",\"slack\":\"http://x/"
     "\"}],\"escalation\":[{\"to\":\"a\"}]}",
     "/escalation/0", "needs \"after\" and \"to\""},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"name\":\"a\",\"slack\":\"http://x/"
     "\"}],\"escalation\":[{\"after\":\"soon\",\"to\":\"a\"}]}",
     "/escalation/0/after", "duration"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"notify\":[{\"slack\":\"@env:S\","
     "\"webhook\":\"http://x/\"}]}",
     "/notify/0", "must have one of"},
    {"{\"version\":\"v\",\"strategy\":\"blue\",\"preset\":\"fast\"}", "/strategy",
     "must be one of \"canary\", \"bluegreen\""},
    {"{\"version\":\"v\",\"strategy\":\"bluegreen\",\"preset\":\"fast\"}", "/steps",
     "one weight, 100"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":100},{\"smoke\":{}}]}",
     "/steps/1/smoke/request", "is missing"},
    {"{\"version\":\"v\",\"steps\":[{\"smoke\":{\"request\":\"GET /\"}}]}", "/steps/0/weight",
     "last step must have weight 100"},
    {"{\"version\":\"v\",\"steps\":[{\"weight\":100},{\"smoke\":{\"request\":\"GET /\"},"
     "\"http\":{}}]}",
     "/steps/1", "one field"},
    {"{\"version\":\"v\",\"smoke\":[{\"request\":\"GET\"}]}", "/smoke/0/request",
     "GET /health"},
    {"{\"version\":\"v\",\"smoke\":[{\"request\":\"GET /a b\"}]}", "/smoke/0/request",
     "a method and a path"},
    {"{\"version\":\"v\",\"smoke\":[{\"request\":\"GET /\",\"expect\":{\"statsu\":200}}]}",
     "/smoke/0/expect/statsu", "unknown field"},
    {"{\"version\":\"v\",\"smoke\":[{\"request\":\"GET /\",\"expect\":{\"status\":2000}}]}",
     "/smoke/0/expect/status", "must be a status"},
    {"{\"version\":\"v\",\"smoke\":[{\"request\":\"GET /\",\"expect\":{\"body\":\"(\"}}]}",
     "/smoke/0/expect/body", "regular expression"},
    {"{\"version\":\"v\",\"smoke\":[{\"request\":\"GET /\",\"headers\":{\"A\":\"b\\r\\nC: "
     "d\"}}]}",
     "/smoke/0/headers/A", "one line"},
    {"{\"version\":\"v\",\"gates\":[{\"http\":{\"url\":\"file:///etc/passwd\"}}]}",
     "/gates/0/http/url", "must be a URL"},
    {"{\"version\":\"v\",\"gates\":[{\"http\":{\"url\":\"http://a/\",\"timeout\":\"0s\"}}]}",
     "/gates/0/http", "above 0"},
    {"{\"version\":\"v\",\"gates\":[{\"approve\":{\"need\":9}}]}", "/gates/0/approve/need",
     "from 1 to 8"},
    {"{\"version\":\"v\",\"gates\":[{\"approve\":{\"of\":[\"a\\\"b\"]}}]}",
     "/gates/0/approve/of/0", "user's name"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"steps\":[{\"weight\":100}]}", "/preset",
     "one of the two"},
    {"{\"version\":\"v\",\"preset\":\"quick\"}", "/preset", "\"cautious\""},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"judge\":{\"alpha\":0}}", "/judge/alpha",
     "number"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"judge\":{\"unit\":\"session\"}}", "/judge/unit",
     "must be one of \"request\", \"client\", \"client_once\""},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"judge\":{\"mode\":true}}", "/judge/mode",
     "\"observe\""},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"bake\":\"5m\"}", "/bake", "must be an object"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"endpoints\":[]}", "/endpoints", "array of 1"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"endpoints\":[\"a:1\",\"b\"]}", "/endpoints/1",
     "host:port"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"endpoints\":[\"a:1\",\"a:1\"]}", "/endpoints/1",
     "twice"},
    {"{\"version\":\"v\",\"preset\":\"fast\",\"warmup\":-1}", "/warmup", "duration"},
};

START_TEST(mistakes_say_where_and_what)
{
    const struct mistake *m = &mistakes[_i];
    struct spec s;
    struct spec_error err;

    ck_assert_int_eq(read_text(m->text, &s, &err), -1);
    ck_assert_str_eq(err.pointer, m->pointer);
    ck_assert_msg(strstr(err.message, m->message), "%s: %s", m->pointer, err.message);
}
END_TEST

#define EVERYTHING                                                                             \
    "{\"version\":\"v\",\"gates\":[{\"http\":{\"name\":\"ci\",\"url\":\"http://127.0.0.1:1/"   \
    "x\","                                                                                     \
    "\"method\":\"GET\",\"expect\":{\"json\":{\"$.a[0].b\":true},\"within\":\"1s\"}}},"        \
    "{\"approve\":{\"need\":2,\"of\":[\"ann\",\"bob\"],\"not_author\":true,\"expires\":"       \
    "\"4h\"}}],"                                                                               \
    "\"smoke\":[{\"request\":\"POST /login\",\"headers\":{\"X-A\":\"1\"},\"body\":{\"u\":1},"  \
    "\"expect\":{\"status\":[200,\"3xx\"],\"header\":{\"content-type\":\"html\"},\"body\":"    \
    "\"ok\"}}],"                                                                               \
    "\"steps\":[{\"weight\":5},{\"http\":{\"url\":\"https://h/\",\"retries\":3,"               \
    "\"on_failure\":\"abort\"}},{\"weight\":100},{\"smoke\":{\"request\":\"GET /\"}}]}"

START_TEST(what_is_done_is_in_one_order)
{
    static const struct {
        enum spec_kind kind;
        uint32_t weight;
        const char *name;
    } want[] = {
        {SPEC_HTTP, 0, "ci"},           {SPEC_APPROVE, 0, "approve 2"},
        {SPEC_SMOKE, 0, "smoke 3"},     {SPEC_WEIGHT, 500, NULL},
        {SPEC_HTTP, 500, "http 4"},     {SPEC_WEIGHT, 10000, NULL},
        {SPEC_SMOKE, 10000, "smoke 5"}, {SPEC_SMOKE, 10000, "smoke 3"},
    };
    struct spec s;
    struct spec_error err;

    ck_assert_int_eq(read_text(EVERYTHING, &s, &err), 0);
    ck_assert_uint_eq(s.nsteps, ARRAY_LEN(want));
    for (uint32_t i = 0; i < s.nsteps; i++) {
        ck_assert_int_eq(s.steps[i].kind, want[i].kind);
        ck_assert_uint_eq(s.steps[i].weight, want[i].weight);
        if (want[i].name)
            ck_assert_str_eq(spec_task(&s, i)->name, want[i].name);
    }
    ck_assert_str_eq(spec_text(&s, s.tasks[2].method), "POST");
    ck_assert_str_eq(spec_text(&s, s.tasks[2].url), "/login");
    ck_assert_str_eq(spec_text(&s, s.tasks[2].body), "{\"u\":1}");
    ck_assert(s.tasks[0].idempotent && s.tasks[2].idempotent && !s.tasks[3].idempotent);
    ck_assert_int_eq(s.tasks[2].on_failure, SPEC_FAIL_ABORT);
    ck_assert_int_eq(s.tasks[0].on_failure, SPEC_FAIL_HOLD);
    ck_assert_uint_eq(s.judge.epochs, 2);
}
END_TEST

START_TEST(written_is_read_back)
{
    static const char *const texts[] = {
        "{\"version\":\"v2\",\"preset\":\"cautious\",\"endpoints\":[\"127.0.0.1:1\"]}",
        "{\"version\":\"v\",\"steps\":[{\"weight\":0.01,\"hold\":\"1500ms\"},{\"weight\":33.33,"
        "\"hold\":{\"min\":\"1s\",\"until\":\"approval\"}},{\"weight\":100}],"
        "\"judge\":{\"max_error_rate\":0.1,\"mode\":\"observe\"}}",
        EVERYTHING,
        "{\"version\":\"v\",\"strategy\":\"bluegreen\",\"smoke\":[{\"request\":\"GET /\"}]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct spec a, b;
        struct spec_error err;
        json_t *doc;

        ck_assert_int_eq(read_text(texts[i], &a, &err), 0);
        doc = spec_write(&a);
        ck_assert_int_eq(spec_read(doc, &b, &err), 0);
        json_decref(doc);
        ck_assert_mem_eq(&a, &b, sizeof(a));
    }
}
END_TEST

START_TEST(durations)
{
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "-1s",
                                      "1.5s",
                                      "5 s",
                                      "5min",
                                      "31d",
                                      "1sx",
                                      "5m3s",
                                      "99999999999999999999s"};
    char buf[SPEC_DURATION_TEXT];
    uint64_t ms;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!spec_duration(bad[i], &ms), "%s", bad[i]);
    ck_assert(spec_duration("1500ms", &ms));
    ck_assert_uint_eq(ms, 1500);
    ck_assert_str_eq(spec_duration_text(buf, ms), "1500ms");
    ck_assert(spec_duration("30d", &ms));
    ck_assert_str_eq(spec_duration_text(buf, ms), "30d");
    ck_assert_str_eq(spec_duration_text(buf, 90000), "90s");
    ck_assert_str_eq(spec_duration_text(buf, 120000), "2m");
    ck_assert_str_eq(spec_duration_text(buf, 0), "0s");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spec");
    TCase *t = tcase_create("all");

    suite_add_tcase(s, t);
    tcase_add_test(t, full_document);
    tcase_add_test(t, every_mistake_is_told);
    tcase_add_test(t, more_mistakes_than_room);
    tcase_add_test(t, defaults_are_safe);
    tcase_add_test(t, presets_are_steps);
    tcase_add_loop_test(t, mistakes_say_where_and_what, 0, (int)ARRAY_LEN(mistakes));
    tcase_add_test(t, what_is_done_is_in_one_order);
    tcase_add_test(t, written_is_read_back);
    tcase_add_test(t, durations);
    return unit_run(s);
}
