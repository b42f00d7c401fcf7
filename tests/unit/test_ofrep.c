/* test_ofrep.c - JSON contexts on the request path, and answers to OpenFeature clients. */
#include "proxy/route/ofrep.h"

#include "proxy/base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>

static const char set_text[] =
    "{\"format\":1,\"sequence\":3,\"metadata\":{\"version\":\"7\"},\"flags\":{"
    "\"on\":{\"state\":\"ENABLED\",\"variants\":{\"t\":true,\"f\":false},"
    "\"defaultVariant\":\"f\",\"targeting\":{\"if\":[{\"==\":[{\"var\":\"who\"},\"ann\"]},"
    "\"t\"]},\"metadata\":{\"flagSetId\":\"shop\"}},"
    "\"none\":{\"state\":\"ENABLED\",\"variants\":{\"a\":1}},"
    "\"off\":{\"state\":\"DISABLED\",\"variants\":{\"a\":1},\"defaultVariant\":\"a\"},"
    "\"bad \\\"key\\\"\":{\"state\":\"ENABLED\",\"variants\":{}},"
    "\"killed\":{\"state\":\"ENABLED\",\"variants\":{\"a\":1,\"b\":2},\"defaultVariant\":\"a\"}"
    "},\"overrides\":{\"killed\":{\"variant\":\"b\"}}}";

struct world {
    struct flagset *set;
    struct ofrep ofrep;
    struct arena arena;
    struct ofrep_question q;
    struct ofrep_answer a;
    char room[4096];
};

static void begin(struct world *w)
{
    char *why = NULL;

    *w = (struct world){.set = flagset_compile(str_of(set_text), &why)};
    ck_assert_msg(w->set != NULL, "%s", why);
    arena_init(&w->arena, w->room, sizeof(w->room));
    w->q = (struct ofrep_question){
        .set = w->set, .ctx = flag_ctx_new(), .arena = &w->arena, .now_unix = 1750000000};
}

static void end(struct world *w)
{
    flag_ctx_free(w->q.ctx);
    ofrep_release(&w->ofrep);
    arena_release(&w->arena);
    flagset_unref(w->set);
}

static void ask(struct world *w, const char *key, const char *body)
{
    arena_reset(&w->arena);
    w->q.body = str_of(body);
    if (key)
        ofrep_ask(&w->ofrep, &w->q, str_of(key), &w->a);
    else
        ofrep_ask_all(&w->ofrep, &w->q, &w->a);
}

static void expect(struct world *w, const char *key, const char *body, int status,
                   const char *want)
{
    ask(w, key, body);
    ck_assert_msg(w->a.status == status && str_eq(w->a.body, str_of(want)),
                  "%s %s: %d %.*s, want %d %s", key, body, w->a.status, STR_ARG(w->a.body),
                  status, want);
}

START_TEST(one_flag)
{
    struct world w;

    begin(&w);
    expect(&w, "on", "{\"context\":{\"who\":\"ann\"}}", 200,
           "{\"key\":\"on\",\"reason\":\"TARGETING_MATCH\",\"value\":true,\"variant\":\"t\","
           "\"metadata\":{\"version\":\"7\",\"flagSetId\":\"shop\"}}");
    ck_assert_int_eq(w.a.flag, 0);
    expect(&w, "on", "", 200,
           "{\"key\":\"on\",\"reason\":\"DEFAULT\",\"value\":false,\"variant\":\"f\","
           "\"metadata\":{\"version\":\"7\",\"flagSetId\":\"shop\"}}");
    expect(&w, "none", "{}", 200,
           "{\"key\":\"none\",\"reason\":\"DEFAULT\",\"metadata\":{\"version\":\"7\"}}");
    expect(&w, "off", "{\"context\":null}", 200,
           "{\"key\":\"off\",\"reason\":\"DISABLED\",\"metadata\":{\"version\":\"7\"}}");
    expect(&w, "killed", "{}", 200,
           "{\"key\":\"killed\",\"reason\":\"STATIC\",\"value\":2,\"variant\":\"b\","
           "\"metadata\":{\"version\":\"7\",\"override\":true}}");
    expect(&w, "bad \"key\"", "{}", 400,
           "{\"key\":\"bad \\\"key\\\"\",\"errorCode\":\"PARSE_ERROR\",\"errorDetails\":"
           "\"\\\"variants\\\" must be an object with at least one variant\"}");
    end(&w);
}
END_TEST

START_TEST(refusals)
{
    struct world w;

    begin(&w);
    expect(&w, "gone\x01\xff", "{}", 404,
           "{\"key\":\"gone\\u0001\xef\xbf\xbd\",\"errorCode\":\"FLAG_NOT_FOUND\","
           "\"errorDetails\":\"no such flag\"}");
    expect(&w, "on", "{oops", 400,
           "{\"key\":\"on\",\"errorCode\":\"PARSE_ERROR\",\"errorDetails\":"
           "\"byte 1: a member begins with its name in quotes\"}");
    expect(&w, NULL, "{\"context\":[1]}", 400,
           "{\"errorCode\":\"INVALID_CONTEXT\",\"errorDetails\":\"\\\"context\\\" must be an "
           "object\"}");
    w.q.selector = STR("nonsense");
    ask(&w, "on", "{}");
    ck_assert_int_eq(w.a.status, 400);
    w.q.selector = STR("flagSetId=other");
    ask(&w, "on", "{}");
    ck_assert_int_eq(w.a.status, 404);
    w.q.set = NULL; /* no flags yet */
    ask(&w, "on", "{}");
    ck_assert_int_eq(w.a.status, 404);
    expect(&w, NULL, "{}", 200, "{\"flags\":[]}");
    end(&w);
}
END_TEST

START_TEST(all_flags)
{
    struct world w;
    char tag[OFREP_TAG], list[64];
    json_t *j;

    begin(&w);
    ask(&w, NULL, "{\"context\":{\"who\":\"ann\"}}");
    ck_assert_int_eq(w.a.status, 200);
    j = json_loadb(w.a.body.p, w.a.body.n, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(j, "flags")), 5);
    json_decref(j);
    memcpy(tag, w.a.tag, sizeof(tag));
    snprintf(list, sizeof(list), "\"x\", W/%s", tag);
    w.q.have = str_of(list);
    expect(&w, NULL, "{\"context\":{\"who\":\"ann\",\"more\":[1,{\"a\":2}]}}", 304, "");
    ask(&w, NULL, "{\"context\":{\"who\":\"eve\"}}"); /* other results, another tag */
    ck_assert_int_eq(w.a.status, 200);
    ck_assert_str_ne(w.a.tag, tag);
    w.q.selector = STR("flagSetId=shop");
    ask(&w, NULL, "{}");
    j = json_loadb(w.a.body.p, w.a.body.n, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(j, "flags")), 1);
    json_decref(j);
    end(&w);
}
END_TEST

START_TEST(nothing_is_allocated)
{
    static const char body[] = "{\"context\":{\"who\":\"\\u0061nn\",\"list\":[1,2,3.5e1]}}";
    struct world w;
    uint64_t before;

    begin(&w);
    ask(&w, NULL, body);
    before = mem_allocations();
    for (int i = 0; i < 100; i++) {
        ask(&w, NULL, body);
        ask(&w, "on", body);
    }
    ck_assert_uint_eq(mem_allocations() - before, 0);
    ck_assert(memmem(w.a.body.p, w.a.body.n, "TARGETING_MATCH", 15) != NULL);
    end(&w);
}
END_TEST

START_TEST(tags)
{
    ck_assert(ofrep_tag_listed(STR("\"a\""), STR("\"a\"")));
    ck_assert(ofrep_tag_listed(STR("W/\"b\" , W/\"a\""), STR("\"a\"")));
    ck_assert(ofrep_tag_listed(STR("a"), STR("\"a\"")));
    ck_assert(ofrep_tag_listed(STR("*"), STR("\"a\"")));
    ck_assert(!ofrep_tag_listed(STR("\"ab\",\"b\""), STR("\"a\"")));
    ck_assert(!ofrep_tag_listed(STR(""), STR("\"a\"")));
}
END_TEST

/* ---- JSON ---- */

static bool parse(struct world *w, struct str text, struct flag_value *v)
{
    arena_reset(&w->arena);
    return flag_json_parse(&w->ofrep.json, &w->arena, text, v);
}

static json_t *back(const struct flag_value *v)
{
    json_t *j;

    switch (v->kind) {
    case FLAG_BOOL:
        return json_boolean(v->boolean);
    case FLAG_NUMBER:
        return json_real(v->number);
    case FLAG_STRING:
        return json_stringn(v->text.p, v->text.n);
    case FLAG_ARRAY:
        j = json_array();
        for (uint32_t i = 0; i < v->n; i++)
            json_array_append_new(j, back(&v->items[i]));
        return j;
    case FLAG_OBJECT:
        j = json_object();
        for (uint32_t i = v->n; i-- > 0;)
            json_object_setn_new(j, v->members[i].name.p ? v->members[i].name.p : "",
                                 v->members[i].name.n, back(&v->members[i].value));
        return j;
    default:
        return json_null();
    }
}

static const char *const good[] = {
    "null",
    " [ ] ",
    "{}",
    "[true,false,null,\"\",{\"\":{}}]",
    "[0,-0,1.5,-2.25e3,1E+2,9007199254740993,123456789012345678901234567890,1e-400,0.1]",
    "\"\\u00e9\\ud83d\\ude00\\n\\t\\b\\f\\r\\/\\\\\\\" \xc3\xa9 \xf0\x9f\x98\x80 "
    "\\u007f\\u07ff\\uffff\"",
    "{\"a\":1,\"b\":[{\"c\":\"\\\"\"},\"\\\\\"],\"d\":{\"e\":{\"f\":-1}}}",
    "{\"a\":1,\"a\":2}",
};

static const char *const bad[] = {
    "",
    "{",
    "[1,]",
    "{\"a\":1,}",
    "{\"a\"}",
    "{a:1}",
    "01",
    "1.",
    ".5",
    "-",
    "+1",
    "1e",
    "1e400",
    "nul",
    "truex",
    "[1]]",
    "\"",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\u0041\"",
    "\"a\nb\"",
    "\"\xff\"",
    "\"\xc0\x80\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xc3\"",
    "'a'",
    "[1 2]",
    "NaN",
    "Infinity",
    "// x\n1",
    "\"\\",
};

static void as_real(json_t *j)
{
    const char *name;
    json_t *v;
    size_t i;
    void *next;

    json_array_foreach(j, i, v)
    {
        if (json_is_integer(v))
            json_array_set_new(j, i, json_real((double)json_integer_value(v)));
        as_real(v);
    }
    json_object_foreach_safe(j, next, name, v)
    {
        if (json_is_integer(v))
            json_object_set_new(j, name, json_real((double)json_integer_value(v)));
        as_real(v);
    }
}

START_TEST(json_means_what_it_means_elsewhere)
{
    const size_t flags = JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL;
    json_t *theirs = json_loads(good[_i], flags, NULL), *mine;
    struct flag_value v;
    struct world w;

    begin(&w);
    ck_assert_msg(parse(&w, str_of(good[_i]), &v), "%s: %s", good[_i], w.ofrep.json.why);
    mine = back(&v);
    as_real(mine);
    ck_assert_msg(json_equal(mine, theirs), "%s", good[_i]);
    for (size_t n = 0; n + 1 < strlen(good[_i]); n++) /* no beginning of it is read beyond */
        (void)!parse(&w, (struct str){good[_i], n}, &v);
    json_decref(mine);
    json_decref(theirs);
    end(&w);
}
END_TEST

START_TEST(json_that_is_none)
{
    struct flag_value v;
    struct world w;

    begin(&w);
    ck_assert_msg(!parse(&w, str_of(bad[_i]), &v), "%s", bad[_i]);
    ck_assert_uint_le(w.ofrep.json.at, strlen(bad[_i]));
    end(&w);
}
END_TEST

START_TEST(json_is_bounded)
{
    static char text[2 * FLAG_JSON_VALUES + 2];
    struct flag_value v;
    struct world w;

    begin(&w);
    memset(text, '[', FLAG_JSON_DEPTH);
    memset(text + FLAG_JSON_DEPTH, ']', FLAG_JSON_DEPTH);
    ck_assert(parse(&w, (struct str){text, 2 * FLAG_JSON_DEPTH}, &v));
    memset(text, '[', FLAG_JSON_DEPTH + 1);
    memset(text + FLAG_JSON_DEPTH + 1, ']', FLAG_JSON_DEPTH + 1);
    ck_assert(!parse(&w, (struct str){text, 2 * (FLAG_JSON_DEPTH + 1)}, &v));
    text[0] = '[';
    for (size_t i = 0; i < FLAG_JSON_VALUES; i++) {
        text[1 + 2 * i] = '1';
        text[2 + 2 * i] = i + 1 < FLAG_JSON_VALUES ? ',' : ']';
    }
    ck_assert(!parse(&w, (struct str){text, 1 + 2 * FLAG_JSON_VALUES}, &v));
    text[2 * (FLAG_JSON_VALUES - 1)] = ']'; /* with the array itself as many as may be */
    ck_assert(parse(&w, (struct str){text, 1 + 2 * (FLAG_JSON_VALUES - 1)}, &v));
    ck_assert_uint_eq(v.n, FLAG_JSON_VALUES - 1);
    end(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ofrep");
    TCase *t = tcase_create("ofrep");

    tcase_add_test(t, one_flag);
    tcase_add_test(t, refusals);
    tcase_add_test(t, all_flags);
    tcase_add_test(t, nothing_is_allocated);
    tcase_add_test(t, tags);
    tcase_add_loop_test(t, json_means_what_it_means_elsewhere, 0,
                        (int)(sizeof(good) / sizeof(*good)));
    tcase_add_loop_test(t, json_that_is_none, 0, (int)(sizeof(bad) / sizeof(*bad)));
    tcase_add_test(t, json_is_bounded);
    suite_add_tcase(s, t);
    return unit_run(s);
}
