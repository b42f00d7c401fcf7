/*
 * test_h1_parse.c - the strict profile, row by row, each message whole and cut at every byte.
 */
#include "proxy/http/h1_parse.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define H "Host: a\r\n"

/* Feed TEXT in two pieces cut at CUT (and then, for CUT 0, byte by byte). */
static enum h1_result feed(struct h1_parser *p, struct head *h, struct str text, size_t cut)
{
    enum h1_result r = H1_MORE;

    if (cut)
        r = h1_parse(p, h, text.p, cut);
    else
        for (size_t n = 1; n < text.n && r == H1_MORE; n++)
            r = h1_parse(p, h, text.p, n);
    return r == H1_MORE ? h1_parse(p, h, text.p, text.n) : r;
}

struct row {
    const char *what;
    struct str text;
    int status; /* 0: fine; -1: incomplete */
    enum stats_violation kind;
};

#define OK(what, text)                                                                         \
    {                                                                                          \
        what, STR_INIT(text), 0, 0                                                             \
    }
#define MORE(what, text)                                                                       \
    {                                                                                          \
        what, STR_INIT(text), -1, 0                                                            \
    }
#define BAD(what, text, status, kind)                                                          \
    {                                                                                          \
        what, STR_INIT(text), status, STATS_BAD_##kind                                         \
    }

static const struct row requests[] = {
    OK("plain", "GET / HTTP/1.1\r\n" H "\r\n"),
    OK("empty value", "GET / HTTP/1.1\r\n" H "A:\r\n\r\n"),
    OK("obs-text and HTAB", "GET / HTTP/1.1\r\n" H "A: \xe4\t\xff\r\n\r\n"),
    OK("browser characters", "GET /a?\"|{}^`<> HTTP/1.1\r\n" H "\r\n"),
    OK("one CRLF before", "\r\nGET / HTTP/1.1\r\n" H "\r\n"),
    OK("unknown method", "QUERY / HTTP/1.1\r\n" H "\r\n"),
    OK("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n"),
    OK("leading zeros", "POST / HTTP/1.1\r\n" H "Content-Length: 003\r\n\r\n"),
    OK("blanks around a length", "POST / HTTP/1.1\r\n" H "Content-Length:  \t42 \r\n\r\n"),
    OK("largest length", "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n"),
    OK("asterisk", "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    OK("absolute", "GET http://a.example:80/x HTTP/1.1\r\nHost: a.example:80\r\n\r\n"),
    OK("IPv6", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
    MORE("nothing", ""),
    MORE("no end", "GET / HTTP/1.1\r\n" H "\r"),
    MORE("in a name", "GET / HTTP/1.1\r\nHo"),
    /* 1: two framings */
    BAD("CL and TE",
        "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
        CL_AND_TE),
    BAD("TE and CL",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400,
        CL_AND_TE),
    /* 2: obfuscated codings */
    OK("Chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"),
    BAD("xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", 501,
        TRANSFER_ENCODING),
    BAD("gzip, chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
        501, TRANSFER_ENCODING),
    BAD("chunked, identity",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n", 400,
        TRANSFER_ENCODING),
    BAD("twice in a line",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n", 400,
        TRANSFER_ENCODING),
    BAD("empty element", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n\r\n", 400,
        TRANSFER_ENCODING),
    BAD("empty", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", 400, TRANSFER_ENCODING),
    BAD("quoted", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n", 400,
        TRANSFER_ENCODING),
    BAD("vertical tab",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
        "chunked\r\n\r\n",
        400, FIELD_VALUE),
    BAD("two lines",
        "POST / HTTP/1.1\r\n" H
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400, TRANSFER_ENCODING),
    /* 3 */
    BAD("TE in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 400,
        TRANSFER_ENCODING),
    /* 4: lengths */
    BAD("list", "POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n", 400, CONTENT_LENGTH),
    BAD("twice", "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400,
        CONTENT_LENGTH),
    BAD("plus", "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n", 400, CONTENT_LENGTH),
    BAD("minus", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400, CONTENT_LENGTH),
    BAD("hex", "POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n", 400, CONTENT_LENGTH),
    BAD("space in it", "POST / HTTP/1.1\r\n" H "Content-Length: 4 2\r\n\r\n", 400,
        CONTENT_LENGTH),
    BAD("empty length", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400, CONTENT_LENGTH),
    BAD("2^63", "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n", 400,
        CONTENT_LENGTH),
    BAD("20 digits", "POST / HTTP/1.1\r\n" H "Content-Length: 00000000000000000005\r\n\r\n",
        400, CONTENT_LENGTH),
    /* 7: line ends */
    BAD("LF after the request line", "GET / HTTP/1.1\n" H "\r\n", 400, BARE_LF),
    BAD("LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400, BARE_LF),
    BAD("LF at the end", "GET / HTTP/1.1\r\n" H "\n", 400, BARE_LF),
    BAD("LF in a name", "GET / HTTP/1.1\r\n" H "Ab\n: c\r\n\r\n", 400, BARE_LF),
    BAD("CR in a value", "GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", 400, BARE_LF),
    BAD("CR CR LF", "GET / HTTP/1.1\r\n" H "\r\r\n", 400, BARE_LF),
    BAD("CR in the request line", "GET / HTTP/1.1\rX\r\n" H "\r\n", 400, BARE_LF),
    BAD("LF before", "\nGET / HTTP/1.1\r\n" H "\r\n", 400, BARE_LF),
    BAD("two CRLF before", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 400, REQUEST_LINE),
    /* 8: blanks in the wrong place */
    BAD("space before colon", "GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", 400, FIELD_NAME),
    BAD("HTAB before colon", "GET / HTTP/1.1\r\n" H "A\t: b\r\n\r\n", 400, FIELD_NAME),
    BAD("space in name", "GET / HTTP/1.1\r\n" H "A b: c\r\n\r\n", 400, FIELD_NAME),
    BAD("space on the first field", "GET / HTTP/1.1\r\n " H "\r\n", 400, FIELD_NAME),
    /* 9 */
    BAD("folded", "GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400, OBS_FOLD),
    BAD("folded with HTAB", "GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n", 400, OBS_FOLD),
    /* 10: characters */
    BAD("NUL in a value", "GET / HTTP/1.1\r\n" H "A: b\0c\r\n\r\n", 400, FIELD_VALUE),
    BAD("control in a value", "GET / HTTP/1.1\r\n" H "A: b\x01\r\n\r\n", 400, FIELD_VALUE),
    BAD("DEL in a value", "GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n", 400, FIELD_VALUE),
    BAD("high byte in a name", "GET / HTTP/1.1\r\n" H "A\xe4: b\r\n\r\n", 400, FIELD_NAME),
    BAD("empty name", "GET / HTTP/1.1\r\n" H ": b\r\n\r\n", 400, FIELD_NAME),
    BAD("no colon", "GET / HTTP/1.1\r\n" H "Ab\r\n\r\n", 400, FIELD_NAME),
    /* 11: look-alikes */
    BAD("Transfer_Encoding", "GET / HTTP/1.1\r\n" H "Transfer_Encoding: chunked\r\n\r\n", 400,
        LOOKALIKE),
    BAD("Content.Length", "GET / HTTP/1.1\r\n" H "Content.Length: 5\r\n\r\n", 400, LOOKALIKE),
    BAD("X_Forwarded_Proto", "GET / HTTP/1.1\r\n" H "X_Forwarded_Proto: https\r\n\r\n", 400,
        LOOKALIKE),
    OK("other underscores", "GET / HTTP/1.1\r\n" H "X_Trace: 1\r\n\r\n"),
    /* 12: Host */
    BAD("no Host", "GET / HTTP/1.1\r\n\r\n", 400, HOST),
    BAD("two", "GET / HTTP/1.1\r\n" H H "\r\n", 400, HOST),
    BAD("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, HOST),
    BAD("userinfo", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, HOST),
    BAD("path in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, HOST),
    BAD("comma", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, HOST),
    BAD("space in Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, HOST),
    BAD("port", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, HOST),
    BAD("two in 1.0", "GET / HTTP/1.0\r\n" H H "\r\n", 400, HOST),
    /* 13: absolute-form */
    BAD("ftp", "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", 400, TARGET),
    BAD("userinfo in target", "GET http://u:p@a/ HTTP/1.1\r\n" H "\r\n", 400, TARGET),
    BAD("no authority", "GET http:///x HTTP/1.1\r\n" H "\r\n", 400, TARGET),
    BAD("opaque", "GET http:a HTTP/1.1\r\n" H "\r\n", 400, TARGET),
    BAD("relative", "GET a/b HTTP/1.1\r\n" H "\r\n", 400, TARGET),
    BAD("no Host beside it", "GET http://a/ HTTP/1.1\r\n\r\n", 400, HOST),
    /* 14 */
    BAD("asterisk with GET", "GET * HTTP/1.1\r\n" H "\r\n", 400, TARGET),
    BAD("CONNECT", "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", 405, METHOD),
    BAD("TRACE", "TRACE / HTTP/1.1\r\n" H "\r\n", 405, METHOD),
    /* 15: versions and lines */
    BAD("0.9", "GET /\r\n\r\n", 400, REQUEST_LINE),
    BAD("1.32", "GET / HTTP/1.32\r\n" H "\r\n", 400, VERSION),
    BAD("1.2", "GET / HTTP/1.2\r\n" H "\r\n", 505, VERSION),
    BAD("2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, VERSION),
    BAD("lower case", "GET / http/1.1\r\n" H "\r\n", 400, VERSION),
    BAD("short", "GET / H\r\n" H "\r\n", 400, VERSION),
    BAD("space behind", "GET / HTTP/1.1 \r\n" H "\r\n", 400, REQUEST_LINE),
    BAD("two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", 400, REQUEST_LINE),
    BAD("HTAB", "GET\t/ HTTP/1.1\r\n" H "\r\n", 400, REQUEST_LINE),
    BAD("space before the method", " GET / HTTP/1.1\r\n" H "\r\n", 400, REQUEST_LINE),
    BAD("TLS", "\x16\x03\x01\x02", 400, REQUEST_LINE),
    BAD("fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", 400, TARGET),
    BAD("high byte in target", "GET /\xe4 HTTP/1.1\r\n" H "\r\n", 400, TARGET),
    BAD("control in target", "GET /\x01 HTTP/1.1\r\n" H "\r\n", 400, TARGET),
    BAD("long method", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" H "\r\n", 501,
        METHOD),
    OK("32 letters", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n" H "\r\n"),
    /* 16 */
    BAD("other expectation", "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n", 417, EXPECT),
    BAD("two expectations",
        "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", 417,
        EXPECT),
};

#define S "HTTP/1.1 200 OK\r\n"

static const struct row responses[] = {
    OK("plain", S "\r\n"),
    OK("no reason", "HTTP/1.1 200 \r\n\r\n"),
    OK("no reason, no space", "HTTP/1.1 200\r\n\r\n"),
    OK("1.0", "HTTP/1.0 599 Odd \xe4\r\n\r\n"),
    OK("twins that frame nothing", S "X_Forwarded_For: 1\r\n\r\n"),
    BAD("0.9", "hello\r\n", 502, RESPONSE),
    BAD("2.0", "HTTP/2.0 200 OK\r\n\r\n", 502, RESPONSE),
    BAD("two digits", "HTTP/1.1 20 OK\r\n\r\n", 502, RESPONSE),
    BAD("four digits", "HTTP/1.1 2000 OK\r\n\r\n", 502, RESPONSE),
    BAD("status 099", "HTTP/1.1 099 OK\r\n\r\n", 502, RESPONSE),
    BAD("status 600", "HTTP/1.1 600 OK\r\n\r\n", 502, RESPONSE),
    BAD("no status", "HTTP/1.1\r\n\r\n", 502, RESPONSE),
    BAD("CRLF before", "\r\n" S "\r\n", 502, RESPONSE),
    BAD("LF", "HTTP/1.1 200 OK\n\r\n", 502, RESPONSE),
    BAD("CL and TE", S "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 502,
        RESPONSE),
    BAD("two CL", S "Content-Length: 2\r\nContent-Length: 8\r\n\r\n", 502, RESPONSE),
    BAD("CL +2", S "Content-Length: +2\r\n\r\n", 502, RESPONSE),
    BAD("unknown TE", S "Transfer-Encoding: gzip\r\n\r\n", 502, RESPONSE),
    BAD("TE in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 502, RESPONSE),
    BAD("space before colon", S "A : b\r\n\r\n", 502, RESPONSE),
    BAD("folded", S "A: b\r\n c\r\n\r\n", 502, RESPONSE),
    BAD("control", S "A: \x02\r\n\r\n", 502, RESPONSE),
    BAD("Content_Length", S "Content_Length: 5\r\n\r\n", 502, RESPONSE),
};

static void check_row(const struct row *row, bool response)
{
    for (size_t cut = 0; cut <= row->text.n; cut++) {
        struct h1_parser p;
        struct head h;
        enum h1_result r;
        if (response)
            h1_parser_response(&p, METHOD_GET);
        else
            h1_parser_request(&p);
        r = feed(&p, &h, row->text, cut);
        ck_assert_msg(r == (row->status < 0   ? H1_MORE
                            : row->status > 0 ? H1_BAD
                                              : H1_DONE),
                      "%s, cut at %zu: result %d (%s)", row->what, cut, (int)r,
                      r == H1_BAD ? p.why : "");
        if (r == H1_BAD) {
            ck_assert_msg(p.status == row->status, "%s, cut at %zu: %d %s", row->what, cut,
                          p.status, p.why);
            ck_assert_msg(p.kind == row->kind, "%s, cut at %zu: %s", row->what, cut,
                          stats_violation_name(p.kind));
        } else if (r == H1_DONE) {
            ck_assert_uint_eq(h.size, row->text.n);
        }
    }
}

START_TEST(test_requests)
{
    check_row(&requests[_i], false);
}
END_TEST

START_TEST(test_responses)
{
    check_row(&responses[_i], true);
}
END_TEST

static struct head parse(struct str text)
{
    struct h1_parser p;
    struct head h;

    if (str_starts(text, STR("HTTP/")))
        h1_parser_response(&p, METHOD_GET);
    else
        h1_parser_request(&p);
    ck_assert_int_eq(h1_parse(&p, &h, text.p, text.n), H1_DONE);
    return h;
}

static bool is(struct str a, const char *b)
{
    return str_eq(a, str_of(b));
}

START_TEST(test_facts)
{
    struct head h = parse(STR("POST /p?q HTTP/1.1\r\nhOsT: Shop.Example:81\r\nX-A:  b c \t\r\n"
                              "Content-Length: 12\r\nx-a: d\r\n\r\nBODY"));
    const struct field *f;

    ck_assert_int_eq(h.method, METHOD_POST);
    ck_assert(is(head_span(&h, h.method_text), "POST"));
    ck_assert(is(head_path(&h), "/p?q"));
    ck_assert(is(head_authority(&h), "Shop.Example:81"));
    ck_assert_int_eq(h.minor, 1);
    ck_assert_int_eq(h.framing, FRAMING_LENGTH);
    ck_assert_uint_eq(h.length, 12);
    ck_assert(h.keep_alive && !h.expect && !h.upgrade && !h.trailers);
    ck_assert_uint_eq(h.nfields, 4);
    ck_assert(is(head_get(&h, FIELD_HOST), "Shop.Example:81"));
    ck_assert_ptr_null(head_get(&h, FIELD_COOKIE).p);
    f = head_find(&h, STR("X-a"), 0);
    ck_assert(f && is(head_value(&h, f), "b c"));
    f = head_find(&h, STR("X-a"), (size_t)(f - h.fields) + 1);
    ck_assert(f && is(head_value(&h, f), "d"));
    ck_assert_ptr_null(head_find(&h, STR("X-a"), (size_t)(f - h.fields) + 1));
}
END_TEST

START_TEST(test_absolute)
{
    struct head h = parse(STR("GET HTTP://B.example:8080/x?y HTTP/1.1\r\nHost: a\r\n\r\n"));

    ck_assert(is(head_authority(&h), "B.example:8080")); /* Host is ignored */
    ck_assert(is(head_path(&h), "/x?y"));
    h = parse(STR("GET https://b HTTP/1.1\r\nHost: b\r\n\r\n"));
    ck_assert(is(head_authority(&h), "b"));
    ck_assert(is(head_path(&h), ""));
    h = parse(STR("GET http://b?q=/ HTTP/1.0\r\n\r\n"));
    ck_assert(is(head_authority(&h), "b"));
    ck_assert(is(head_path(&h), "?q=/"));
    h = parse(STR("OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n"));
    ck_assert(is(head_authority(&h), "b"));
    ck_assert(is(head_path(&h), "*"));
}
END_TEST

START_TEST(test_keep_alive)
{
    ck_assert(
        !parse(STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n")).keep_alive);
    ck_assert(!parse(STR("GET / HTTP/1.0\r\n\r\n")).keep_alive);
    ck_assert(parse(STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")).keep_alive);
    ck_assert(
        !parse(STR("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"))
             .keep_alive);
    ck_assert(!parse(STR("HTTP/1.1 200 OK\r\n\r\n")).keep_alive); /* ends with it */
    ck_assert(parse(STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).keep_alive);
    ck_assert(!parse(STR("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")).keep_alive);
}
END_TEST

/* Hop-by-hop fields, those that Connection names, and those that it may not remove. */
START_TEST(test_connection)
{
    struct head h = parse(
        STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Mine, cookie, X-Forwarded-For, close, "
            "Host, Accept\r\nKeep-Alive: 5\r\nX-MINE: 1\r\nX-Mine: 2\r\nCookie: c\r\n"
            "X-Forwarded-For: 9.9.9.9\r\nProxy-Connection: x\r\nTE: trailers;q=1, trailers\r\n"
            "Upgrade: h2c\r\nTrailer: a\r\nAccept: b\r\nX-Other: c\r\n\r\n"));
    static const bool hop[] = {false, true, true, true, true, false, false,
                               true,  true, true, true, true, false};

    ck_assert_uint_eq(h.nfields, sizeof(hop) / sizeof(hop[0]));
    for (size_t i = 0; i < h.nfields; i++)
        ck_assert_msg(h.fields[i].hop == hop[i], "%.*s", STR_ARG(head_name(&h, &h.fields[i])));
    ck_assert(h.trailers);
    ck_assert(!h.upgrade);
}
END_TEST

START_TEST(test_upgrade)
{
    ck_assert(parse(STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
                        "Upgrade: WebSocket\r\n\r\n"))
                  .upgrade);
    ck_assert(!parse(STR("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n")).upgrade);
    ck_assert(!parse(STR("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
                         "Upgrade: websocket\r\n\r\n"))
                   .upgrade);
    ck_assert(!parse(STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nContent-Length: 0"
                         "\r\nUpgrade: websocket\r\n\r\n"))
                   .upgrade);
    ck_assert(!parse(STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
                         "Upgrade: websocket\r\nUpgrade: h2c\r\n\r\n"))
                   .upgrade);
    ck_assert(parse(STR("HTTP/1.1 101 Ok\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"))
                  .upgrade);
    ck_assert(
        !parse(STR("HTTP/1.1 200 Ok\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"))
             .upgrade);
}
END_TEST

START_TEST(test_expect)
{
    struct head h = parse(STR("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                              "Content-Length: 1\r\n\r\n"));

    ck_assert(h.expect && !h.fields[1].hop);
    h = parse(STR("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"));
    ck_assert(!h.expect && h.fields[1].hop); /* no body: means nothing, goes nowhere */
}
END_TEST

START_TEST(test_response_framing)
{
    static const struct {
        const char *text;
        enum method asked;
        enum framing framing;
        uint64_t length;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", METHOD_GET, FRAMING_LENGTH, 7},
        {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", METHOD_HEAD, FRAMING_NONE, 7},
        {"HTTP/1.1 204 No\r\nContent-Length: 7\r\n\r\n", METHOD_GET, FRAMING_NONE, 7},
        {"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_GET, FRAMING_NONE, 0},
        {"HTTP/1.1 103 Early\r\n\r\n", METHOD_GET, FRAMING_NONE, 0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_GET, FRAMING_CHUNKED,
         0},
        {"HTTP/1.1 200 OK\r\n\r\n", METHOD_GET, FRAMING_CLOSE, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct h1_parser p;
        struct head h;
        h1_parser_response(&p, rows[i].asked);
        ck_assert_int_eq(h1_parse(&p, &h, rows[i].text, strlen(rows[i].text)), H1_DONE);
        ck_assert_int_eq(h.framing, rows[i].framing);
        ck_assert_uint_eq(h.length, rows[i].length);
    }
}
END_TEST

/* A buffer that is exactly as long as the limit, filled up with FILL bytes after PREFIX. */
static enum h1_result parse_filled(struct h1_parser *p, const char *prefix, char fill,
                                   size_t total, const char *suffix)
{
    static char buf[2 * HEAD_MAX_BYTES];
    size_t n = strlen(prefix), m = strlen(suffix);
    struct head h;

    memset(buf, fill, sizeof(buf));
    memcpy(buf, prefix, n);
    memcpy(buf + total - m, suffix, m);
    h1_parser_request(p);
    return h1_parse(p, &h, buf, total);
}

START_TEST(test_line_limits)
{
    struct h1_parser p;
    const char *end = " HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t rest = strlen(end) - strlen(" HTTP/1.1");

    ck_assert_int_eq(parse_filled(&p, "GET /", 'x', HEAD_MAX_LINE + rest, end), H1_DONE);
    ck_assert_int_eq(parse_filled(&p, "GET /", 'x', HEAD_MAX_LINE + rest + 1, end), H1_BAD);
    ck_assert_int_eq(p.status, 414);
    ck_assert_int_eq(p.kind, STATS_BAD_URI_SIZE);
    ck_assert_int_eq(parse_filled(&p, "GET /", 'x', HEAD_MAX_LINE + 1, ""), H1_MORE);
    ck_assert_int_eq(parse_filled(&p, "GET /", 'x', HEAD_MAX_LINE + 2, ""), H1_BAD);
    ck_assert_int_eq(p.status, 414);

    const char *head = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
    size_t before = strlen(head) - strlen("A: ");
    ck_assert_int_eq(parse_filled(&p, head, 'x', before + HEAD_MAX_LINE + 4, "\r\n\r\n"),
                     H1_DONE);
    ck_assert_int_eq(parse_filled(&p, head, 'x', before + HEAD_MAX_LINE + 5, "\r\n\r\n"),
                     H1_BAD);
    ck_assert_int_eq(p.status, 431);
    ck_assert_int_eq(p.kind, STATS_BAD_HEAD_SIZE);
    ck_assert_int_eq(parse_filled(&p, "GET / HTTP/1.1\r\nHost: a\r\n", 'n', 300, ""), H1_BAD);
    ck_assert_int_eq(p.status, 431);
    ck_assert_int_eq(p.kind, STATS_BAD_FIELD_NAME);
}
END_TEST

/* A name that is too long by its last byte, which is the last of the buffer: ASan looks on. */
START_TEST(test_name_at_the_end)
{
    static const struct str before = STR_INIT("GET / HTTP/1.1\r\n");
    size_t n = before.n + FIELD_NAME_MAX + 1;
    char *buf = malloc(n);
    struct h1_parser p;
    struct head h;

    ck_assert_ptr_nonnull(buf);
    memset(buf, 'n', n);
    memcpy(buf, before.p, before.n);
    h1_parser_request(&p);
    ck_assert_int_eq(h1_parse(&p, &h, buf, n), H1_BAD);
    ck_assert_int_eq(p.status, 431);
    free(buf);
}
END_TEST

/* N fields of LEN bytes with their CRLF behind a request line and Host. */
static enum h1_result parse_many(struct h1_parser *p, struct head *h, size_t n, size_t len)
{
    static char buf[4 * HEAD_MAX_BYTES];
    size_t at = (size_t)sprintf(buf, "GET / HTTP/1.1\r\nHost: a\r\n");

    for (size_t i = 0; i < n; i++) {
        memset(buf + at, 'v', len);
        memcpy(buf + at, "a: ", 3);
        memcpy(buf + at + len - 2, "\r\n", 2);
        at += len;
    }
    memcpy(buf + at, "\r\n", 2);
    h1_parser_request(p);
    return h1_parse(p, h, buf, at + 2);
}

START_TEST(test_head_limits)
{
    struct h1_parser p;
    struct head h;

    ck_assert_int_eq(parse_many(&p, &h, HEAD_MAX_FIELDS - 1, 8), H1_DONE);
    ck_assert_uint_eq(h.nfields, HEAD_MAX_FIELDS);
    ck_assert_int_eq(parse_many(&p, &h, HEAD_MAX_FIELDS, 8), H1_BAD);
    ck_assert_int_eq(p.status, 431);
    ck_assert_int_eq(p.kind, STATS_BAD_FIELD_COUNT);
    ck_assert_int_eq(parse_many(&p, &h, 63, 1024), H1_DONE);
    ck_assert_int_eq(parse_many(&p, &h, 64, 1024), H1_BAD);
    ck_assert_int_eq(p.status, 431);
    ck_assert_int_eq(p.kind, STATS_BAD_HEAD_SIZE);
}
END_TEST

START_TEST(test_too_many_options)
{
    char text[512] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close";
    struct h1_parser p;
    struct head h;

    for (int i = 0; i < 40; i++)
        strcat(text, ",x");
    strcat(text, "\r\n\r\n");
    h1_parser_request(&p);
    ck_assert_int_eq(h1_parse(&p, &h, text, strlen(text)), H1_BAD);
    ck_assert_int_eq(p.status, 400);
}
END_TEST

/* The bytes may move between calls: only offsets are kept. */
START_TEST(test_moved)
{
    const char *text = "GET /path HTTP/1.1\r\nHost: a\r\nX-A: value\r\n\r\n";
    size_t n = strlen(text);
    char *old = malloc(n), *new = malloc(n);
    struct h1_parser p;
    struct head h;

    memcpy(old, text, n);
    h1_parser_request(&p);
    ck_assert_int_eq(h1_parse(&p, &h, old, n - 5), H1_MORE);
    memcpy(new, old, n);
    memset(old, 'X', n);
    ck_assert_int_eq(h1_parse(&p, &h, new, n), H1_DONE);
    ck_assert(is(head_path(&h), "/path"));
    ck_assert(is(head_get(&h, FIELD_HOST), "a"));
    memcpy(old, new, n);
    head_rebase(&h, old);
    ck_assert(is(head_value(&h, &h.fields[1]), "value"));
    free(old);
    free(new);
}
END_TEST

START_TEST(test_pipelined)
{
    struct str text =
        STR("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n");
    struct h1_parser p;
    struct head h;

    h1_parser_request(&p);
    ck_assert_int_eq(h1_parse(&p, &h, text.p, text.n), H1_DONE);
    ck_assert(is(head_path(&h), "/1"));
    text = str_skip(text, h.size);
    h1_parser_request(&p);
    ck_assert_int_eq(h1_parse(&p, &h, text.p, text.n), H1_DONE);
    ck_assert(is(head_path(&h), "/2"));
    ck_assert_uint_eq(h.size, text.n);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h1_parse");
    TCase *t = tcase_create("h1_parse");

    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_requests, 0, ARRAY_LEN(requests));
    tcase_add_loop_test(t, test_responses, 0, ARRAY_LEN(responses));
    tcase_add_test(t, test_facts);
    tcase_add_test(t, test_absolute);
    tcase_add_test(t, test_keep_alive);
    tcase_add_test(t, test_connection);
    tcase_add_test(t, test_upgrade);
    tcase_add_test(t, test_expect);
    tcase_add_test(t, test_response_framing);
    tcase_add_test(t, test_line_limits);
    tcase_add_test(t, test_name_at_the_end);
    tcase_add_test(t, test_head_limits);
    tcase_add_test(t, test_too_many_options);
    tcase_add_test(t, test_moved);
    tcase_add_test(t, test_pipelined);
    return unit_run(s);
}
