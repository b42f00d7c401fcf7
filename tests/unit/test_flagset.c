/*
 * test_flagset.c - documents to flag sets: what is accepted, what is quarantined and why, what
 * is handed upstream.
 */
#include "config/flagset.h"

#include "config/flag_doc.h"
#include "config/flag_program.h"
#include "proxy/base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define SNAPSHOT(flags)         "{\"format\":1,\"sequence\":9,\"flags\":{" flags "}}"
#define SNAPSHOT_AND(flags, in) "{\"format\":1,\"flags\":{" flags "}," in "}"
#define ON_OFF                  "\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":false}"

static struct flagset *compiled(const char *doc)
{
    char *why = NULL;
    struct flagset *set = flagset_compile(str_of(doc), &why);

    ck_assert_msg(set != NULL, "%s", why);
    return set;
}

/* The reason of the flag "f" in a set with only that flag. */
static void expect_quarantine(const char *flag, const char *evaluators, const char *reason)
{
    char *doc = xasprintf("{\"format\":1,\"flags\":{\"f\":%s,\"good\":{" ON_OFF "}},"
                          "\"evaluators\":%s}",
                          flag, evaluators);
    struct flagset *set = compiled(doc);
    struct str why = flagset_quarantine(set, flagset_find(set, STR("f")));

    if (!reason)
        ck_assert_msg(why.n == 0, "%s: %.*s", flag, STR_ARG(why));
    else
        ck_assert_msg(why.n && strstr(why.p, reason), "%s: \"%.*s\" lacks \"%s\"", flag,
                      STR_ARG(why), reason);
    ck_assert_uint_eq(flagset_quarantine(set, flagset_find(set, STR("good"))).n, 0);
    flagset_unref(set);
    xfree(doc);
}

START_TEST(quarantines_what_cannot_be_served)
{
    static const struct {
        const char *flag, *reason;
    } t[] = {
        {"{" ON_OFF "}", NULL},
        {"{" ON_OFF ",\"defaultVariant\":\"on\",\"targeting\":{}}", NULL},
        {"{" ON_OFF ",\"defaultVariant\":null}", NULL},
        {"{" ON_OFF ",\"defaultVariant\":\"maybe\"}", "defaultVariant"},
        {"{" ON_OFF ",\"defaultVariant\":1}", "defaultVariant"},
        {"{\"state\":\"on\",\"variants\":{\"on\":true}}", "state"},
        {"{\"variants\":{\"on\":true}}", "state"},
        {"{\"state\":\"ENABLED\",\"variants\":{}}", "variants"},
        {"{\"state\":\"ENABLED\"}", "variants"},
        {"null", "object"},
        {"[]", "object"},
        {"{" ON_OFF ",\"targeting\":[1]}", "targeting"},
        {"{" ON_OFF ",\"targeting\":{\"nonsense\":[1]}}", "unknown operator \"nonsense\""},
        {"{" ON_OFF ",\"targeting\":{\"if\":[{\"==\":[{\"Var\":\"a\"},1]},\"on\"]}}",
         "unknown operator \"Var\""},
        {"{" ON_OFF ",\"targeting\":{\"map\":[1]}}", "map wants"},
        {"{" ON_OFF ",\"targeting\":{\"==\":[9007199254740993,1]}}", "2^53"},
        {"{\"state\":\"ENABLED\",\"variants\":{\"big\":9007199254740993}}", "2^53"},
        {"{" ON_OFF ",\"targeting\":{\"$ref\":\"nobody\"}}", "nobody"},
        {"{" ON_OFF ",\"targeting\":{\"$ref\":\"a\"}}", "leads back to itself"},
        {"{" ON_OFF ",\"targeting\":{\"if\":[{\"$ref\":\"self\"},\"on\"]}}",
         "leads back to itself"},
        {"{" ON_OFF ",\"targeting\":{\"if\":[{\"$ref\":\"outer\"},\"on\"]}}", NULL},
    };
    static const char evaluators[] =
        "{\"a\":{\"!\":{\"$ref\":\"b\"}},\"b\":{\"!\":{\"$ref\":\"a\"}},"
        "\"self\":{\"$ref\":\"self\"},\"outer\":{\"!\":{\"$ref\":\"inner\"}},"
        "\"inner\":{\"==\":[{\"var\":\"x\"},1]}}";

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        expect_quarantine(t[i].flag, evaluators, t[i].reason);
}
END_TEST

/* {"!":{"!":...1}} with N operators. */
static char *nested(size_t n)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    fputs("{" ON_OFF ",\"targeting\":", out);
    for (size_t i = 0; i < n; i++)
        fputs("{\"!\":", out);
    fputc('1', out);
    for (size_t i = 0; i < n; i++)
        fputc('}', out);
    fputc('}', out);
    fclose(out);
    return text;
}

/* 20 evaluators that double: a million operations behind a few hundred bytes. */
static char *doubling(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    fputs("{\"e0\":{\"var\":\"x\"}", out);
    for (int i = 1; i <= 20; i++)
        fprintf(out, ",\"e%d\":{\"and\":[{\"$ref\":\"e%d\"},{\"$ref\":\"e%d\"}]}", i, i - 1,
                i - 1);
    fputc('}', out);
    fclose(out);
    return text;
}

START_TEST(depth_and_size_are_bounded)
{
    char *deep = nested(63), *deeper = nested(64), *evaluators = doubling();

    expect_quarantine(deep, "{}", NULL);
    expect_quarantine(deeper, "{}", "nested deeper than 64");
    expect_quarantine("{" ON_OFF ",\"targeting\":{\"$ref\":\"e20\"}}", evaluators,
                      "more than 10000");
    xfree(deep);
    xfree(deeper);
    xfree(evaluators);
}
END_TEST

START_TEST(only_a_snapshot_is_a_set)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"flags\":{}}",
        "{\"format\":2,\"flags\":{}}",
        "{\"format\":1,\"flags\":[]}",
        "{\"format\":1,\"flags\":{}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *why = NULL;

        ck_assert_ptr_null(flagset_compile(str_of(bad[i]), &why));
        ck_assert_ptr_nonnull(why);
        xfree(why);
    }
}
END_TEST

START_TEST(finds_every_flag_by_its_key)
{
    char *doc = NULL, key[16];
    struct flagset *set;
    size_t size;
    FILE *out = open_memstream(&doc, &size);

    fputs("{\"format\":1,\"sequence\":7,\"flags\":{", out);
    for (int i = 0; i < 2000; i++)
        fprintf(out, "%s\"k%d\":{" ON_OFF "}", i ? "," : "", i);
    fputs("}}", out);
    fclose(out);
    set = compiled(doc);
    ck_assert_uint_eq(flagset_count(set), 2000);
    ck_assert_uint_eq(flagset_sequence(set), 7);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        ck_assert_int_eq(flagset_find(set, str_of(key)), i);
    }
    ck_assert_int_eq(flagset_find(set, STR("k2000")), -1);
    ck_assert_int_eq(flagset_find(set, STR("")), -1);
    flagset_unref(set);
    set = compiled(SNAPSHOT(""));
    ck_assert_int_eq(flagset_find(set, STR("k")), -1);
    flagset_unref(set);
    xfree(doc);
}
END_TEST

static bool sent(const struct flagset *set, const char *field)
{
    size_t n;
    const struct flag_upstream *up = flagset_upstream(set, &n);

    for (size_t i = 0; i < n; i++) {
        if (str_eq(up[i].field, str_of(field)))
            return true;
    }
    return false;
}

START_TEST(upstream_gets_what_may_stand_in_a_field)
{
    struct flagset *set = compiled(
        SNAPSHOT("\"plain\":{" ON_OFF "},"
                 "\"not a token\":{" ON_OFF "},"
                 "\"crlf\\r\\nX-Evil: 1\":{" ON_OFF "},"
                 "\"quiet\":{" ON_OFF ",\"metadata\":{\"proxy.upstream\":false}},"
                 "\"renamed\":{" ON_OFF ",\"metadata\":{\"proxy.header\":\"x-flag-Checkout\"}},"
                 "\"forgeable\":{" ON_OFF ",\"metadata\":{\"proxy.header\":\"X-Checkout\"}},"
                 "\"evil\":{" ON_OFF ",\"metadata\":{\"proxy.header\":\"X:\\r\\n\"}},"
                 "\"off\":{\"state\":\"DISABLED\",\"variants\":{\"on\":true}},"
                 "\"broken\":{\"state\":\"?\"}"));
    size_t n;

    flagset_upstream(set, &n);
    ck_assert_uint_eq(n, 2);
    ck_assert(sent(set, "X-Flag-plain"));
    ck_assert(sent(set, "x-flag-Checkout"));
    flagset_unref(set);
}
END_TEST

START_TEST(large_sets_hand_on_only_what_asks)
{
    char *doc = NULL;
    struct flagset *set;
    size_t n, size;
    FILE *out = open_memstream(&doc, &size);

    fputs("{\"format\":1,\"flags\":{\"asks\":{" ON_OFF
          ",\"metadata\":{\"proxy.upstream\":true}}",
          out);
    for (int i = 0; i < 32; i++)
        fprintf(out, ",\"k%d\":{" ON_OFF "}", i);
    fputs("}}", out);
    fclose(out);
    set = compiled(doc);
    flagset_upstream(set, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert(sent(set, "X-Flag-asks"));
    flagset_unref(set);
    xfree(doc);
}
END_TEST

START_TEST(variants_keep_value_cell_and_safety)
{
    struct flagset *set = compiled(SNAPSHOT_AND(
        "\"f\":{\"state\":\"ENABLED\",\"variants\":{\"on\":{\"a\":[1,2.5]},"
        "\"a b\":\"x\",\"t\\u00e4\":\"y\",\"nl\\n\":\"z\"},\"metadata\":{\"m\":1,\"o\":{}}}",
        "\"cells\":{\"f\":{\"on\":3}},\"metadata\":{\"m\":0,\"set\":\"s\"}"));
    const struct flag_variant *v = set->flags[0].variants;

    ck_assert(str_eq(v[0].json, STR("{\"a\":[1,2.5]}")));
    ck_assert_int_eq(v[0].kind, FLAG_OBJECT);
    ck_assert_uint_eq(v[0].cell, 3);
    ck_assert_uint_eq(v[1].cell, 0);
    ck_assert(v[0].header_safe && v[1].header_safe);
    ck_assert(!v[2].header_safe && !v[3].header_safe);
    ck_assert(str_eq(flagset_metadata(set, 0), STR("{\"m\":1,\"set\":\"s\"}")));
    flagset_unref(set);
}
END_TEST

START_TEST(flagd_documents_become_snapshots)
{
    static const char array[] = "{\"flags\":[{\"key\":\"a\",\"state\":\"DISABLED\"},"
                                "{\"key\":\"a\",\"state\":\"ENABLED\"},{\"state\":\"x\"}],"
                                "\"$evaluators\":{\"e\":1},\"metadata\":{\"v\":2}}";
    char *why = NULL;
    json_t *doc = flag_doc_parse(STR(array), &why), *flag;

    ck_assert_ptr_nonnull(doc);
    flag = json_object_get(json_object_get(doc, "flags"), "a");
    ck_assert_str_eq(json_string_value(json_object_get(flag, "state")), "ENABLED");
    ck_assert_uint_eq(json_object_size(json_object_get(doc, "flags")), 1);
    ck_assert_ptr_nonnull(json_object_get(json_object_get(doc, "evaluators"), "e"));
    json_decref(doc);
    ck_assert_ptr_null(flag_doc_parse(STR("{\"flags\":3}"), &why));
    xfree(why);
    why = NULL;
    ck_assert_ptr_null(flag_doc_parse(STR("{\"flags\":1e400}"), &why));
    xfree(why);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flagset");
    TCase *t = tcase_create("flagset");

    tcase_add_test(t, quarantines_what_cannot_be_served);
    tcase_add_test(t, depth_and_size_are_bounded);
    tcase_add_test(t, only_a_snapshot_is_a_set);
    tcase_add_test(t, finds_every_flag_by_its_key);
    tcase_add_test(t, upstream_gets_what_may_stand_in_a_field);
    tcase_add_test(t, large_sets_hand_on_only_what_asks);
    tcase_add_test(t, variants_keep_value_cell_and_safety);
    tcase_add_test(t, flagd_documents_become_snapshots);
    suite_add_tcase(s, t);
    return unit_run(s);
}
