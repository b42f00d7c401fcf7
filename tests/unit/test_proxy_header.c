/* test_proxy_header.c - PROXY headers: good ones, bad ones, cut at every byte, written. */
#include "proxy/http/proxy_header.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V2(s)                                                                                  \
    {                                                                                          \
        SIG s, sizeof(SIG s) - 1                                                               \
    }
#define V1(s)                                                                                  \
    {                                                                                          \
        s, sizeof(s) - 1                                                                       \
    }
#define TCP4_BYTES "\1\2\3\4\5\6\7\x8\x12\x34\0\x50"

/* FROM: "address port", "-" when nobody is named, NULL when the header is bad. */
static const struct row {
    struct str in;
    const char *from;
} rows[] = {
    {V1("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"), "192.0.2.1 56324"},
    {V1("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), "2001:db8::1 1"},
    {V1("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0 0"},
    {V1("PROXY UNKNOWN\r\n"), "-"},
    {V1("PROXY UNKNOWN ffff:f...f:ffff whatever\r\n"), "-"},
    {V1("PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n"), NULL},
    {V1("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n"), NULL},
    {V1("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n"), NULL},
    {V1("PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n"), NULL},
    {V1("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), NULL},
    {V1("PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n"), NULL},
    {V1("PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n"), NULL},
    {V1("PROXY TCP4 ::1 ::1 1 1\r\n"), NULL},
    {V1("PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"), NULL},
    {V1("PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n"), NULL},
    {V1("PROXY tcp4 1.2.3.4 1.2.3.4 1 1\r\n"), NULL},
    {V1("PROXY\r\n"), NULL},
    {V1("POST / HTTP/1.1\r\n"), NULL},
    {V1("GET / HTTP/1.1\r\n"), NULL},
    {V1("PROXY UNKNOWN "
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxx\r\n"),
     NULL},
    {V2("\x21\x11\0\x0c" TCP4_BYTES), "1.2.3.4 4660"},
    {V2("\x21\x11\0\x0f" TCP4_BYTES "\4\0\0"), "1.2.3.4 4660"},
    {V2("\x21\x21\0\x24"
        "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
        "\0\7\0\x50"),
     "2001:db8::1 7"},
    {V2("\x20\0\0\0"), "-"},
    {V2("\x20\x11\0\x0c" TCP4_BYTES), "-"},
    {V2("\x21\0\0\0"), "-"},
    {V2("\x21\x11\0\x0b"
        "\1\2\3\4\5\6\7\x8\x12\x34\0"),
     NULL},
    {V2("\x21\x12\0\x0c" TCP4_BYTES), NULL},
    {V2("\x22\x11\0\x0c" TCP4_BYTES), NULL},
    {V2("\x11\x11\0\x0c" TCP4_BYTES), NULL},
    {V2("\x21\x41\0\x0c" TCP4_BYTES), NULL},
    {V2("\x20\0\xff\xff"), NULL},
    {V1("\r\n\r\nGET /"), NULL},
};

static void check_from(const struct row *row, const struct proxy_header *h)
{
    char ip[INET6_ADDRSTRLEN], text[80] = "-";
    bool v4 = h->from.any.sa_family == AF_INET;

    if (h->known) {
        inet_ntop(h->from.any.sa_family,
                  v4 ? (const void *)&h->from.v4.sin_addr : &h->from.v6.sin6_addr, ip,
                  sizeof(ip));
        snprintf(text, sizeof(text), "%s %u", ip,
                 ntohs(v4 ? h->from.v4.sin_port : h->from.v6.sin6_port));
    }
    ck_assert_str_eq(text, row->from);
    ck_assert_uint_eq(h->size, row->in.n);
}

/* Bytes one after the other, each beginning in memory of its own size, and then what follows.
 */
START_TEST(test_every_cut)
{
    const struct row *row = &rows[_i];
    enum proxy_header_result last = PROXY_HEADER_MORE;
    struct proxy_header h;

    for (size_t n = 1; n <= row->in.n && last == PROXY_HEADER_MORE; n++) {
        char *copy = malloc(n);

        memcpy(copy, row->in.p, n);
        last = proxy_header_parse((struct str){copy, n}, &h);
        ck_assert(last != PROXY_HEADER_DONE || n == row->in.n);
        free(copy);
    }
    ck_assert_msg(last == (row->from ? PROXY_HEADER_DONE : PROXY_HEADER_BAD), "row %d: %d", _i,
                  last);
    if (row->from)
        check_from(row, &h);
}
END_TEST

START_TEST(test_what_follows_is_left)
{
    const struct row *row = &rows[_i];
    struct proxy_header h;
    char room[512] = {0};

    memcpy(room, row->in.p, row->in.n);
    memcpy(room + row->in.n, "GET / HTTP/1.1\r\n\r\n", 18);
    ck_assert_int_eq(proxy_header_parse((struct str){room, row->in.n + 18}, &h),
                     row->from ? PROXY_HEADER_DONE : PROXY_HEADER_BAD);
    if (row->from)
        check_from(row, &h);
}
END_TEST

START_TEST(test_written_is_read)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(65535)}, b = a;
    struct sockaddr_in6 c = {.sin6_family = AF_INET6, .sin6_port = htons(9)}, d = c;
    const struct sockaddr *pairs[][2] = {{(void *)&a, (void *)&b}, {(void *)&c, (void *)&d}};
    struct sockaddr local = {.sa_family = AF_UNIX};
    struct proxy_header h;
    char room[PROXY_HEADER_OUT];

    a.sin_addr.s_addr = htonl(0xfffefdfc);
    memset(&c.sin6_addr, 0xee, 16); /* as long as text can be */
    memset(&d.sin6_addr, 0xdd, 16);
    for (int version = 1; version <= 2; version++) {
        for (size_t i = 0; i < 2; i++) {
            size_t n = proxy_header_write(room, version, pairs[i][0], pairs[i][1]);

            ck_assert_int_eq(proxy_header_parse((struct str){room, n}, &h), PROXY_HEADER_DONE);
            ck_assert(h.known && h.size == n);
            ck_assert_mem_eq(&h.from, pairs[i][0], i ? sizeof(c) : sizeof(a));
            ck_assert_mem_eq(&h.to, pairs[i][1], i ? sizeof(c) : sizeof(a));
        }

        size_t n = proxy_header_write(room, version, &local, (struct sockaddr *)&a);

        ck_assert_int_eq(proxy_header_parse((struct str){room, n}, &h), PROXY_HEADER_DONE);
        ck_assert(!h.known && h.size == n);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proxy_header");
    TCase *t = tcase_create("proxy_header");
    int n = (int)(sizeof(rows) / sizeof(rows[0]));

    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_every_cut, 0, n);
    tcase_add_loop_test(t, test_what_follows_is_left, 0, n);
    tcase_add_test(t, test_written_is_read);
    return unit_run(s);
}
