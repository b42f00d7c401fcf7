/* test_jsonc.c - the scanner: comments, places, grammar, limits, the tree beside the values. */
#include "config/diag.h"
#include "config/jsonc.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
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

static struct node *parse(const char *text)
{
    source = (struct source){.text = str_of(text)};
    return jsonc_parse(&arena, &source, &diags);
}

START_TEST(comments_and_trailing_commas_are_blanks)
{
    struct node *doc =
        parse("// a\n{ /* b, \" */ \"k\" /**/ : [1, 2, /* c */], // d\n}\n/* e */");

    ck_assert_ptr_nonnull(doc);
    ck_assert_uint_eq(node_get(doc, STR("k"))->n, 2);
    ck_assert_uint_eq(diags.list.n, 0);
}
END_TEST

START_TEST(comment_marks_inside_strings_stay)
{
    struct node *doc = parse("{ \"k\": \"http://x/*y*/,]\\\"//\" }");

    ck_assert_ptr_nonnull(doc);
    ck_assert(str_eq(node_get(doc, STR("k"))->written, STR("http://x/*y*/,]\"//")));
}
END_TEST

START_TEST(places_are_those_of_the_text)
{
    struct str line;
    unsigned row, column;

    struct node *doc = parse("/* \xc3\xbc\n */ { \"a\": 1,\n  \"b\": [ true, /* x */ null ] }");

    ck_assert_ptr_nonnull(doc);

    struct node *b = node_get(doc, STR("b")), *null = b->last;

    source_place(&source, b->key_at, &row, &column, &line);
    ck_assert_uint_eq(row, 3);
    ck_assert_uint_eq(column, 3);
    source_place(&source, null->at, &row, &column, &line);
    ck_assert_uint_eq(row, 3);
    ck_assert_uint_eq(column, 24);
    ck_assert_str_eq(node_pointer(&arena, null).p, "/b/1");
    ck_assert_int_eq(null->kind, NODE_NULL);
    ck_assert(b->first->truth);
    source_place(&source, doc->at, &row, &column, &line);
    ck_assert_uint_eq(row, 2);
    ck_assert_uint_eq(column, 5);
}
END_TEST

START_TEST(pointers_are_escaped)
{
    struct node *doc =
        parse("{ \"a/b\": { \"~\": { \"\": [ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ] } } }");

    ck_assert_ptr_nonnull(doc);

    struct node *n = doc->first->first->first->last;

    ck_assert_str_eq(node_pointer(&arena, n).p, "/a~1b/~0//10");
    ck_assert_str_eq(node_pointer(&arena, doc).p, "");
}
END_TEST

START_TEST(duplicates_keep_the_last)
{
    struct node *doc = parse("{ \"a\": [1], \"b\": 0, \"\\u0061\": { \"c\": 2 } }");

    ck_assert_ptr_nonnull(doc);
    ck_assert_uint_eq(diags.list.n, 1);
    ck_assert_uint_eq(doc->n, 2);

    struct node *a = node_get(doc, STR("a"));

    ck_assert_int_eq(a->kind, NODE_OBJECT);
    ck_assert_int_eq(a->first->number.integer, 2);
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
                                     "[99999999999999999999]",
                                     "\"a\\",
                                     "# a\n[]",
                                     "[1,/*",
                                     "{\"a\":1,,}",
                                     "{\"a\" 1}",
                                     "\xef\xbb\xbf{}"};

START_TEST(broken_documents_are_refused)
{
    ck_assert_msg(!parse(broken[_i]), "%s", broken[_i]);
    ck_assert_uint_eq(diags.list.n, 1);
    ck_assert_uint_ge(diags.list.v[0].line, 1);
}
END_TEST

START_TEST(values_are_decoded)
{
    struct node *doc =
        parse("[\"\\u00fc\\n\", \"\xc3\xbc\", 12, -9223372036854775808, 1.5, 2e3, "
              "1e-400, true, false]");
    struct node *n;

    ck_assert_ptr_nonnull(doc);
    n = doc->first;
    ck_assert(str_eq(n->written, STR("\xc3\xbc\n")));
    n = n->next;
    ck_assert(str_eq(n->written, STR("\xc3\xbc")));
    n = n->next;
    ck_assert(n->whole && n->number.integer == 12 && n->number.real == 12);
    n = n->next;
    ck_assert(n->whole && n->number.integer == INT64_MIN);
    n = n->next;
    ck_assert(!n->whole && n->number.real == 1.5);
    n = n->next;
    ck_assert(!n->whole && n->number.real == 2000);
    n = n->next->next;
    ck_assert(n->truth && !n->next->truth);
}
END_TEST

START_TEST(members_are_distinct_in_big_objects)
{
    char text[4096] = "{";
    size_t used = 1;

    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "\"k%d\": %d, ", i, i);
    snprintf(text + used, sizeof(text) - used, "\"k42\": 1}");

    struct node *doc = parse(text);

    ck_assert_ptr_nonnull(doc);
    ck_assert_uint_eq(diags.list.n, 1);
    ck_assert_uint_eq(doc->n, 100);
    ck_assert_int_eq(node_get(doc, STR("k42"))->number.integer, 1);
}
END_TEST

START_TEST(depth_is_limited)
{
    char text[2 * JSONC_MAX_DEPTH + 3] = {0};
    memset(text, '[', JSONC_MAX_DEPTH);
    memset(text + JSONC_MAX_DEPTH, ']', JSONC_MAX_DEPTH);
    struct node *doc = parse(text);

    ck_assert_ptr_nonnull(doc);
    memset(text, '[', JSONC_MAX_DEPTH + 1);
    memset(text + JSONC_MAX_DEPTH + 1, ']', JSONC_MAX_DEPTH + 1);
    ck_assert_ptr_null(parse(text));
}
END_TEST

START_TEST(size_is_limited)
{
    char *text = xmalloc(JSONC_MAX_BYTES + 2);
    memset(text, ' ', JSONC_MAX_BYTES + 1);
    text[0] = '1';
    text[JSONC_MAX_BYTES] = '\0';
    struct node *doc = parse(text);

    ck_assert_ptr_nonnull(doc);
    text[JSONC_MAX_BYTES] = ' ';
    text[JSONC_MAX_BYTES + 1] = '\0';
    ck_assert_ptr_null(parse(text));
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
    tcase_add_test(tc, values_are_decoded);
    tcase_add_test(tc, members_are_distinct_in_big_objects);
    tcase_add_test(tc, depth_is_limited);
    tcase_add_test(tc, size_is_limited);
    suite_add_tcase(s, tc);

    return unit_run(s);
}
