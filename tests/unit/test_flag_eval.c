/*
 * test_flag_eval.c - rules to variants: operators, coercions, fractional, overrides, budgets.
 */
#include "proxy/route/flag_eval.h"

#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW 1750000000

struct world { /* one set, one context */
    struct flagset *set;
    struct flag_ctx *ctx;
    struct arena arena;
    struct flag_value root;
    unsigned asked; /* attributes that the rules asked for */
};

static bool get(void *arg, struct str path, struct flag_value *out)
{
    struct world *w = arg;

    w->asked++;
    return flag_value_at(&w->root, path, out);
}

static void begin(struct world *w, const char *doc, const char *context)
{
    char *why = NULL;

    *w = (struct world){.ctx = flag_ctx_new()};
    w->set = flagset_compile(str_of(doc), &why);
    ck_assert_msg(w->set != NULL, "%s: %s", doc, why);
    arena_init(&w->arena, NULL, 0);
    ck_assert_msg(flag_value_parse(&w->arena, str_of(context), &w->root), "%s", context);
    flag_ctx_begin(w->ctx, w->set, get, w, NOW);
}

static void end(struct world *w)
{
    flag_ctx_free(w->ctx);
    arena_release(&w->arena);
    flagset_unref(w->set);
}

static const struct flag_result *result(struct world *w)
{
    return flag_eval(w->ctx, 0);
}

/* "variant/REASON", or "-/REASON", or "ERROR_CODE". */
static void expect_flag(const char *flag, const char *extra, const char *context,
                        const char *want)
{
    char *doc = xasprintf("{\"format\":1,\"flags\":{\"flag\":%s}%s}", flag, extra), *got;
    const struct flag_result *r;
    struct world w;

    begin(&w, doc, context);
    r = result(&w);
    if (r->error != FLAG_OK)
        got = xstrdup(flag_error_name(r->error));
    else
        got = xasprintf("%.*s/%s", r->variant ? (int)r->variant->name.n : 1,
                        r->variant ? r->variant->name.p : "-", flag_reason_name(r->reason));
    ck_assert_msg(!strcmp(got, want), "%s in %s: %s, not %s", flag, context, got, want);
    xfree(got);
    xfree(doc);
    end(&w);
}

/* A rule whose value is T, F or N (null) as text: "if RULE === true" and so on. */
static void expect(const char *rule, const char *context, const char *value)
{
    char *flag = xasprintf("{\"state\":\"ENABLED\",\"variants\":{\"same\":1,\"other\":2},"
                           "\"targeting\":{\"if\":[{\"===\":[{\"cat\":[\"<\",%s,\">\"]},"
                           "{\"cat\":[\"<\",%s,\">\"]}]},\"same\",\"other\"]}}",
                           rule, value);

    expect_flag(flag, "", context, "same/TARGETING_MATCH");
    xfree(flag);
}

START_TEST(reasons)
{
#define VARIANTS "\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"true\":1,\"2\":2}"
    expect_flag("{" VARIANTS ",\"defaultVariant\":\"on\"}", "", "{}", "on/STATIC");
    expect_flag("{" VARIANTS ",\"defaultVariant\":\"on\",\"targeting\":{}}", "", "{}",
                "on/STATIC");
    expect_flag("{" VARIANTS "}", "", "{}", "-/DEFAULT");
    expect_flag("{" VARIANTS ",\"targeting\":{\"var\":\"x\"},\"defaultVariant\":\"on\"}", "",
                "{}", "on/DEFAULT");
    expect_flag("{" VARIANTS ",\"targeting\":{\"var\":\"x\"}}", "", "{}", "-/DEFAULT");
    expect_flag("{" VARIANTS ",\"targeting\":{\"var\":\"x\"}}", "", "{\"x\":\"on\"}",
                "on/TARGETING_MATCH");
    expect_flag("{" VARIANTS ",\"targeting\":{\"var\":\"x\"}}", "", "{\"x\":true}",
                "true/TARGETING_MATCH");
    expect_flag("{" VARIANTS ",\"targeting\":{\"var\":\"x\"}}", "", "{\"x\":2.0}",
                "2/TARGETING_MATCH");
    expect_flag("{" VARIANTS ",\"targeting\":{\"var\":\"x\"}}", "", "{\"x\":\"gone\"}",
                "GENERAL");
    expect_flag("{\"state\":\"DISABLED\",\"variants\":{\"on\":1},\"defaultVariant\":\"on\"}",
                "", "{}", "-/DISABLED");
    expect_flag("{\"state\":\"?\"}", "", "{}", "PARSE_ERROR");
}
END_TEST

START_TEST(operators)
{
    static const struct {
        const char *rule, *context, *value;
    } t[] = {
        {"{\"==\":[1,\"1\"]}", "{}", "true"},
        {"{\"==\":[true,\"true\"]}", "{}", "false"},
        {"{\"==\":[null,0]}", "{}", "false"},
        {"{\"==\":[[1],\"1\"]}", "{}", "true"},
        {"{\"===\":[1,\"1\"]}", "{}", "false"},
        {"{\"!==\":[1,\"1\"]}", "{}", "true"},
        {"{\"<\":[\"10\",\"9\"]}", "{}", "true"}, /* as texts */
        {"{\"<\":[\"10\",9]}", "{}", "false"},    /* as numbers */
        {"{\">\":[\"abc\",5]}", "{}", "false"},
        {"{\"<\":[1,2,3]}", "{}", "true"},
        {"{\"<=\":[1,4,3]}", "{}", "false"},
        {"{\"and\":[]}", "{}", "null"},
        {"{\"and\":[1,0,2]}", "{}", "0"},
        {"{\"or\":[0,\"\",\"x\",1]}", "{}", "\"x\""},
        {"{\"!\":[[]]}", "{}", "true"},
        {"{\"!!\":[\"0\"]}", "{}", "true"},
        {"{\"?:\":[0,1,2]}", "{}", "2"},
        {"{\"if\":[0,1]}", "{}", "null"},
        {"{\"if\":[0,1,1,2,3]}", "{}", "2"},
        {"{\"in\":[\"b\",\"abc\"]}", "{}", "true"},
        {"{\"in\":[3,\"123\"]}", "{}", "true"},
        {"{\"in\":[5,[[1,9]]]}", "{}", "false"},
        {"{\"in\":[1,true]}", "{}", "false"},
        {"{\"in\":[\"\",\"\"]}", "{}", "false"},
        {"{\"+\":[\"1.5abc\",2]}", "{}", "3.5"},
        {"{\"-\":[5]}", "{}", "-5"},
        {"{\"%\":[-7,3]}", "{}", "-1"},
        {"{\"max\":[1,\"7\",3]}", "{}", "7"},
        {"{\"cat\":[\"a\",{\"var\":\"none\"},true,[1,[2]]]}", "{}", "\"atrue1,2\""},
        {"{\"cat\":[1e21,0.1,-1e-7,123456789012345680000.0]}", "{}",
         "\"1e+210.1-1e-7123456789012345680000\""},
        {"{\"substr\":[\"h\\u00e9llo\",1,2]}", "{}", "\"\\u00e9l\""},
        {"{\"substr\":[\"hello\",-3]}", "{}", "\"llo\""},
        {"{\"substr\":[\"hello\",1,-1]}", "{}", "\"ell\""},
        {"{\"var\":\"a.b.1\"}", "{\"a\":{\"b\":[7,8]}}", "8"},
        {"{\"var\":[\"a.c\",\"d\"]}", "{\"a\":{}}", "\"d\""},
        {"{\"var\":\"http.method\"}", "{\"http.method\":\"GET\"}", "\"GET\""},
        {"{\"var\":{\"cat\":[\"a\",\"b\"]}}", "{\"ab\":4}", "4"},
        {"{\"var\":\"$flagd.flagKey\"}", "{\"$flagd\":{\"flagKey\":\"mine\"}}", "\"flag\""},
        {"{\"var\":\"$flagd.timestamp\"}", "{}", "1750000000"},
        {"{\"missing\":[\"a\",\"b\"]}", "{\"b\":1}", "\"a\""},
        {"{\"missing_some\":[1,[\"a\",\"b\"]]}", "{\"b\":1}", "\"\""},
        {"{\"merge\":[1,[2,3],[]]}", "{}", "\"1,2,3\""},
        {"{\"map\":[[1,2],{\"*\":[{\"var\":\"\"},10]}]}", "{}", "\"10,20\""},
        {"{\"filter\":[{\"var\":\"n\"},{\">\":[{\"var\":\"v\"},1]}]}",
         "{\"n\":[{\"v\":1},{\"v\":2}]}", "\"[object Object]\""},
        {"{\"reduce\":[[1,2,3],{\"+\":[{\"var\":\"current\"},{\"var\":\"accumulator\"}]},10]}",
         "{}", "16"},
        {"{\"all\":[[],true]}", "{}", "false"},
        {"{\"none\":[[1,2],{\"==\":[{\"var\":\"\"},3]}]}", "{}", "true"},
        {"{\"some\":[[1,2],{\"==\":[{\"var\":\"\"},2]}]}", "{}", "true"},
        {"{\"starts_with\":[\"abc\",\"ab\"]}", "{}", "true"},
        {"{\"ends_with\":[\"abc\",1]}", "{}", "null"},
        {"{\"sem_ver\":[\"v1.2\",\"=\",\"1.2.0\"]}", "{}", "true"},
        {"{\"sem_ver\":[\"1.0.0-alpha.9\",\"<\",\"1.0.0-alpha.10\"]}", "{}", "true"},
        {"{\"sem_ver\":[\"1.0.0-rc.1\",\"<\",\"1.0.0\"]}", "{}", "true"},
        {"{\"sem_ver\":[\"1.9.9\",\"^\",\"1.0.0\"]}", "{}", "true"},
        {"{\"sem_ver\":[\"1.9.9\",\"~\",\"1.8.0\"]}", "{}", "false"},
        {"{\"sem_ver\":[\"1.02.0\",\"=\",\"1.2.0\"]}", "{}", "null"},
        {"{\"sem_ver\":[\"1.2-a\",\"=\",\"1.2.0\"]}", "{}", "null"},
        {"{\"sem_ver\":[\"1.0.0\",\"=\",\"1.0.0+a.-.9\"]}", "{}", "true"},
        {"{\"sem_ver\":[\"1.0.0+a..b\",\"=\",\"1.0.0\"]}", "{}", "null"},
    };

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        expect(t[i].rule, t[i].context, t[i].value);
}
END_TEST

/* Keys whose hash lies at the edges, and what they must hit. */
START_TEST(fractional_boundaries)
{
    static const struct {
        const char *key;
        uint32_t hash;
        const char *of_two;
    } t[] = {{"ejOoVL", 0, "a"},
             {"bY9fO-", 1, "a"},
             {"SI7p-", 0x7fffffff, "a"},
             {"6LvT0", 0x80000000, "b"},
             {"ceQdGm", 0xffffffff, "b"}};

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        char *rule = xasprintf("{\"fractional\":[\"%s\",[\"a\",1],[\"b\",1]]}", t[i].key);
        char *want = xasprintf("\"%s\"", t[i].of_two);

        ck_assert_uint_eq(hash_murmur3(str_of(t[i].key), 0), t[i].hash);
        expect(rule, "{}", want);
        xfree(rule);
        xfree(want);
    }
}
END_TEST

START_TEST(fractional_keys_and_weights)
{
    /* flag key and targeting key make the key: the two are one text */
    expect("{\"===\":[{\"fractional\":[[\"a\",50],[\"b\",50]]},"
           "{\"fractional\":[\"flaguser-7\",[\"a\",50],[\"b\",50]]}]}",
           "{\"targetingKey\":\"user-7\"}", "true");
    expect("{\"fractional\":[[\"a\",1]]}", "{}", "null");
    expect("{\"fractional\":[[\"a\",1]]}", "{\"targetingKey\":\"\"}", "null");
    expect("{\"fractional\":[[\"a\",1]]}", "{\"targetingKey\":7}", "null");
    expect("{\"fractional\":[{\"var\":\"gone\"},[\"a\"]]}", "{\"targetingKey\":\"u\"}",
           "\"a\"");
    expect("{\"fractional\":[\"k\",[\"a\",-1],[\"b\"]]}", "{}", "\"b\"");
    expect("{\"fractional\":[\"k\",[\"a\",0]]}", "{}", "null");
    expect("{\"fractional\":[\"k\",[\"a\",1],[\"b\",0.5]]}", "{}", "null");
    expect("{\"fractional\":[\"k\",[\"a\",2147483647],[\"b\",1]]}", "{}", "null");
    expect("{\"fractional\":[\"k\",[{\"if\":[true,\"x\"]},{\"+\":[1,1]}]]}", "{}", "\"x\"");
    expect("{\"fractional\":[\"k\",\"a\"]}", "{}", "null");
    expect("{\"fractional\":[]}", "{}", "null");
}
END_TEST

/* Raising a share moves nobody off, and it is the share that was asked for. */
START_TEST(fractional_is_monotone)
{
    static const char doc[] =
        "{\"format\":1,\"flags\":{"
        "\"f\":{\"state\":\"ENABLED\",\"variants\":{\"on\":1,\"off\":0},\"targeting\":"
        "{\"fractional\":[{\"var\":\"targetingKey\"},[\"on\",5],[\"off\",95]]}},"
        "\"g\":{\"state\":\"ENABLED\",\"variants\":{\"on\":1,\"off\":0},\"targeting\":"
        "{\"fractional\":[{\"var\":\"targetingKey\"},[\"on\",10],[\"off\",90]]}}}}";
    unsigned five = 0, ten = 0;
    struct world w;
    char key[24];

    begin(&w, doc, "{\"targetingKey\":\"x\"}");
    for (int i = 0; i < 100000; i++) {
        struct flag_member m = {STR("targetingKey"), FLAG_VALUE_NULL};
        bool a, b;

        snprintf(key, sizeof(key), "user-%d", i);
        m.value = flag_text(str_of(key));
        w.root = (struct flag_value){.kind = FLAG_OBJECT, .n = 1, .members = &m};
        flag_ctx_begin(w.ctx, w.set, get, &w, NOW);
        ck_assert(!flag_known(w.ctx, 0));
        a = str_eq(flag_eval(w.ctx, 0)->variant->name, STR("on"));
        ck_assert(flag_known(w.ctx, 0) && !flag_known(w.ctx, 1) && !flag_known(w.ctx, -1));
        b = str_eq(flag_eval(w.ctx, 1)->variant->name, STR("on"));
        ck_assert(!a || b);
        five += a;
        ten += b;
    }
    ck_assert_uint_gt(five, 4700);
    ck_assert_uint_lt(five, 5300);
    ck_assert_uint_gt(ten, 9600);
    ck_assert_uint_lt(ten, 10400);
    end(&w);
}
END_TEST

START_TEST(overrides)
{
#define ENABLED_FLAG                                                                           \
    "{\"state\":\"ENABLED\",\"variants\":{\"on\":1,\"off\":0},\"defaultVariant\":\"on\"}"
#define DISABLED_FLAG                                                                          \
    "{\"state\":\"DISABLED\",\"variants\":{\"on\":1,\"off\":0},\"defaultVariant\":\"on\"}"
    expect_flag(ENABLED_FLAG, ",\"overrides\":{\"flag\":{\"variant\":\"off\"}}", "{}",
                "off/STATIC");
    expect_flag(DISABLED_FLAG, ",\"overrides\":{\"flag\":{\"variant\":\"off\"}}", "{}",
                "off/STATIC");
    expect_flag(ENABLED_FLAG,
                ",\"overrides\":{\"flag\":{\"variant\":\"off\",\"until\":1750000001}}", "{}",
                "off/STATIC");
    expect_flag(ENABLED_FLAG,
                ",\"overrides\":{\"flag\":{\"variant\":\"off\",\"until\":1750000000}}", "{}",
                "on/STATIC");
    expect_flag(ENABLED_FLAG, ",\"overrides\":{\"flag\":{\"variant\":\"gone\"}}", "{}",
                "on/STATIC");
#define TARGETED                                                                               \
    ",\"overrides\":{\"flag\":{\"variant\":\"off\",\"targets\":{\"attr\":\"who\","             \
    "\"values\":[\"ann\",\"bob\"]}}}"
    expect_flag(ENABLED_FLAG, TARGETED, "{\"who\":\"bob\"}", "off/TARGETING_MATCH");
    expect_flag(ENABLED_FLAG, TARGETED, "{\"who\":\"eve\"}", "on/STATIC");
}
END_TEST

/* Each of these is far more work than a request may cost. */
START_TEST(budgets_end_as_general)
{
#define TEN(x) x "," x "," x "," x "," x "," x "," x "," x "," x "," x
    static const char array[] = "{\"n\":[" TEN(TEN("1")) "]}";

    expect_flag("{\"state\":\"ENABLED\",\"variants\":{\"a\":1},\"defaultVariant\":\"a\","
                "\"targeting\":{\"map\":[{\"var\":\"n\"},{\"map\":[[" TEN(
                    TEN("2")) "],{\"+\":[1,1]}]}]}}",
                "", array, "GENERAL");
    expect_flag("{\"state\":\"ENABLED\",\"variants\":{\"a\":1},\"defaultVariant\":\"a\","
                "\"targeting\":{\"reduce\":[{\"var\":\"n\"},{\"cat\":["
                "{\"var\":\"accumulator\"},{\"var\":\"accumulator\"}]},\"xy\"]}}",
                "", array, "GENERAL");
}
END_TEST

START_TEST(attributes_are_asked_once_and_lazily)
{
    static const char doc[] =
        "{\"format\":1,\"flags\":{"
        "\"f\":{\"state\":\"ENABLED\",\"variants\":{\"on\":1,\"off\":0},\"targeting\":{\"if\":["
        "{\"==\":[{\"var\":\"a\"},1]},\"on\",{\"==\":[{\"var\":\"b\"},{\"var\":\"a\"}]},"
        "\"off\"]}},"
        "\"g\":{\"state\":\"ENABLED\",\"variants\":{\"on\":1},\"targeting\":{\"if\":["
        "{\"==\":[{\"var\":\"a\"},1]},\"on\"]}}}}";
    struct world w;
    uint64_t before;

    begin(&w, doc, "{\"a\":1,\"b\":2}");
    before = mem_allocations();
    for (unsigned i = 1; i <= 1000; i++) {
        flag_ctx_begin(w.ctx, w.set, get, &w, NOW);
        ck_assert(str_eq(flag_eval(w.ctx, 0)->variant->name, STR("on")));
        ck_assert(str_eq(flag_eval(w.ctx, 1)->variant->name, STR("on")));
        ck_assert_ptr_eq(flag_eval(w.ctx, 0), flag_eval(w.ctx, 0));
        ck_assert_uint_eq(w.asked, i); /* "a", once a request; "b" never */
    }
    ck_assert_uint_eq(mem_allocations() - before, 0);
    ck_assert_int_eq(flag_eval(w.ctx, 2)->error, FLAG_NOT_FOUND);
    ck_assert_int_eq(flag_eval(w.ctx, -1)->error, FLAG_NOT_FOUND);
    end(&w);
}
END_TEST

START_TEST(another_set_forgets_the_last_one)
{
    struct world w, other;

    begin(&w,
          "{\"format\":1,\"flags\":{\"f\":{\"state\":\"ENABLED\",\"variants\":{\"a\":1},"
          "\"targeting\":{\"var\":\"x\"}}}}",
          "{\"x\":\"a\"}");
    ck_assert(str_eq(result(&w)->variant->name, STR("a")));
    begin(&other,
          "{\"format\":1,\"flags\":{\"f\":{\"state\":\"ENABLED\",\"variants\":"
          "{\"b\":1},\"targeting\":{\"var\":\"y\"}}}}",
          "{\"y\":\"b\"}");
    flag_ctx_begin(w.ctx, other.set, get, &other, NOW);
    ck_assert(str_eq(flag_eval(w.ctx, 0)->variant->name, STR("b")));
    end(&other);
    end(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flag_eval");
    TCase *t = tcase_create("flag_eval");

    tcase_set_timeout(t, 30);
    tcase_add_test(t, reasons);
    tcase_add_test(t, operators);
    tcase_add_test(t, fractional_boundaries);
    tcase_add_test(t, fractional_keys_and_weights);
    tcase_add_test(t, fractional_is_monotone);
    tcase_add_test(t, overrides);
    tcase_add_test(t, budgets_end_as_general);
    tcase_add_test(t, attributes_are_asked_once_and_lazily);
    tcase_add_test(t, another_set_forgets_the_last_one);
    suite_add_tcase(s, t);
    return unit_run(s);
}
