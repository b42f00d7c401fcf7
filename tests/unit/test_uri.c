/* test_uri.c - authorities, normalised paths, escapes. */
#include "proxy/http/uri.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

START_TEST(test_authority)
{
    static const struct {
        const char *text, *host; /* host NULL: refused */
        unsigned port;
    } rows[] = {
        {"a", "a", 0},
        {"Shop.Example.:80", "Shop.Example.", 80},
        {"1.2.3.4:65535", "1.2.3.4", 65535},
        {"[::1]", "[::1]", 0},
        {"[2001:db8::1.2.3.4]:8", "[2001:db8::1.2.3.4]", 8},
        {"a%20b", NULL, 0},
        {"a%41", "a%41", 0},
        {"a_b-c", "a_b-c", 0},
        {"", NULL, 0},
        {":80", NULL, 0},
        {"a:", NULL, 0},
        {"a:0", NULL, 0},
        {"a:65536", NULL, 0},
        {"a:8x", NULL, 0},
        {"a:1:2", NULL, 0},
        {"u@a", NULL, 0},
        {"a/b", NULL, 0},
        {"a,b", NULL, 0},
        {"a b", NULL, 0},
        {"a\\b", NULL, 0},
        {"[::1", NULL, 0},
        {"[]", NULL, 0},
        {"[::1]x", NULL, 0},
        {"[::g]", NULL, 0},
        {"[1]", NULL, 0},
        {"a?b", NULL, 0},
        {"a#b", NULL, 0},
        {"a%4", NULL, 0},
        {"a%2fb", NULL, 0},
        {"a\xff", NULL, 0},
        {"::1", NULL, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct uri_authority a;
        bool ok = uri_authority_parse(str_of(rows[i].text), &a);
        ck_assert_msg(ok == (rows[i].host != NULL), "%s", rows[i].text);
        if (!ok)
            continue;
        ck_assert(str_eq(a.host, str_of(rows[i].host)));
        ck_assert_uint_eq(a.port, rows[i].port);
    }
}
END_TEST

START_TEST(test_host_lower)
{
    char out[16];

    ck_assert(str_eq(uri_host_lower(STR("Shop.EXAMPLE."), out, 16), STR("shop.example")));
    ck_assert(str_eq(uri_host_lower(STR("."), out, 16), STR(".")));
    ck_assert(str_eq(uri_host_lower(STR("[::A]"), out, 16), STR("[::a]")));
    ck_assert_uint_eq(uri_host_lower(STR("0123456789ABCDEFG"), out, 16).n, 16);
}
END_TEST

START_TEST(test_split)
{
    struct str path, query;

    uri_split(STR("/a?b?c"), &path, &query);
    ck_assert(str_eq(path, STR("/a")) && str_eq(query, STR("b?c")));
    uri_split(STR("/a?"), &path, &query);
    ck_assert(str_eq(path, STR("/a")) && query.n == 0 && query.p);
    uri_split(STR("/a"), &path, &query);
    ck_assert(str_eq(path, STR("/a")) && !query.p);
}
END_TEST

START_TEST(test_normalise)
{
    static const struct {
        const char *path, *normal; /* NULL: refused */
    } rows[] = {
        {"", "/"},
        {"*", "*"},
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/../../a", "/a"},
        {"/a/..", "/"},
        {"/a/b/..", "/a/"},
        {"/a/.", "/a/"},
        {"/.", "/"},
        {"/..", "/"},
        {"/a/%2e%2E/b", "/b"},
        {"/a/.%2e/b", "/b"},
        {"/a/...", "/a/..."},
        {"/.a/..b", "/.a/..b"},
        {"//a", "//a"},
        {"/a//../b", "/a/b"},
        {"/a;x=1/b", "/a;x=1/b"},
        {"/%7euser/%41", "/~user/A"},
        {"/a%2fb%5c%3f", "/a%2Fb%5C%3F"},
        {"/a%2f../b", "/a%2F../b"},
        {"/%c0%ae%c0%ae/x", "/%C0%AE%C0%AE/x"},
        {"/a%00", NULL},
        {"/a\\b", NULL},
        {"/a\x01", NULL},
        {"/a%", NULL},
        {"/a%2", NULL},
        {"/a%zz", NULL},
        {"a", NULL},
        {"**", NULL},
    };
    char out[64];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str normal;
        enum uri_path r = uri_path_normalise(str_of(rows[i].path), out, sizeof(out), &normal);
        ck_assert_msg(r == (rows[i].normal ? URI_PATH_OK : URI_PATH_BAD), "%s", rows[i].path);
        if (r == URI_PATH_OK)
            ck_assert_msg(str_eq(normal, str_of(rows[i].normal)), "%s: %.*s", rows[i].path,
                          STR_ARG(normal));
    }
    ck_assert_int_eq(uri_path_normalise(STR("/abc"), out, 3, &(struct str){0}), URI_PATH_LONG);
}
END_TEST

/* Normalising twice changes nothing, and never leaves a dot segment. */
START_TEST(test_normalise_again)
{
    static const char alphabet[] = "/..%2eEa";
    char path[12] = "/", once[16], twice[16];
    struct str a, b;

    for (unsigned seed = 0; seed < 200000; seed++) {
        unsigned x = seed * 2654435761u;
        size_t n = 2 + seed % 10;
        for (size_t i = 1; i < n; i++, x = x * 1103515245u + 12345)
            path[i] = alphabet[x >> 16 & 7];
        if (uri_path_normalise((struct str){path, n}, once, 16, &a) != URI_PATH_OK)
            continue;
        ck_assert_int_eq(uri_path_normalise(a, twice, 16, &b), URI_PATH_OK);
        ck_assert_msg(str_eq(a, b), "%.*s: %.*s", (int)n, path, STR_ARG(a));
        ck_assert(!str_ends(a, STR("/..")) && !str_ends(a, STR("/.")));
    }
}
END_TEST

START_TEST(test_decode)
{
    char out[16];

    ck_assert(str_eq(uri_decode(STR("a%20b%2F%zz%4"), out, 16), STR("a b/%zz%4")));
    ck_assert_int_eq(uri_hex('f'), 15);
    ck_assert_int_eq(uri_hex('A'), 10);
    ck_assert_int_eq(uri_hex('g'), -1);
    ck_assert_int_eq(uri_hex('/'), -1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("uri");
    TCase *t = tcase_create("uri");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_authority);
    tcase_add_test(t, test_host_lower);
    tcase_add_test(t, test_split);
    tcase_add_test(t, test_normalise);
    tcase_add_test(t, test_normalise_again);
    tcase_add_test(t, test_decode);
    return unit_run(s);
}
