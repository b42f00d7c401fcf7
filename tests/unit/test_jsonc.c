/* test_jsonc.c - the scanner: comments, places, grammar, limits, the tree beside the values. */
#include "config/diag.h"
#include "config/jsonc.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

static struct arena arena;
static struct conf_diags diags;
static struct source source;

static void setup(void)
{
    arena_init(&arena, NULL, 0);
    conf_diags_init(&diags);
}

static void teardown(void)
{
    conf_diags_release(&diags);
    arena_release(&arena);
}

static bool parse(const char *text, struct jsonc *out)
{
    source = (struct source){.text = str_of(text)};
    return jsonc_parse(&arena, &source, &diags, out);
}

START_TEST(comments_and_trailing_commas_are_blanks)
{
    struct jsonc doc;

    ck_assert(
        parse("// a\n{ /* b, \" */ \"k\" /**/ : [1, 2, /* c */], // d\n}\n/* e */", &doc));
    ck_assert_uint_eq(json_array_size(json_object_get(doc.json, "k")), 2);
    ck_assert_uint_eq(diags.list.n, 0);
    jsonc_release(&doc);
}
END_TEST

START_TEST(comment_marks_inside_strings_stay)
{
    struct jsonc doc;

    ck_assert(parse("{ \"k\": \"http://x/*y*/,]\\\"//\" }", &doc));
    ck_assert_str_eq(json_string_value(json_object_get(doc.json, "k")), "http://x/*y*/,]\"//");
    jsonc_release(&doc);
}
END_TEST

START_TEST(places_are_those_of_the_text)
{
    struct jsonc doc;
    struct str line;
    unsigned row, column;

    ck_assert(parse("/* \xc3\xbc\n */ { \"a\": 1,\n  \"b\": [ true, /* x */ null ] }", &doc));

    struct node *b = node_get(doc.root, STR("b")), *null = b->last;

    source_place(&source, b->key_at, &row, &column, &line);
    ck_assert_uint_eq(row, 3);
    ck_assert_uint_eq(column, 3);
    source_place(&source, null->at, &row, &column, &line);
    ck_assert_uint_eq(row, 3);
    ck_assert_uint_eq(column, 24);
    ck_assert_str_eq(node_pointer(&arena, null).p, "/b/1");
    ck_assert(null->json == json_array_get(b->json, 1));
    source_place(&source, doc.root->at, &row, &column, &line);
    ck_assert_uint_eq(row, 2);
    ck_assert_uint_eq(column, 5);
    jsonc_release(&doc);
}
END_TEST

START_TEST(pointers_are_escaped)
{
    struct jsonc doc;

    ck_assert(
        parse("{ \"a/b\": { \"~\": { \"\": [ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ] } } }", &doc));

    struct node *n = doc.root->first->first->first->last;

    ck_assert_str_eq(node_pointer(&arena, n).p, "/a~1b/~0//10");
    ck_assert_str_eq(node_pointer(&arena, doc.root).p, "");
    jsonc_release(&doc);
}
END_TEST

START_TEST(duplicates_keep_the_last)
{
    struct jsonc doc;

    ck_assert(parse("{ \"a\": [1], \"b\": 0, \"\\u0061\": { \"c\": 2 } }", &doc));
    ck_assert_uint_eq(diags.list.n, 1);
    ck_assert_uint_eq(doc.root->n, 2);

    struct node *a = node_get(doc.root, STR("a"));

    ck_assert_int_eq(a->kind, NODE_OBJECT);
    ck_assert_int_eq(json_integer_value(a->first->json), 2);
    jsonc_release(&doc);
}
END_TEST

static const char *const broken[] = {"",
                                     " ",
                                     "{",
                                     "}",
                                     "[1 2]",
                                     "[1,,2]",
                                     "[,]",
                                     "{,}",
                                     "{\"a\"}",
                                     "{\"a\":}",
                                     "{a:1}",
                                     "{'a':1}",
                                     "[01]",
                                     "[1.]",
                                     "[.5]",
                                     "[-]",
                                     "[1e]",
                                     "[+1]",
                                     "[0x1]",
                                     "[NaN]",
                                     "[tru]",
                                     "[truefalse]",
                                     "\"a",
                                     "\"a\\\"",
                                     "[\"\\x\"]",
                                     "[\"\t\"]",
                                     "/* a",
                                     "/ a\n1",
                                     "1 2",
                                     "{\"a\":1}}",
                                     "[1]/",
                                     "[1];",
                                     "[\"\\ud800\"]",
                                     "[\"\xc0\xaf\"]",
                                     "[1e999]",
                                     "\"a\\",
                                     "# a\n[]",
                                     "[1,/*",
                                     "{\"a\":1,,}",
                                     "{\"a\" 1}",
                                     "\xef\xbb\xbf{}"};

START_TEST(broken_documents_are_refused)
{
    struct jsonc doc;

    ck_assert_msg(!parse(broken[_i], &doc), "%s", broken[_i]);
    ck_assert_uint_eq(diags.list.n, 1);
    ck_assert_uint_ge(diags.list.v[0].line, 1);
}
END_TEST

START_TEST(depth_is_limited)
{
    char text[2 * JSONC_MAX_DEPTH + 3] = {0};
    struct jsonc doc;

    memset(text, '[', JSONC_MAX_DEPTH);
    memset(text + JSONC_MAX_DEPTH, ']', JSONC_MAX_DEPTH);
    ck_assert(parse(text, &doc));
    jsonc_release(&doc);
    memset(text, '[', JSONC_MAX_DEPTH + 1);
    memset(text + JSONC_MAX_DEPTH + 1, ']', JSONC_MAX_DEPTH + 1);
    ck_assert(!parse(text, &doc));
}
END_TEST

START_TEST(size_is_limited)
{
    char *text = xmalloc(JSONC_MAX_BYTES + 2);
    struct jsonc doc;

    memset(text, ' ', JSONC_MAX_BYTES + 1);
    text[0] = '1';
    text[JSONC_MAX_BYTES] = '\0';
    ck_assert(parse(text, &doc));
    jsonc_release(&doc);
    text[JSONC_MAX_BYTES] = ' ';
    text[JSONC_MAX_BYTES + 1] = '\0';
    ck_assert(!parse(text, &doc));
    xfree(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("jsonc");
    TCase *tc = tcase_create("jsonc");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, comments_and_trailing_commas_are_blanks);
    tcase_add_test(tc, comment_marks_inside_strings_stay);
    tcase_add_test(tc, places_are_those_of_the_text);
    tcase_add_test(tc, pointers_are_escaped);
    tcase_add_test(tc, duplicates_keep_the_last);
    tcase_add_loop_test(tc, broken_documents_are_refused, 0, (int)ARRAY_LEN(broken));
    tcase_add_test(tc, depth_is_limited);
    tcase_add_test(tc, size_is_limited);
    suite_add_tcase(s, tc);

    return unit_run(s);
}
