/*
 * test_h1_lenient.c - what a lenient listener takes, cut at every byte, and what becomes of it.
 */
#include "proxy/base/mem.h"
#include "proxy/http/h1_parse.h"
#include "proxy/http/head_write.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>

#define LF   (1u << STATS_BAD_BARE_LF)
#define FOLD (1u << STATS_BAD_OBS_FOLD)
#define CTL  (1u << STATS_BAD_FIELD_VALUE)
#define BOTH (1u << STATS_BAD_CL_AND_TE)
#define GET  "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

struct row {
    const char *what;
    uint32_t kinds; /* asked for; of those taken, all are used */
    struct str text;
    struct str fields; /* as they would go on; NULL: refused with 400 for REFUSED */
    enum stats_violation refused;
};

#define TAKEN(what, kinds, text, fields)                                                       \
    {                                                                                          \
        what, kinds, STR_INIT(text), STR_INIT(fields), 0                                       \
    }
#define REFUSED(what, kinds, text, kind)                                                       \
    {                                                                                          \
        what, kinds, STR_INIT(text), {NULL, 0}, STATS_BAD_##kind                               \
    }

static const struct row rows[] = {
    TAKEN("bare LF everywhere", LF, "\nGET / HTTP/1.1\nHost: a\nX: b \n\n",
          "Host: a\r\nX: b\r\n"),
    TAKEN("one bare LF", LF, GET "X: b\n\r\n", "Host: a\r\nX: b\r\n"),
    TAKEN("the last line", LF, GET "X: b\r\n\n", "Host: a\r\nX: b\r\n"),
    REFUSED("bare CR", LF | CTL, GET "X: a\rb\r\n\r\n", BARE_LF),
    REFUSED("LF in a name", LF, GET "X\nY: b\r\n\r\n", BARE_LF),
    REFUSED("HTTP/0.9", LF, "GET /\n\n", BARE_LF),
    REFUSED("two empty lines before", LF, "\n\nGET / HTTP/1.1\nHost: a\n\n", REQUEST_LINE),
    REFUSED("not asked for", FOLD | CTL | BOTH, GET "X: b\n\r\n", BARE_LF),

    TAKEN("a fold", FOLD, GET "X: a\r\n b\r\nY: c\r\n\r\n", "Host: a\r\nX: a b\r\nY: c\r\n"),
    TAKEN("folds of blanks and tabs", FOLD, GET "X: a \r\n \t b\t\r\n\tc\r\n\r\n",
          "Host: a\r\nX: a b c\r\n"),
    TAKEN("behind an empty value", FOLD, GET "X:\r\n b\r\n\r\n", "Host: a\r\nX: b\r\n"),
    TAKEN("what looks like a field", FOLD, GET "X: a\r\n Content-Length: 5\r\n\r\n",
          "Host: a\r\nX: a Content-Length: 5\r\n"),
    TAKEN("fold and bare LF", FOLD | LF, GET "X: a\n b\n\r\n", "Host: a\r\nX: a b\r\n"),
    REFUSED("before the first field", FOLD, "GET / HTTP/1.1\r\n Host: a\r\n\r\n", FIELD_NAME),
    REFUSED("blanks only", FOLD, GET "X: a\r\n \r\n\r\n", OBS_FOLD),
    REFUSED("in a coding", FOLD, POST "Transfer-Encoding:\r\n chunked\r\n\r\n", OBS_FOLD),
    REFUSED("in a length", FOLD, POST "Content-Length: 1\r\n 2\r\n\r\n", OBS_FOLD),
    REFUSED("in Host", FOLD, "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", OBS_FOLD),
    REFUSED("in Connection", FOLD, GET "Connection: close,\r\n X\r\n\r\n", OBS_FOLD),
    REFUSED("not asked for", LF | CTL | BOTH, GET "X: a\r\n b\r\n\r\n", OBS_FOLD),

    TAKEN("controls", CTL,
          GET "X: \x01"
              "a\x0b\0b\x7f\r\n\r\n",
          "Host: a\r\nX: a  b\r\n"),
    TAKEN("in a fold", CTL | FOLD,
          GET "X: a\r\n b\x02"
              "c\r\n\r\n",
          "Host: a\r\nX: a b c\r\n"),
    REFUSED("in a coding", CTL,
            POST "Transfer-Encoding: \x0b"
                 "chunked\r\n\r\n",
            FIELD_VALUE),
    REFUSED("in a length", CTL, POST "Content-Length: 1\0\r\n\r\n", FIELD_VALUE),
    REFUSED("in Host", CTL, "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", FIELD_VALUE),
    REFUSED("in a name", CTL, GET "X\x01: a\r\n\r\n", FIELD_NAME),
    REFUSED("in a target", CTL, "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", TARGET),
    REFUSED("not asked for", LF | FOLD | BOTH, GET "X: \x01\r\n\r\n", FIELD_VALUE),

    TAKEN("TE and CL", BOTH, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
          "Host: a\r\n"),
    TAKEN("CL and TE", BOTH, POST "Content-Length: 5\r\nTransfer-Encoding: Chunked\r\n\r\n",
          "Host: a\r\n"),
    REFUSED("a length that is none", BOTH,
            POST "Content-Length: +5\r\nTransfer-Encoding: chunked\r\n\r\n", CONTENT_LENGTH),
    REFUSED("two lengths", BOTH,
            POST "Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            CONTENT_LENGTH),
    REFUSED("another coding", BOTH,
            POST "Content-Length: 5\r\nTransfer-Encoding: chunked, x\r\n\r\n",
            TRANSFER_ENCODING),
    REFUSED("in HTTP/1.0", BOTH,
            "POST / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            TRANSFER_ENCODING),
    REFUSED("not asked for", LF | FOLD | CTL,
            POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", CL_AND_TE),
};

/* Feed a copy of R's text, cut at CUT (0: byte by byte). The caller frees *COPY. */
static enum h1_result feed(const struct row *r, size_t cut, struct h1_parser *p, struct head *h,
                           char **copy)
{
    enum h1_result got = H1_MORE;

    *copy = xmalloc(r->text.n);
    memcpy(*copy, r->text.p, r->text.n);
    h1_parser_request(p);
    h1_parser_lenient(p, r->kinds);
    for (size_t n = cut ? cut : 1; n < r->text.n && got == H1_MORE; n += cut ? r->text.n : 1)
        got = h1_parse(p, h, *copy, n);
    return got == H1_MORE ? h1_parse(p, h, *copy, r->text.n) : got;
}

static void check_taken(const struct row *r, const struct h1_parser *p, const struct head *h)
{
    char room[512];
    struct out o = out_init(room, sizeof(room));

    head_write_end_to_end(&o, h, NULL);
    ck_assert_msg(str_eq(out_text(&o), r->fields), "%s: fields are \"%.*s\"", r->what,
                  STR_ARG(out_text(&o)));
    ck_assert_uint_eq(p->forgiven, r->kinds);
    ck_assert_uint_eq(h->size, r->text.n);
    if (r->kinds == BOTH) {
        ck_assert_uint_eq(h->framing, FRAMING_CHUNKED);
        ck_assert_uint_eq(h->length, 0);
        ck_assert(!h->keep_alive);
    }
}

START_TEST(test_rows)
{
    const struct row *r = &rows[_i];

    for (size_t cut = 0; cut < r->text.n; cut++) {
        struct h1_parser p;
        struct head h;
        char *copy;
        enum h1_result got = feed(r, cut, &p, &h, &copy);

        ck_assert_msg(got == (r->fields.p ? H1_DONE : H1_BAD), "%s, cut at %zu: %d %s", r->what,
                      cut, got, got == H1_BAD ? p.why : "");
        if (r->fields.p) {
            check_taken(r, &p, &h);
        } else {
            ck_assert_msg(p.kind == r->refused, "%s, cut at %zu: refused as %s", r->what, cut,
                          stats_violation_name(p.kind));
            ck_assert_uint_eq(p.status, 400);
        }
        xfree(copy);
    }
}
END_TEST

/* Folds do not get around the limit of a line. */
START_TEST(test_long_fold)
{
    enum { LINE = 9000 };
    static char text[3 * LINE];
    struct h1_parser p;
    struct head h;
    size_t n;

    memset(text, 'x', sizeof(text));
    memcpy(text, GET "X: ", sizeof(GET "X: ") - 1);
    memcpy(text + LINE, "\r\n ", 3);
    memcpy(text + 2 * LINE, "\r\n\r\n", 4);
    n = 2 * LINE + 4;
    h1_parser_request(&p);
    h1_parser_lenient(&p, FOLD);
    ck_assert_int_eq(h1_parse(&p, &h, text, n), H1_BAD);
    ck_assert_uint_eq(p.kind, STATS_BAD_OBS_FOLD);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h1_lenient");
    TCase *t = tcase_create("h1_lenient");

    tcase_add_loop_test(t, test_rows, 0, ARRAY_LEN(rows));
    tcase_add_test(t, test_long_fold);
    suite_add_tcase(s, t);
    return unit_run(s);
}
