/* test_sticky.c - cookies, sticky keys, overrides, and writing heads. */
#include "proxy/http/cookie.h"
#include "proxy/http/h1_parse.h"
#include "proxy/http/status.h"
#include "proxy/route/override.h"
#include "proxy/route/sticky.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

static struct head parse(const char *text)
{
    struct h1_parser p;
    struct head h;

    h1_parser_request(&p);
    ck_assert_int_eq(h1_parse(&p, &h, text, strlen(text)), H1_DONE);
    return h;
}

static bool has(struct str s, const char *want)
{
    return str_eq(s, str_of(want));
}

START_TEST(test_cookie_text)
{
    static const struct {
        const char *field, *value; /* NULL: none */
    } rows[] = {
        {"sid=1", "1"},
        {"a=b; sid=2; c=d", "2"},
        {"a=b;sid=3", "3"},
        {"sid=\"4\"", "4"},
        {"sid=", ""},
        {" ;;=x; sid = 5;sid=6", "6"},
        {"xsid=1; sidx=2; SID=3", NULL},
        {"sid", NULL},
        {"", NULL},
        {"a=sid=1", NULL},
        {"sid=a=b", "a=b"},
        {"sid=\"", "\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str value;
        bool found = cookie_find_in(str_of(rows[i].field), STR("sid"), &value);
        ck_assert_msg(found == (rows[i].value != NULL), "%s", rows[i].field);
        if (found)
            ck_assert_msg(has(value, rows[i].value), "%s: %.*s", rows[i].field, STR_ARG(value));
    }
}
END_TEST

START_TEST(test_keys)
{
    struct head h = parse("GET / HTTP/1.1\r\nHost: a\r\nCookie: x=y\r\nX-User: ann\r\n"
                          "Cookie: uid=42\r\n\r\n");
    struct conf_sticky c = {.by = CONF_STICKY_COOKIE, .name = STR("uid")};
    struct str key;

    ck_assert(sticky_key(&c, &h, STR("1.2.3.4"), &key) && has(key, "42"));
    c.name = STR("other");
    ck_assert(!sticky_key(&c, &h, STR("1.2.3.4"), &key));
    c = (struct conf_sticky){.by = CONF_STICKY_HEADER, .name = STR("x-user")};
    ck_assert(sticky_key(&c, &h, STR("1.2.3.4"), &key) && has(key, "ann"));
    c.name = STR("x-none");
    ck_assert(!sticky_key(&c, &h, STR("1.2.3.4"), &key));
    c = (struct conf_sticky){.by = CONF_STICKY_IP};
    ck_assert(sticky_key(&c, &h, STR("1.2.3.4"), &key) && has(key, "1.2.3.4"));
    c = (struct conf_sticky){.by = CONF_STICKY_NONE};
    ck_assert(!sticky_key(&c, &h, STR("1.2.3.4"), &key));
}
END_TEST

START_TEST(test_key_limits)
{
    char text[512] = "GET / HTTP/1.1\r\nHost: a\r\nX-User: ";
    struct conf_sticky c = {.by = CONF_STICKY_HEADER, .name = STR("x-user")};
    struct head h = parse("GET / HTTP/1.1\r\nHost: a\r\nX-User:\r\n\r\n");
    struct str key;
    size_t n = strlen(text);

    ck_assert(!sticky_key(&c, &h, STR(""), &key));
    memset(text + n, 'k', STICKY_KEY_MAX + 1);
    strcpy(text + n + STICKY_KEY_MAX, "\r\n\r\n");
    h = parse(text);
    ck_assert(sticky_key(&c, &h, STR(""), &key));
    strcpy(text + n + STICKY_KEY_MAX, "k\r\n\r\n");
    h = parse(text);
    ck_assert(!sticky_key(&c, &h, STR(""), &key));
}
END_TEST

START_TEST(test_mint)
{
    char key[STICKY_KEY], room[256];
    struct conf_sticky c = {.by = CONF_STICKY_COOKIE, .name = STR("s"), .ttl_ms = 86400000};
    struct out o = out_init(room, sizeof(room));

    sticky_mint(key, (uint64_t[]){0xabc, 1});
    ck_assert(str_eq((struct str){key, STICKY_KEY}, STR("0000000000000abc0000000000000001")));
    sticky_write_cookie(&o, &c, (struct str){key, STICKY_KEY}, false);
    ck_assert(has(out_text(&o), "Set-Cookie: s=0000000000000abc0000000000000001; Path=/; "
                                "Max-Age=86400; HttpOnly; SameSite=Lax\r\n"));
    c.ttl_ms = 0;
    o = out_init(room, sizeof(room));
    sticky_write_cookie(&o, &c, STR("k"), true);
    ck_assert(has(out_text(&o), "Set-Cookie: s=k; Path=/; HttpOnly; SameSite=Lax; Secure\r\n"));
}
END_TEST

START_TEST(test_overrides)
{
    struct conf_match one[] = {
        {.kind = CONF_MATCH_HEADER, .name = STR("x-canary"), .value = STR("1")}};
    struct conf_match both[] = {
        {.kind = CONF_MATCH_HEADER, .name = STR("x-team"), .value = STR("qa")},
        {.kind = CONF_MATCH_COOKIE, .name = STR("beta"), .value = STR("yes")}};
    struct conf_override list[] = {{.matches = both, .nmatches = 2, .version = 2},
                                   {.matches = one, .nmatches = 1, .version = 1},
                                   {.nmatches = 0, .version = 3}};
    struct conf_service s = {.overrides = list, .noverrides = 3};
    struct head h = parse("GET / HTTP/1.1\r\nHost: a\r\nX-Canary: 0\r\nx-CANARY: 1\r\n\r\n");

    ck_assert_ptr_eq(override_match(&s, &h), &list[1]);
    h = parse("GET / HTTP/1.1\r\nHost: a\r\nX-Canary: 11\r\nX-Team: qa\r\n\r\n");
    ck_assert_ptr_null(override_match(&s, &h));
    h = parse(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Team: qa\r\nCookie: beta=yes\r\nX-Canary: 1\r\n\r\n");
    ck_assert_ptr_eq(override_match(&s, &h), &list[0]);
}
END_TEST

START_TEST(test_write_request)
{
    struct head h =
        parse("GET http://b?x=1 HTTP/1.0\r\nHost: a\r\nConnection: X-Gone, close\r\n"
              "X-Gone: 1\r\nX-Stays: 2\r\nKeep-Alive: 3\r\nCookie: c\r\n\r\n");
    bool skip[FIELD_NIDS] = {[FIELD_HOST] = true};
    char room[256];
    struct out o = out_init(room, sizeof(room));

    head_write_request(&o, &h);
    head_write_known(&o, STR("Host"), head_authority(&h));
    head_write_end_to_end(&o, &h, skip);
    head_write_u64(&o, STR("Content-Length"), 18446744073709551615u);
    head_write_end(&o);
    ck_assert(!o.full);
    ck_assert(has(out_text(&o), "GET /?x=1 HTTP/1.1\r\nHost: b\r\nX-Stays: 2\r\nCookie: c\r\n"
                                "Content-Length: 18446744073709551615\r\n\r\n"));
    h = parse("OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n");
    o = out_init(room, sizeof(room));
    head_write_request(&o, &h);
    ck_assert(has(out_text(&o), "OPTIONS * HTTP/1.1\r\n"));
}
END_TEST

/* Nothing that we insert splits a message, and nothing is written past the room. */
START_TEST(test_write_checked)
{
    char room[32];
    struct out o = out_init(room, sizeof(room));

    ck_assert(!head_write_field(&o, STR("X-A"), STR("b\r\nX-B: c")));
    ck_assert(!head_write_field(&o, STR("X A"), STR("b")));
    ck_assert(!head_write_field(&o, STR("X-A\r\n"), STR("b")));
    ck_assert(!head_write_field(&o, STR(""), STR("b")));
    ck_assert_uint_eq(o.n, 0);
    ck_assert(head_write_field(&o, STR("X-A"), STR("b")));
    ck_assert(has(out_text(&o), "X-A: b\r\n"));
    head_write_status(&o, 200, STR("a\nb"));
    ck_assert(has(out_text(&o), "X-A: b\r\nHTTP/1.1 200 OK\r\n"));
    head_write_known(&o, STR("X-Long"), STR("0123456789"));
    ck_assert(o.full);
    head_write_end(&o);
    ck_assert_uint_eq(o.n, 25); /* full stays full */
}
END_TEST

START_TEST(test_reasons)
{
    ck_assert(has(status_reason(404), "Not Found"));
    ck_assert(has(status_reason(599), "Server Error"));
    ck_assert(has(status_reason(299), "Success"));
    ck_assert(has(status_reason(0), "Unknown"));
    ck_assert(status_bodyless(101) && status_bodyless(204) && status_bodyless(304));
    ck_assert(!status_bodyless(200) && !status_bodyless(205));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sticky");
    TCase *t = tcase_create("sticky");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_cookie_text);
    tcase_add_test(t, test_keys);
    tcase_add_test(t, test_key_limits);
    tcase_add_test(t, test_mint);
    tcase_add_test(t, test_overrides);
    tcase_add_test(t, test_write_request);
    tcase_add_test(t, test_write_checked);
    tcase_add_test(t, test_reasons);
    return unit_run(s);
}
