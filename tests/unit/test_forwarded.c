/* test_forwarded.c - which address of X-Forwarded-For counts, and what is written for the next.
 */
#include "proxy/http/forwarded.h"
#include "proxy/http/h1_parse.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct head head;

static void parse(const char *fields)
{
    static char text[2048];
    struct h1_parser p;

    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    h1_parser_request(&p);
    head_reset(&head);
    ck_assert_int_eq(h1_parse(&p, &head, text, strlen(text)), H1_DONE);
}

START_TEST(test_client)
{
    static const struct {
        const char *fields, *client;
    } rows[] = {
        {"", "10.0.0.1"},
        {"X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"},
        {"X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n", "203.0.113.9"},
        {"X-Forwarded-For: 6.6.6.6, 203.0.113.9 , 10.2.3.4\r\n", "203.0.113.9"},
        {"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9,10.0.0.2\r\n",
         "203.0.113.9"},
        {"X-Forwarded-For: 203.0.113.9\r\nX-A: b\r\nX-Forwarded-For: 10.0.0.2\r\n",
         "203.0.113.9"},
        {"X-Forwarded-For: 10.9.9.9, 10.8.8.8\r\n", "10.9.9.9"},
        {"X-Forwarded-For: nonsense\r\n", "10.0.0.1"},
        {"X-Forwarded-For: 6.6.6.6, nonsense, 10.2.3.4\r\n", "10.2.3.4"},
        {"X-Forwarded-For: 6.6.6.6,\r\n", "10.0.0.1"},
        {"X-Forwarded-For: 203.0.113.9:4711\r\n", "203.0.113.9"},
        {"X-Forwarded-For: [2001:db8::1]:80, 10.0.0.2\r\n", "2001:db8::1"},
        {"X-Forwarded-For: [2001:db8::1]\r\n", "2001:db8::1"},
        {"X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"},
        {"X-Forwarded-For: [2001:db8::1]x\r\n", "10.0.0.1"},
        {"X-Forwarded-For: [1.2.3.4]\r\n", "10.0.0.1"},
        {"X-Forwarded-For: 1.2.3.4:x\r\n", "10.0.0.1"},
        {"X-Forwarded-For: ::ffff:10.0.0.7\r\n", "::ffff:10.0.0.7"},
    };
    struct network trusted;

    ck_assert(network_parse(STR("10.0.0.0/8"), &trusted));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str client;

        parse(rows[i].fields);
        client = forwarded_client(&head, &trusted, 1, STR("10.0.0.1"));
        ck_assert_msg(str_eq(client, str_of(rows[i].client)), "%s gives %.*s", rows[i].fields,
                      STR_ARG(client));
    }
}
END_TEST

static void written(bool trusted, const char *peer, const char *host, const char *want)
{
    size_t cap = forwarded_size(&head, str_of(peer), str_of(host));
    struct out o = out_init(malloc(cap), cap);

    forwarded_write_for(&o, &head, trusted, str_of(peer));
    forwarded_write_element(&o, &head, trusted, str_of(peer), str_of(host), STR("https"));
    ck_assert(!o.full);
    ck_assert_msg(str_eq(out_text(&o), str_of(want)), "%.*s", STR_ARG(out_text(&o)));
    free(o.p);
}

START_TEST(test_written)
{
    parse("X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n");
    written(true, "10.0.0.1", "a:80",
            "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1\r\n"
            "Forwarded: for=1.1.1.1, for=10.0.0.1;host=\"a:80\";proto=https\r\n");
    written(false, "::1", "",
            "X-Forwarded-For: ::1\r\nForwarded: for=\"[::1]\";proto=https\r\n");
    parse("");
    written(true, "10.0.0.1", "a\"b",
            "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1;proto=https\r\n");
}
END_TEST

START_TEST(test_proto)
{
    parse("X-Forwarded-Proto: HTTPS\r\n");
    ck_assert(str_eq(forwarded_proto(&head), STR("https")));
    parse("X-Forwarded-Proto: http\r\n");
    ck_assert(str_eq(forwarded_proto(&head), STR("http")));
    parse("X-Forwarded-Proto: javascript\r\n");
    ck_assert_uint_eq(forwarded_proto(&head).n, 0);
    parse("");
    ck_assert_uint_eq(forwarded_proto(&head).n, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("forwarded");
    TCase *t = tcase_create("forwarded");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_client);
    tcase_add_test(t, test_written);
    tcase_add_test(t, test_proto);
    return unit_run(s);
}
