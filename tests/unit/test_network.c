/* test_network.c - address prefixes: what is one, what it holds, how it is written. */
#include "proxy/base/network.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>

START_TEST(test_parse_and_write)
{
    static const struct {
        const char *text, *written; /* written NULL: refused */
    } rows[] = {
        {"10.0.0.0/8", "10.0.0.0/8"},
        {"127.0.0.1", "127.0.0.1"},
        {"127.0.0.1/32", "127.0.0.1"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"::/0", "::/0"},
        {"2001:DB8::/32", "2001:db8::/32"},
        {"::1", "::1"},
        {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
        {"10.0.0.1/8", NULL},
        {"2001:db8::1/32", NULL},
        {"10.0.0.0/33", NULL},
        {"::/129", NULL},
        {"10.0.0.0/", NULL},
        {"10.0.0.0/-1", NULL},
        {"10.0.0.0/0008", NULL},
        {"10.0.0/8", NULL},
        {"/8", NULL},
        {"", NULL},
        {"localhost", NULL},
        {"[::1]", NULL},
        {"1.2.3.4/8/8", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct network n, again;
        char room[NETWORK_TEXT];
        bool ok = network_parse(str_of(rows[i].text), &n);

        ck_assert_msg(ok == (rows[i].written != NULL), "%s", rows[i].text);
        if (!ok)
            continue;
        ck_assert_str_eq(network_write(&n, room).p, rows[i].written);
        ck_assert(network_parse(str_of(room), &again) && memcmp(&n, &again, sizeof(n)) == 0);
    }
}
END_TEST

static bool inside(const char *network, const char *address)
{
    struct network n;
    uint8_t ip[16];

    ck_assert(network_parse(str_of(network), &n));
    ck_assert(network_ip(str_of(address), ip));
    return network_match(&n, 1, ip);
}

START_TEST(test_match)
{
    ck_assert(inside("10.0.0.0/8", "10.255.0.1"));
    ck_assert(!inside("10.0.0.0/8", "11.0.0.0"));
    ck_assert(inside("10.64.0.0/10", "10.127.255.255"));
    ck_assert(!inside("10.64.0.0/10", "10.128.0.0"));
    ck_assert(inside("0.0.0.0/0", "8.8.8.8"));
    ck_assert(!inside("0.0.0.0/0", "2001:db8::1"));
    ck_assert(inside("::/0", "8.8.8.8"));
    ck_assert(inside("127.0.0.1", "::ffff:127.0.0.1"));
    ck_assert(inside("2001:db8::/33", "2001:db8:7fff::1"));
    ck_assert(!inside("2001:db8::/33", "2001:db8:8000::1"));
    ck_assert(!inside("::1", "::2"));
}
END_TEST

START_TEST(test_sockets)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(0x0a000001)}};
    struct sockaddr local = {.sa_family = AF_UNIX};
    uint8_t ip[16], same[16];

    ck_assert(network_of((struct sockaddr *)&v4, ip) && network_ip(STR("10.0.0.1"), same));
    ck_assert_mem_eq(ip, same, 16);
    ck_assert(!network_of(&local, ip));
    ck_assert(!network_match(NULL, 0, ip));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("network");
    TCase *t = tcase_create("network");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_parse_and_write);
    tcase_add_test(t, test_match);
    tcase_add_test(t, test_sockets);
    return unit_run(s);
}
