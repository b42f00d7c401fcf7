/* test_flag_fractional.c - the three generations of `fractional`. */
#include "proxy/route/flag_fractional.h"

#include "proxy/base/hash.h"
#include "proxy/route/flag_eval.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>

/* RFC 8949, Appendix A, with numbers as shortest integers where they are integral. */
static const struct {
    const char *json, *cbor;
} encodings[] = {
    {"0", "00"},
    {"-0.0", "00"},
    {"23", "17"},
    {"24", "1818"},
    {"100", "1864"},
    {"1000", "1903e8"},
    {"1000000", "1a000f4240"},
    {"1000000000000", "1b000000e8d4a51000"},
    {"-1", "20"},
    {"-100", "3863"},
    {"-1000", "3903e7"},
    {"1.1", "fb3ff199999999999a"},
    {"1.5", "f93e00"},
    {"65504.0", "19ffe0"},
    {"100000.5", "fa47c35040"},
    {"3.4028234663852886e38", "fa7f7fffff"},
    {"1e300", "fb7e37e43c8800759c"},
    {"5.960464477539063e-8", "f90001"},
    {"0.00006103515625", "f90400"},
    {"-4.1", "fbc010666666666666"},
    {"false", "f4"},
    {"true", "f5"},
    {"null", "f6"},
    {"\"\"", "60"},
    {"\"a\"", "6161"},
    {"\"\xc3\xbc\"", "62c3bc"},
    {"[]", "80"},
    {"[1,[2,3]]", "8201820203"},
    {"{}", "a0"},
    {"{\"b\":[2,3],\"a\":1}", "a26161016162820203"},
    {"{\"bb\":1,\"c\":{\"z\":0,\"y\":0},\"a\":2}", "a36161026163a2617900617a0062626201"},
};

static struct flag_scratch scratch(char *room, size_t n)
{
    return (struct flag_scratch){room, room + n, false};
}

START_TEST(values_are_encoded_one_way)
{
    char bytes[64], room[1024];
    struct flag_scratch s = scratch(room, sizeof(room));
    size_t n = strlen(encodings[_i].cbor) / 2;
    struct flag_value v;
    struct arena a;

    for (size_t i = 0; i < n; i++) {
        unsigned byte;

        ck_assert_int_eq(sscanf(encodings[_i].cbor + 2 * i, "%2x", &byte), 1);
        bytes[i] = (char)byte;
    }
    arena_init(&a, NULL, 0);
    ck_assert(flag_value_parse(&a, str_of(encodings[_i].json), &v));
    ck_assert_msg(flag_hash_value(&s, &v) == hash_murmur3((struct str){bytes, n}, 0), "%s",
                  encodings[_i].json);
    ck_assert(!s.full);
    arena_release(&a);
}
END_TEST

START_TEST(no_room_is_noticed)
{
    struct flag_value v = flag_text(STR("0123456789")), many[8], list;
    char room[16];
    struct flag_scratch s = scratch(room, 11);

    (void)flag_hash_value(&s, &v);
    ck_assert(!s.full);
    s = scratch(room, 10);
    (void)flag_hash_value(&s, &v);
    ck_assert(s.full);
    for (int i = 0; i < 8; i++)
        many[i] = v;
    list = (struct flag_value){.kind = FLAG_ARRAY, .n = 8, .items = many};
    s = scratch(room, sizeof(room));
    (void)flag_hash_value(&s, &list);
    ck_assert(s.full);
}
END_TEST

/* 2^31 is the first hash of the upper half; its magnitude as a signed number is too large. */
START_TEST(generations_differ_in_where_a_hash_falls)
{
    struct flag_bucket b[2] = {{flag_text(STR("low")), 1}, {flag_text(STR("high")), 1}};
    struct flag_value v2 = flag_fractional_pick(FLAG_BUCKETING_V2, 0x80000000, b, 2);
    struct flag_value v1 = flag_fractional_pick(FLAG_BUCKETING_V1, 0x80000000, b, 2);

    ck_assert(str_eq(v2.text, STR("high")));
    ck_assert(v1.kind == FLAG_STRING && v1.text.n == 0);
    v1 = flag_fractional_pick(FLAG_BUCKETING_V1, 0xffffffff, b, 2); /* -1 */
    ck_assert(str_eq(v1.text, STR("low")));
    b[0].weight = b[1].weight = 0;
    ck_assert(flag_fractional_pick(FLAG_BUCKETING_V3, 0, b, 2).kind == FLAG_NULL);
}
END_TEST

static bool get(void *arg, struct str path, struct flag_value *out)
{
    return flag_value_at(arg, path, out);
}

/* The variant of a rule in a set of GENERATION for CONTEXT; "-": the default; or the error. */
static void expect(const char *generation, const char *rule, const char *context,
                   const char *want)
{
    struct flag_ctx *c = flag_ctx_new();
    const struct flag_result *r;
    char doc[512], *why = NULL;
    struct flag_value root;
    struct flagset *set;
    struct arena a;
    struct str got;

    snprintf(doc, sizeof(doc),
             "{\"format\":1,\"metadata\":{\"bucketing\":\"%s\"},\"flags\":{\"f\":{\"state\":"
             "\"ENABLED\",\"variants\":{\"a\":1,\"b\":2,\"-\":0},\"defaultVariant\":\"-\","
             "\"targeting\":%s}}}",
             generation, rule);
    set = flagset_compile(str_of(doc), &why);
    ck_assert_msg(set != NULL, "%s", why);
    arena_init(&a, NULL, 0);
    ck_assert(flag_value_parse(&a, str_of(context), &root));
    flag_ctx_begin(c, set, get, &root, 0);
    r = flag_eval(c, 0);
    got = r->variant ? r->variant->name : str_of(flag_error_name(r->error));
    ck_assert_msg(str_eq(got, str_of(want)), "%s %s %s: %.*s", generation, rule, context,
                  STR_ARG(got));
    flag_ctx_free(c);
    arena_release(&a);
    flagset_unref(set);
}

START_TEST(the_set_says_which)
{
    static const char by_number[] = "{\"fractional\":[{\"var\":\"n\"},[\"a\",1],[\"b\",0]]}";

    expect("v2", by_number, "{\"n\":7,\"targetingKey\":\"u\"}", "-");
    expect("v3", by_number, "{\"n\":7}", "a");
    expect("v3", by_number, "{\"n\":{\"x\":[null]}}", "a");
    expect("v3", by_number, "{\"targetingKey\":\"u\"}", "-"); /* null is nobody */
    expect("v2", by_number, "{\"targetingKey\":\"u\"}", "a"); /* as if not written */
    expect("v4", by_number, "{}", "PARSE_ERROR");
    expect("v4", "{\"if\":[true,\"b\"]}", "{}", "b"); /* others are no worse for it */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flag_fractional");
    TCase *t = tcase_create("flag_fractional");

    tcase_add_loop_test(t, values_are_encoded_one_way, 0,
                        (int)(sizeof(encodings) / sizeof(*encodings)));
    tcase_add_test(t, no_room_is_noticed);
    tcase_add_test(t, generations_differ_in_where_a_hash_falls);
    tcase_add_test(t, the_set_says_which);
    suite_add_tcase(s, t);
    return unit_run(s);
}
