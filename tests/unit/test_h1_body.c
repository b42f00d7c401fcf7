/* test_h1_body.c - bodies, whole and cut at every byte. */
#include "proxy/http/h1_body.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

struct result {
    enum h1_body_event event;
    enum stats_violation kind;
    char data[512];
    size_t n, rest; /* payload; bytes left behind the end */
};

/* Decode TEXT in pieces of STEP bytes (0: whole); trailers go to ROOM. */
static struct result decode(struct str text, enum framing framing, uint64_t length, size_t step,
                            struct h1_body *b, char *room, size_t cap)
{
    struct result r = {.event = H1_BODY_MORE};
    struct str data;

    h1_body_init(b, framing, length);
    if (room)
        h1_body_keep_trailers(b, room, cap);
    for (size_t at = 0; at < text.n && r.event == H1_BODY_MORE;) {
        struct str in = {text.p + at, step && step < text.n - at ? step : text.n - at};
        at += in.n;
        while ((r.event = h1_body_next(b, &in, &data)) == H1_BODY_DATA) {
            ck_assert_uint_gt(data.n, 0);
            memcpy(r.data + r.n, data.p, data.n);
            r.n += data.n;
        }
        r.rest = in.n + (text.n - at);
    }
    r.kind = r.event == H1_BODY_BAD ? b->kind : 0;
    return r;
}

struct row {
    const char *what;
    struct str text;
    enum h1_body_event event;
    enum stats_violation kind;
    const char *data;
};

#define OK(what, text, data)                                                                   \
    {                                                                                          \
        what, STR_INIT(text), H1_BODY_END, 0, data                                             \
    }
#define MORE(what, text, data)                                                                 \
    {                                                                                          \
        what, STR_INIT(text), H1_BODY_MORE, 0, data                                            \
    }
#define BAD(what, text, kind)                                                                  \
    {                                                                                          \
        what, STR_INIT(text), H1_BODY_BAD, STATS_BAD_##kind, NULL                              \
    }

static const struct row rows[] = {
    OK("empty", "0\r\n\r\n", ""),
    OK("two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
    OK("hex",
       "00000000000000aF\r\n"
       "0123456789012345678901234567890123456789012345678901234567890123456789"
       "0123456789012345678901234567890123456789012345678901234567890123456789"
       "01234567890123456789012345678901234\r\n000\r\n\r\n",
       "0123456789012345678901234567890123456789012345678901234567890123456789"
       "0123456789012345678901234567890123456789012345678901234567890123456789"
       "01234567890123456789012345678901234"),
    OK("extension", "1;a\r\nx\r\n0;b=c;d\r\n\r\n", "x"),
    OK("quoted", "1;a=\"b;\\\"c\t \";d\r\nx\r\n0\r\n\r\n", "x"),
    OK("blanks", "1 ; a = b ;\tc\r\nx\r\n0\r\n\r\n", "x"),
    OK("trailers", "1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", "x"),
    MORE("nothing", "", ""),
    MORE("cut", "5\r\nhel", "hel"),
    MORE("no last CRLF", "0\r\n", ""),
    /* 5: sizes */
    BAD("0x", "0x5\r\nhello\r\n", CHUNK),
    BAD("underscore", "1_0\r\n", CHUNK),
    BAD("sign", "+5\r\nhello\r\n", CHUNK),
    BAD("minus", "-1\r\n", CHUNK),
    BAD("space before", " 5\r\nhello\r\n", CHUNK),
    BAD("space behind", "5 \r\nhello\r\n", CHUNK),
    BAD("no size", "\r\nhello\r\n", CHUNK),
    BAD("only an extension", ";a\r\n", CHUNK),
    BAD("17 digits", "00000000000000001\r\n", CHUNK),
    BAD("too large", "ffffffffffffffff\r\n", CHUNK),
    /* 6: extensions and line ends */
    BAD("bare semicolon", "5;\r\nhello\r\n", CHUNK),
    BAD("no name", "5;=x\r\nhello\r\n", CHUNK),
    BAD("no value", "5;a=\r\nhello\r\n", CHUNK),
    BAD("bad token", "5;a@\r\nhello\r\n", CHUNK),
    BAD("garbage", "5 garbage\r\nhello\r\n", CHUNK),
    BAD("space at the end", "5;a \r\nhello\r\n", CHUNK),
    BAD("text behind quotes", "5;a=\"b\"c\r\n", CHUNK),
    BAD("CRLF in quotes", "5;a=\"b\r\n", CHUNK),
    BAD("LF after size", "5\nhello\r\n", BARE_LF),
    BAD("LF in extension", "5;a\nhello\r\n", CHUNK),
    BAD("CR CR", "5\r\rhello", BARE_LF),
    BAD("LF after data", "1\r\nx\n0\r\n\r\n", CHUNK),
    BAD("CR X after data", "1\r\nx\rX", BARE_LF),
    BAD("too much data", "1\r\nxy\r\n", CHUNK),
    BAD("CR X at the end", "0\r\n\rX", BARE_LF),
    BAD("LF at the end", "0\r\n\n", BARE_LF),
    /* trailers */
    BAD("folded trailer", "0\r\nA: b\r\n c\r\n\r\n", TRAILER),
    BAD("no colon", "0\r\nA\r\n\r\n", TRAILER),
    BAD("space before colon", "0\r\nA : b\r\n\r\n", TRAILER),
    BAD("control", "0\r\nA: \x01\r\n\r\n", TRAILER),
    BAD("LF in trailer", "0\r\nA: b\n\r\n", BARE_LF),
    BAD("CR in trailer", "0\r\nA: b\rc\r\n\r\n", BARE_LF),
};

START_TEST(test_chunked)
{
    const struct row *row = &rows[_i];
    char text[512];

    for (size_t step = 0; step <= row->text.n; step++) {
        struct h1_body b;
        struct result r;
        memcpy(text, row->text.p, row->text.n);
        memcpy(text + row->text.n, "NEXT", 4);
        r = decode((struct str){text, row->text.n + (row->event == H1_BODY_END ? 4 : 0)},
                   FRAMING_CHUNKED, 0, step, &b, NULL, 0);
        ck_assert_msg(r.event == row->event, "%s in steps of %zu: %d %s", row->what, step,
                      (int)r.event, b.why ? b.why : "");
        ck_assert_msg(r.kind == row->kind, "%s in steps of %zu: %s", row->what, step, b.why);
        if (row->data)
            ck_assert(str_eq((struct str){r.data, r.n}, str_of(row->data)));
        if (r.event == H1_BODY_END)
            ck_assert_uint_eq(r.rest, 4);
        ck_assert_int_eq(h1_body_done(&b), r.event == H1_BODY_END);
        ck_assert_int_eq(h1_body_eof(&b), r.event == H1_BODY_END);
    }
}
END_TEST

START_TEST(test_length)
{
    struct str text = STR("helloNEXT");

    for (size_t step = 0; step <= text.n; step++) {
        struct h1_body b;
        struct result r = decode(text, FRAMING_LENGTH, 5, step, &b, NULL, 0);
        ck_assert_int_eq(r.event, H1_BODY_END);
        ck_assert(str_eq((struct str){r.data, r.n}, STR("hello")));
        ck_assert_uint_eq(r.rest, 4);
        r = decode(text, FRAMING_LENGTH, 10, step, &b, NULL, 0);
        ck_assert_int_eq(r.event, H1_BODY_MORE);
        ck_assert(!h1_body_eof(&b));
        r = decode(text, FRAMING_CLOSE, 0, step, &b, NULL, 0);
        ck_assert_int_eq(r.event, H1_BODY_MORE);
        ck_assert_uint_eq(r.n, text.n);
        ck_assert(!h1_body_done(&b) && h1_body_eof(&b) && h1_body_done(&b));
        r = decode(text, FRAMING_NONE, 0, step, &b, NULL, 0);
        ck_assert_int_eq(r.event, H1_BODY_END);
        ck_assert_uint_eq(r.rest, text.n);
    }
}
END_TEST

START_TEST(test_length_is_over_without_input)
{
    struct h1_body b;
    struct str in = STR_NONE, data;

    h1_body_init(&b, FRAMING_LENGTH, 0);
    ck_assert(h1_body_done(&b));
    ck_assert_int_eq(h1_body_next(&b, &in, &data), H1_BODY_END);
}
END_TEST

START_TEST(test_trailers)
{
    struct str text = STR("0\r\nX-Sum:  1 2\t \r\nContent-Length: 5\r\nTransfer_Encoding: x\r\n"
                          "Host: b\r\nAuthorization: c\r\nEmpty:\r\nConnection: d\r\n"
                          "Server-Timing: e\r\n\r\n");
    struct str want = STR("X-Sum: 1 2\r\nEmpty:\r\nServer-Timing: e\r\n");
    char room[64];

    for (size_t step = 0; step <= text.n; step++) {
        struct h1_body b;
        struct result r = decode(text, FRAMING_CHUNKED, 0, step, &b, room, sizeof(room));
        ck_assert_int_eq(r.event, H1_BODY_END);
        ck_assert_msg(str_eq(h1_body_trailers(&b), want), "%.*s",
                      STR_ARG(h1_body_trailers(&b)));
        for (size_t cap = 0; cap < want.n; cap++) { /* those that fit, whole */
            r = decode(text, FRAMING_CHUNKED, 0, step, &b, room, cap);
            ck_assert_int_eq(r.event, H1_BODY_END);
            ck_assert(b.used <= cap && (b.used == 0 || room[b.used - 1] == '\n'));
        }
    }
}
END_TEST

/* N chunks of one byte with an extension of EXT bytes each. */
static enum h1_body_event extensions(size_t n, size_t ext)
{
    char line[8192] = "1;";
    struct h1_body b;
    struct str in, data;
    enum h1_body_event e = H1_BODY_MORE;

    memset(line + 2, 'e', ext - 1);
    memcpy(line + 1 + ext, "\r\nx\r\n", 5);
    h1_body_init(&b, FRAMING_CHUNKED, 0);
    for (size_t i = 0; i < n && e == H1_BODY_MORE; i++) {
        in = (struct str){line, 1 + ext + 5};
        while ((e = h1_body_next(&b, &in, &data)) == H1_BODY_DATA)
            ck_assert_uint_eq(data.n, 1);
    }
    return e;
}

START_TEST(test_limits)
{
    char line[300] = "0\r\n";
    struct h1_body b;
    struct str in, data;
    enum h1_body_event e = H1_BODY_MORE;

    ck_assert_int_eq(extensions(1, H1_CHUNK_EXT_MAX), H1_BODY_MORE);
    ck_assert_int_eq(extensions(1, H1_CHUNK_EXT_MAX + 8), H1_BODY_BAD);
    ck_assert_int_eq(extensions(100, 32), H1_BODY_MORE);
    ck_assert_int_eq(extensions(1000, 32), H1_BODY_BAD);

    memset(line + 3, 'n', 257);
    h1_body_init(&b, FRAMING_CHUNKED, 0);
    in = (struct str){line, 3 + 257};
    ck_assert_int_eq(h1_body_next(&b, &in, &data), H1_BODY_BAD);
    ck_assert_int_eq(b.kind, STATS_BAD_TRAILER);

    h1_body_init(&b, FRAMING_CHUNKED, 0);
    in = STR("0\r\n");
    ck_assert_int_eq(h1_body_next(&b, &in, &data), H1_BODY_MORE);
    for (int i = 0; i < 1000 && e == H1_BODY_MORE; i++) {
        in = STR("a: 0123456789\r\n");
        e = h1_body_next(&b, &in, &data);
    }
    ck_assert_int_eq(e, H1_BODY_BAD);
    ck_assert_int_eq(b.kind, STATS_BAD_TRAILER);
    ck_assert_int_eq(h1_body_next(&b, &in, &data), H1_BODY_BAD); /* stays so */
}
END_TEST

START_TEST(test_chunk_head)
{
    static const struct {
        uint64_t n;
        const char *text;
    } heads[] = {{1, "1\r\n"},
                 {15, "f\r\n"},
                 {16, "10\r\n"},
                 {500, "1f4\r\n"},
                 {4095, "fff\r\n"},
                 {65536, "10000\r\n"},
                 {UINT64_MAX, "ffffffffffffffff\r\n"}};
    char out[H1_CHUNK_HEAD];

    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        ck_assert(
            str_eq((struct str){out, h1_chunk_head(out, heads[i].n)}, str_of(heads[i].text)));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h1_body");
    TCase *t = tcase_create("h1_body");

    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_chunked, 0, ARRAY_LEN(rows));
    tcase_add_test(t, test_length);
    tcase_add_test(t, test_length_is_over_without_input);
    tcase_add_test(t, test_trailers);
    tcase_add_test(t, test_limits);
    tcase_add_test(t, test_chunk_head);
    return unit_run(s);
}
