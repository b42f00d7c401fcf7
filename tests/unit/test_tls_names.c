/* test_tls_names.c - lists of ciphers and groups: the name that OpenSSL would leave out. */
#include "proxy/event/tls_names.h"
#include "tests/unit/unit.h"

#include <check.h>

START_TEST(the_first_unknown_name_is_found)
{
    static const struct {
        enum tls_field field;
        const char *list, *unknown;
    } rows[] = {
        {TLS_FIELD_CIPHERS, "", ""},
        {TLS_FIELD_CIPHERS, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE+AESGCM", ""},
        {TLS_FIELD_CIPHERS, "HIGH:!aNULL:!MD5:!RC4:-AES128:+SHA384:@STRENGTH", ""},
        {TLS_FIELD_CIPHERS, "DEFAULT:@SECLEVEL=2", ""},
        {TLS_FIELD_CIPHERS, "ECDHE-RSA-AES128-GCM-SHA256,AES256-SHA", ""},
        {TLS_FIELD_CIPHERS, "HIGH:ECDHE-RSA-AES128-GCM-SHA265", "ECDHE-RSA-AES128-GCM-SHA265"},
        {TLS_FIELD_CIPHERS, "HIGH:!NONSENSE", "!NONSENSE"},
        {TLS_FIELD_CIPHERS, "HIGH:ECDHE+NONSENSE:ALSO", "ECDHE+NONSENSE"},
        {TLS_FIELD_CIPHERS, "HIGH:!", "!"},
        {TLS_FIELD_CIPHERS, "HIGH:@WEAKNESS", "@WEAKNESS"},
        {TLS_FIELD_CIPHERS, "TLS_AES_128_GCM_SHA256:HIGH", "TLS_AES_128_GCM_SHA256"},
        {TLS_FIELD_SUITES, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256", ""},
        {TLS_FIELD_SUITES, "TLS_AES_128_GCM_SHA256:TLS_AES_128_GCM", "TLS_AES_128_GCM"},
        {TLS_FIELD_CURVES, "X25519:P-256:prime256v1", ""},
        {TLS_FIELD_CURVES, "X25519:P-255", "P-255"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str got = tls_names_unknown(rows[i].field, str_of(rows[i].list));

        ck_assert_msg(str_eq(got, str_of(rows[i].unknown)), "\"%.*s\" in \"%s\"", STR_ARG(got),
                      rows[i].list);
    }
}
END_TEST

START_TEST(what_is_offered_is_known)
{
    struct arena a;

    arena_init(&a, NULL, 0);
    for (int field = TLS_FIELD_CIPHERS; field <= TLS_FIELD_CURVES; field++) {
        size_t n;
        struct str *names = tls_names_known(&a, (enum tls_field)field, &n);

        ck_assert_uint_gt(n, 3);
        for (size_t i = 0; i < n; i++)
            ck_assert_msg(tls_names_unknown((enum tls_field)field, names[i]).n == 0, "%.*s",
                          STR_ARG(names[i]));
    }
    arena_release(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls_names");
    TCase *t = tcase_create("tls_names");

    tcase_add_test(t, the_first_unknown_name_is_found);
    tcase_add_test(t, what_is_offered_is_known);
    suite_add_tcase(s, t);
    return unit_run(s);
}
