/* test_dns_srv.c - answers for SRV records: what is taken, what is left out, what is damaged.
 */
#include "control/link/dns_srv.h"
#include "proxy/base/str.h"
#include "tests/unit/unit.h"

#include <check.h>

#define NAME          "\x02_x\x04test" /* and the root */
#define HEAD(an)      "\0\7\x81\x80\0\1\0" an "\0\0\0\0" NAME "\0\0\x21\0\1"
#define SRV(ttl, n)   "\xc0\x0c\0\x21\0\1" ttl "\0" n
#define MESSAGE(text) (const unsigned char *)(text), sizeof(text) - 1

static struct dns_srv list[DNS_SRV_MAX];
static uint32_t ttl_s;

START_TEST(records_are_read)
{
    static const char text[] =
        HEAD("\2") SRV("\0\0\1\0", "\x0e") "\0\1\0\5\0\x50\1a\4Test\0" SRV(
            "\0\0\0\x3c", "\x0a") "\0\2\0\0\1\xbb\1b\xc0\x0f";

    ck_assert_int_eq(dns_srv_parse(MESSAGE(text), list, DNS_SRV_MAX, &ttl_s), 2);
    ck_assert_uint_eq(ttl_s, 60);
    ck_assert_str_eq(list[0].target, "a.test");
    ck_assert_uint_eq(list[0].priority, 1);
    ck_assert_uint_eq(list[0].weight, 5);
    ck_assert_uint_eq(list[0].port, 80);
    ck_assert_str_eq(list[1].target, "b.test");
    ck_assert_uint_eq(list[1].priority, 2);
    ck_assert_uint_eq(list[1].port, 443);
    ck_assert_int_eq(dns_srv_parse(MESSAGE(text), list, 1, &ttl_s), 1);
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        ck_assert_int_eq(
            dns_srv_parse((const unsigned char *)text, n, list, DNS_SRV_MAX, &ttl_s), -1);
}
END_TEST

START_TEST(some_are_left_out)
{
    static const char no_port[] = HEAD("\1") SRV("\0\0\0\1", "\x09") "\0\1\0\5\0\0\1a\0";
    static const char root[] = HEAD("\1") SRV("\0\0\0\1", "\7") "\0\0\0\0\0\x50\0";
    static const char no_host[] = HEAD("\1") SRV("\0\0\0\1", "\x0b") "\0\1\0\5\0\x50\3a b\0";
    static const char address[] = HEAD("\1") "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1";
    static const char behind[] = HEAD("\1") SRV("\0\0\0\1", "\x0a") "\0\1\0\5\0\x50\1a\0\0";
    static const char none[] = HEAD("\0");

    ck_assert_int_eq(dns_srv_parse(MESSAGE(no_port), list, DNS_SRV_MAX, &ttl_s), 0);
    ck_assert_int_eq(dns_srv_parse(MESSAGE(root), list, DNS_SRV_MAX, &ttl_s), 0);
    ck_assert_int_eq(dns_srv_parse(MESSAGE(no_host), list, DNS_SRV_MAX, &ttl_s), 0);
    ck_assert_int_eq(dns_srv_parse(MESSAGE(behind), list, DNS_SRV_MAX, &ttl_s), 0);
    ck_assert_int_eq(dns_srv_parse(MESSAGE(address), list, DNS_SRV_MAX, &ttl_s), 0);
    ck_assert_uint_eq(ttl_s, UINT32_MAX); /* of no record that matters */
    ck_assert_int_eq(dns_srv_parse(MESSAGE(none), list, DNS_SRV_MAX, &ttl_s), 0);
}
END_TEST

START_TEST(an_alias_shortens_the_answer)
{
    static const char text[] = HEAD("\2") "\xc0\x0c\0\5\0\1\0\0\0\3\0\3\1o\0"
                                          "\1o\0\0\x21\0\1\0\0\1\0\0\x09\0\1\0\5\0\x50\1a\0";
    static const char negative[] = HEAD("\1") SRV("\x80\0\0\1", "\x09") "\0\1\0\5\0\x50\1a\0";

    ck_assert_int_eq(dns_srv_parse(MESSAGE(text), list, DNS_SRV_MAX, &ttl_s), 1);
    ck_assert_uint_eq(ttl_s, 3);
    ck_assert_int_eq(dns_srv_parse(MESSAGE(negative), list, DNS_SRV_MAX, &ttl_s), 1);
    ck_assert_uint_eq(ttl_s, 0); /* RFC 2181, 8 */
}
END_TEST

START_TEST(damage_is_told)
{
    static const char loop[] = HEAD("\1") SRV("\0\0\0\1", "\x08") "\0\1\0\5\0\x50\xc0\x2a";
    static const char short_data[] = HEAD("\1") SRV("\0\0\0\1", "\6") "\0\1\0\5\0\x50";
    static const char long_data[] = HEAD("\1") SRV("\0\0\0\1", "\x7f") "\0\1\0\5\0\x50\1a\0";
    static const char count[] = HEAD("\2") SRV("\0\0\0\1", "\x09") "\0\1\0\5\0\x50\1a\0";

    ck_assert_int_eq(dns_srv_parse(MESSAGE(loop), list, DNS_SRV_MAX, &ttl_s), -1);
    ck_assert_int_eq(dns_srv_parse(MESSAGE(short_data), list, DNS_SRV_MAX, &ttl_s), -1);
    ck_assert_int_eq(dns_srv_parse(MESSAGE(long_data), list, DNS_SRV_MAX, &ttl_s), -1);
    ck_assert_int_eq(dns_srv_parse(MESSAGE(count), list, DNS_SRV_MAX, &ttl_s), -1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dns_srv");
    TCase *t = tcase_create("dns_srv");

    tcase_add_test(t, records_are_read);
    tcase_add_test(t, some_are_left_out);
    tcase_add_test(t, an_alias_shortens_the_answer);
    tcase_add_test(t, damage_is_told);
    suite_add_tcase(s, t);
    return unit_run(s);
}
