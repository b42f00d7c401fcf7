/* test_field.c - interned names, look-alikes, list elements, character scans. */
#include "proxy/http/chars.h"
#include "proxy/http/field.h"

#include "config/header.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <ctype.h>
#include <stdlib.h>

START_TEST(test_every_name)
{
    char other[64];

    for (unsigned id = FIELD_OTHER + 1; id < FIELD_NIDS; id++) {
        struct str name = field_name(id);
        ck_assert_uint_eq(field_id(name), id);
        ck_assert(name.n >= field_name(id - 1).n); /* the list is in order of length */
        for (size_t i = 0; i < name.n; i++)
            other[i] = i % 2 ? (char)toupper(name.p[i]) : name.p[i];
        ck_assert_uint_eq(field_id((struct str){other, name.n}), id);
        other[name.n / 2] = '!';
        ck_assert_uint_eq(field_id((struct str){other, name.n}), FIELD_OTHER);
        ck_assert_uint_eq(field_id((struct str){name.p, name.n - 1}), FIELD_OTHER);
    }
    ck_assert_uint_eq(field_id(STR("X-Unknown")), FIELD_OTHER);
    ck_assert_uint_eq(field_id(STR("")), FIELD_OTHER);
    ck_assert_uint_eq(field_id(STR("a-name-longer-than-all-of-those-known")), FIELD_OTHER);
    ck_assert_uint_eq(field_name(FIELD_OTHER).n, 0);
}
END_TEST

START_TEST(test_twins)
{
    static const struct {
        struct str name;
        enum field_id twin;
    } rows[] = {
        {STR_INIT("Transfer_Encoding"), FIELD_TRANSFER_ENCODING},
        {STR_INIT("transfer.encoding"), FIELD_TRANSFER_ENCODING},
        {STR_INIT("TransferEncoding"), FIELD_TRANSFER_ENCODING},
        {STR_INIT("Transfer--Encoding"), FIELD_TRANSFER_ENCODING},
        {STR_INIT("Transfer-Encoding1"), FIELD_TRANSFER_ENCODING},
        {STR_INIT("Content_Length"), FIELD_CONTENT_LENGTH},
        {STR_INIT("X_Forwarded_Proto"), FIELD_X_FORWARDED_PROTO},
        {STR_INIT("X-Forwarded_For"), FIELD_X_FORWARDED_FOR},
        {STR_INIT("X-Forwarded-For-2"), FIELD_OTHER},
        {STR_INIT("Host_"), FIELD_HOST},
        {STR_INIT("hosts"), FIELD_OTHER},
        {STR_INIT("Content-Len"), FIELD_OTHER},
        {STR_INIT("Content-Lengths"), FIELD_OTHER},
        {STR_INIT("User_Agent"), FIELD_OTHER},
        {STR_INIT("X-Request_Start"), FIELD_OTHER},
        {STR_INIT("1234"), FIELD_OTHER},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(field_twin(rows[i].name) == rows[i].twin, "%.*s", STR_ARG(rows[i].name));
}
END_TEST

START_TEST(test_text)
{
    ck_assert(field_name_ok(STR("x-a!#$%&'*+-.^_`|~09")));
    ck_assert(!field_name_ok(STR("")));
    ck_assert(!field_name_ok(STR("a b")));
    ck_assert(!field_name_ok(STR("a:")));
    ck_assert(!field_name_ok(STR("a\x80")));
    ck_assert(field_value_ok(STR("")));
    ck_assert(field_value_ok(STR("a \t b\xff")));
    ck_assert(!field_value_ok(STR("a\r\nB: c")));
    ck_assert(!field_value_ok(STR("a\0b")));
    ck_assert(!field_value_ok(STR("a\x7f")));
    ck_assert(!field_value_ok(STR(" a")));
    ck_assert(!field_value_ok(STR("a\t")));
}
END_TEST

START_TEST(test_list)
{
    struct str rest = STR(" close ,,\t, TE\t,keep-alive"), e;

    ck_assert(field_list_next(&rest, &e) && str_eq(e, STR("close")));
    ck_assert(field_list_next(&rest, &e) && str_eq(e, STR("TE")));
    ck_assert(field_list_next(&rest, &e) && str_eq(e, STR("keep-alive")));
    ck_assert(!field_list_next(&rest, &e));
    rest = STR(" , ,");
    ck_assert(!field_list_next(&rest, &e));
}
END_TEST

/* The vector scans agree with the table for every byte at every place and length. */
START_TEST(test_scans)
{
    char buf[80];

    for (unsigned c = 0; c < 256; c++)
        for (size_t n = 0; n <= 70; n++) {
            size_t at = n ? (c * 7 + n * 13) % n : 0;
            memset(buf, 'a', sizeof(buf));
            if (n)
                buf[at] = (char)c;
            buf[n] = '\n'; /* must not be looked at */
            ck_assert_uint_eq(chars_value(buf, n), chars_run(buf, n, CHAR_VALUE));
            ck_assert_uint_eq(chars_target(buf, n), chars_run(buf, n, CHAR_TARGET));
        }
    for (unsigned c = 0; c < 256; c++) {
        bool ctl = (c < 0x20 && c != '\t') || c == 0x7f;
        ck_assert_int_eq(char_is((char)c, CHAR_VALUE) != 0, !ctl);
        ck_assert_int_eq(char_is((char)c, CHAR_TARGET) != 0, c > 0x20 && c < 0x7f && c != '#');
        ck_assert_int_eq(char_is((char)c, CHAR_TOKEN) != 0,
                         c && c < 0x80 &&
                             (isalnum((int)c) || strchr("!#$%&'*+-.^_`|~", (int)c)));
    }
}
END_TEST

/* What frames, what belongs to one hop and what says who the client is cannot be edited. */
START_TEST(test_own_fields)
{
    for (int id = 1; id < FIELD_NIDS; id++) {
        unsigned special = FIELD_HOP | FIELD_FRAMING | FIELD_ORIGIN | FIELD_TWIN;

        if (field_traits(id) & special)
            ck_assert_ptr_nonnull(header_error(field_name(id)));
    }
    ck_assert_ptr_nonnull(header_error(STR("Transfer_Encoding")));
    ck_assert_ptr_nonnull(header_error(STR("X-FORWARDED-ANYTHING")));
    ck_assert_ptr_nonnull(header_error(STR("x-flag-a")));
    ck_assert_ptr_nonnull(header_error(STR("a b")));
    ck_assert_ptr_nonnull(header_error(STR("")));
    ck_assert_ptr_null(header_error(STR("Cache-Control")));
    ck_assert_ptr_null(header_error(STR("X-Forward")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("field");
    TCase *t = tcase_create("field");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_every_name);
    tcase_add_test(t, test_own_fields);
    tcase_add_test(t, test_twins);
    tcase_add_test(t, test_text);
    tcase_add_test(t, test_list);
    tcase_add_test(t, test_scans);
    return unit_run(s);
}
