/*
 * test_config_docs.c - the manual and the schema say what the field tables say.
 *
 * UPDATE=1 in the environment rewrites the list of fields in the manual.
 */
#include "config/conf.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>

#define PAGE  "config/sluice.jsonc.5"
#define BEGIN ".\\\" fields: begin (written from the field tables, checked by a test)\n"
#define END   ".\\\" fields: end\n"

static struct arena arena;

/* The part of TEXT between the two marks. */
static struct str between_marks(struct str text)
{
    const char *begin = memmem(text.p, text.n, BEGIN, strlen(BEGIN));
    const char *end = memmem(text.p, text.n, END, strlen(END));

    ck_assert_ptr_nonnull(begin);
    ck_assert_ptr_nonnull(end);
    begin += strlen(BEGIN);
    return (struct str){begin, (size_t)(end - begin)};
}

START_TEST(the_manual_lists_the_fields)
{
    char *want = conf_manual();
    struct str page, part;

    ck_assert_int_eq(sys_read_file(&arena, PAGE, 1 << 20, &page), 0);
    part = between_marks(page);
    if (getenv("UPDATE")) {
        const char *tail = part.p + part.n;
        struct str text = arena_printf(&arena, "%.*s%s%.*s", (int)(part.p - page.p), page.p,
                                       want, (int)(page.p + page.n - tail), tail);

        ck_assert_int_eq(sys_write_file(PAGE, text, 0644), 0);
        part = str_of(want);
    }
    ck_assert_msg(str_eq(part, str_of(want)), "%s is not up to date: run with UPDATE=1", PAGE);
    xfree(want);
}
END_TEST

static const json_t *at(const json_t *json, const char *path)
{
    struct str rest = str_of(path);

    while (rest.n > 0) {
        struct str key = str_cut(&rest, '/');

        json = json_object_getn(json, key.p, key.n);
    }
    ck_assert_msg(json != NULL, "%s", path);
    return json;
}

START_TEST(the_schema_is_json_and_knows_the_fields)
{
    char *text = conf_schema();
    json_t *schema = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const json_t *interval, *shop;

    ck_assert_ptr_nonnull(schema);
    ck_assert_int_eq(json_integer_value(at(schema, "properties/workers/maximum")), 64);
    shop = at(schema, "properties/services/additionalProperties/properties");
    interval = at(shop, "health/properties/interval");
    ck_assert_str_eq(json_string_value(at(interval, "default")), "1s");
    ck_assert_uint_eq(json_array_size(at(shop, "retry/properties/on/default")), 2);
    ck_assert(json_is_false(at(shop, "health/additionalProperties")));
    ck_assert_uint_eq(json_array_size(at(schema, "then/required")), 4);
    json_decref(schema);
    xfree(text);
}
END_TEST

START_TEST(the_readme_shows_the_smallest_config)
{
    struct str readme, minimal;

    ck_assert_int_eq(sys_read_file(&arena, "README.md", 1 << 20, &readme), 0);
    ck_assert_int_eq(sys_read_file(&arena, "config/examples/minimal.jsonc", 1 << 16, &minimal),
                     0);
    ck_assert_ptr_nonnull(memmem(readme.p, readme.n, minimal.p, minimal.n));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config_docs");
    TCase *tc = tcase_create("config_docs");

    arena_init(&arena, NULL, 0);
    tcase_add_test(tc, the_manual_lists_the_fields);
    tcase_add_test(tc, the_schema_is_json_and_knows_the_fields);
    tcase_add_test(tc, the_readme_shows_the_smallest_config);
    suite_add_tcase(s, tc);

    int code = unit_run(s);

    arena_release(&arena);
    return code;
}
