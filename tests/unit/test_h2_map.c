/* test_h2_map.c - fields of HTTP/2 as text of HTTP/1.1: what is laid out, and what is refused.
 */
#include "proxy/http/h2_map.h"
#include "tests/unit/unit.h"

#define GOOD ":method: GET\n:scheme: https\n:path: /a?b\n:authority: shop\n"

static struct rig {
    struct blocks blocks;
    struct h2_fields f;
    struct h1_parser p;
    struct head h;
    struct block *text;
} rig;

static void set_up(void)
{
    memset(&rig, 0, sizeof(rig));
    blocks_init(&rig.blocks);
    head_reset(&rig.h);
}

static void tear_down(void)
{
    block_put(&rig.blocks, rig.text);
    h2_fields_release(&rig.f);
    h2_fields_release(&rig.f);
    ck_assert_uint_eq(rig.blocks.used, 0);
    blocks_release(&rig.blocks);
}

/* LINES of "name: value\n" each; a '|' in a value stands for the end of a line. */
static bool add(const char *lines)
{
    struct str rest = str_of(lines);

    while (rest.n) {
        struct str value = str_cut(&rest, '\n'), name;
        size_t pseudo = value.p[0] == ':';
        char room[128];

        value = str_skip(value, pseudo);
        name = str_cut(&value, ':');
        name = (struct str){name.p - pseudo, name.n + pseudo};
        value = str_skip(value, 1);
        ck_assert(value.n < sizeof(room));
        for (size_t i = 0; i < value.n; i++)
            room[i] = value.p[i] == '|' ? '\n' : value.p[i];
        if (!h2_fields_add(&rig.f, name, (struct str){room, value.n}))
            return false;
    }
    return true;
}

static bool request(const char *lines, bool last)
{
    h2_fields_begin(&rig.f, &rig.blocks, false);
    ck_assert(add(lines));
    return h2_fields_request(&rig.f, last, &rig.p, &rig.h, &rig.text);
}

static bool response(const char *lines, bool last, enum method asked)
{
    h2_fields_begin_answer(&rig.f, &rig.blocks);
    ck_assert(add(lines));
    return h2_fields_response(&rig.f, last, asked, &rig.h, &rig.text);
}

static void check_text(const char *want)
{
    struct str got = block_str(rig.text);

    ck_assert_msg(str_eq(got, str_of(want)), "got %.*s", STR_ARG(got));
}

/* ---- requests ---- */

static const struct {
    const char *fields;
    bool last;
    const char *text;
} good[] = {
    {GOOD, true, "GET /a?b HTTP/1.1\r\nhost: shop\r\n\r\n"},
    {GOOD "x-a: b\n", true, "GET /a?b HTTP/1.1\r\nhost: shop\r\nx-a: b\r\n\r\n"},
    {GOOD, false, "GET /a?b HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n"},
    {GOOD "content-length: 5\n", false,
     "GET /a?b HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\n\r\n"},
    {":authority: shop\n:path: *\n:scheme: http\n:method: OPTIONS\n", true,
     "OPTIONS * HTTP/1.1\r\nhost: shop\r\n\r\n"},
    {":method: GET\n:scheme: http\n:path: /\nhost: shop\n", true,
     "GET / HTTP/1.1\r\nhost: shop\r\n\r\n"},
    {GOOD "host: SHOP\n", true, "GET /a?b HTTP/1.1\r\nhost: shop\r\n\r\n"},
    {GOOD "te: trailers\n", true, "GET /a?b HTTP/1.1\r\nhost: shop\r\nte: trailers\r\n\r\n"},
    {GOOD "cookie: a=1\nx-a: b\ncookie: c=2\ncookie: d=3\n", true,
     "GET /a?b HTTP/1.1\r\nhost: shop\r\nx-a: b\r\ncookie: a=1; c=2; d=3\r\n\r\n"},
    {":method: CONNECT\n:protocol: websocket\n:scheme: https\n:path: /\n:authority: shop\n"
     "sec-websocket-version: 13\nsec-websocket-key: mine\n",
     false,
     "GET / HTTP/1.1\r\nhost: shop\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
     "sec-websocket-version: 13\r\n\r\n"},
};

START_TEST(test_good)
{
    set_up();
    ck_assert_msg(request(good[_i].fields, good[_i].last), "%s", rig.p.why);
    check_text(good[_i].text);
    ck_assert_uint_eq(rig.h.size, strlen(good[_i].text));
    tear_down();
}
END_TEST

static const struct {
    const char *fields;
    int status;
} bad[] = {
    {"", 400},
    {":method: GET\n:scheme: http\n:authority: shop\n", 400},
    {":method: GET\n:path: /\n:authority: shop\n", 400},
    {":scheme: http\n:path: /\n:authority: shop\n", 400},
    {":method: GET\n:scheme: http\n:path: /\n", 400}, /* no host at all */
    {GOOD ":path: /\n", 400},
    {GOOD ":method: GET\n", 400},
    {GOOD ":authority: shop\n", 400},
    {GOOD ":status: 200\n", 400},
    {GOOD ":other: a\n", 400},
    {"x-a: b\n" GOOD, 400},
    {GOOD "x-a: b\n:path: /\n", 400},
    {":method: G T\n:scheme: http\n:path: /\n:authority: shop\n", 400},
    {":method: \n:scheme: http\n:path: /\n:authority: shop\n", 400},
    {":method: GET\n:scheme: ftp\n:path: /\n:authority: shop\n", 400},
    {":method: GET\n:scheme: http\n:path: a\n:authority: shop\n", 400},
    {":method: GET\n:scheme: http\n:path: http://a/\n:authority: shop\n", 400},
    {":method: GET\n:scheme: http\n:path: / HTTP/1.1\n:authority: shop\n", 400},
    {":method: GET\n:scheme: http\n:path: /|x\n:authority: shop\n", 400},
    {":method: GET\n:scheme: http\n:path: /#a\n:authority: shop\n", 400},
    {":method: GET\n:scheme: http\n:path: /\n:authority: a@shop\n", 400},
    {":method: GET\n:scheme: http\n:path: /\n:authority: shop|x\n", 400},
    {GOOD "host: other\n", 400},
    {GOOD "host: shop\nhost: shop\n", 400},
    {GOOD "connection: close\n", 400},
    {GOOD "keep-alive: a\n", 400},
    {GOOD "proxy-connection: a\n", 400},
    {GOOD "transfer-encoding: chunked\n", 400},
    {GOOD "Transfer-Encoding: chunked\n", 400},
    {GOOD "upgrade: websocket\n", 400},
    {GOOD "te: gzip\n", 400},
    {GOOD "te: trailers, gzip\n", 400},
    {GOOD "x a: b\n", 400},
    {GOOD "x-a: b|c\n", 400},
    {GOOD "content-length: 1\ncontent-length: 2\n", 400},
    {GOOD "content-length: +1\n", 400},
    {GOOD "cookie: a|b\n", 400},
    {":method: CONNECT\n:authority: shop:1\n", 405},
    {":method: CONNECT\n:protocol: ip\n:scheme: http\n:path: /\n:authority: shop\n", 501},
    {":method: GET\n:protocol: websocket\n:scheme: http\n:path: /\n:authority: shop\n", 400},
    {":method: CONNECT\n:protocol: websocket\n:scheme: http\n:path: /\n:authority: shop\n"
     "content-length: 5\n",
     400},
};

START_TEST(test_bad)
{
    set_up();
    ck_assert(!request(bad[_i].fields, false));
    ck_assert_ptr_null(rig.text);
    ck_assert_int_eq(rig.p.status, bad[_i].status);
    ck_assert_ptr_nonnull(rig.p.why);
    tear_down();
}
END_TEST

/* ---- limits ---- */

static bool add_many(int n, size_t size)
{
    static char value[BLOCK_LARGE];

    memset(value, 'v', sizeof(value));
    for (int i = 0; i < n; i++)
        if (!h2_fields_add(&rig.f, STR("x-a"), (struct str){value, size}))
            return false;
    return true;
}

static int status_of_many(int n, size_t size)
{
    h2_fields_begin(&rig.f, &rig.blocks, false);
    ck_assert(add(GOOD) && add_many(n, size));
    return h2_fields_request(&rig.f, true, &rig.p, &rig.h, &rig.text) ? 200 : rig.p.status;
}

START_TEST(test_count)
{
    set_up();
    ck_assert_int_eq(status_of_many(HEAD_MAX_FIELDS - 4, 1), 200);
    block_put(&rig.blocks, rig.text);
    ck_assert_int_eq(status_of_many(HEAD_MAX_FIELDS - 3, 1), 431);
    h2_fields_begin(&rig.f, &rig.blocks, false);
    ck_assert(add(GOOD) && add_many(H2_FIELDS_MUCH - 4, 1));
    ck_assert(!add_many(1, 1));
    tear_down();
}
END_TEST

/* What is over the limit is not kept: its memory is one large block at most. */
START_TEST(test_size)
{
    set_up();
    ck_assert_int_eq(status_of_many(2, 10000), 200);
    ck_assert_uint_eq(rig.h.nfields, 3);
    block_put(&rig.blocks, rig.text);
    ck_assert_int_eq(status_of_many(1, HEAD_MAX_BYTES), 431);
    h2_fields_begin(&rig.f, &rig.blocks, false);
    ck_assert(add(GOOD) && add_many(H2_SIZE_MUCH / 40000, 39000));
    ck_assert_uint_le(rig.blocks.used, 1);
    ck_assert(!add_many(1, 39000));
    tear_down();
}
END_TEST

/* Crumbs count one by one, and joined they are still bounded. */
START_TEST(test_crumbs)
{
    set_up();
    h2_fields_begin(&rig.f, &rig.blocks, false);
    ck_assert(add(GOOD));
    for (int i = 0; i < HEAD_MAX_FIELDS - 3; i++)
        ck_assert(add("cookie: a=1\n"));
    ck_assert(!h2_fields_request(&rig.f, true, &rig.p, &rig.h, &rig.text));
    ck_assert_int_eq(rig.p.status, 431);
    h2_fields_begin(&rig.f, &rig.blocks, false);
    ck_assert(add(GOOD));
    for (int i = 0; i < 2; i++) {
        static char crumb[BLOCK_SMALL - 100];

        memset(crumb, 'c', sizeof(crumb));
        ck_assert(h2_fields_add(&rig.f, STR("cookie"), (struct str){crumb, sizeof(crumb)}));
    }
    ck_assert(!h2_fields_request(&rig.f, true, &rig.p, &rig.h, &rig.text));
    ck_assert_int_eq(rig.p.status, 431);
    tear_down();
}
END_TEST

/* ---- answers ---- */

START_TEST(test_answer)
{
    set_up();
    ck_assert(response(":status: 200\ncontent-length: 5\nhost: a\n", false, METHOD_GET));
    check_text("HTTP/1.1 200 \r\ncontent-length: 5\r\nhost: a\r\n\r\n");
    ck_assert_int_eq(rig.h.framing, FRAMING_LENGTH);
    block_put(&rig.blocks, rig.text);
    ck_assert(response(":status: 200\n", false, METHOD_GET));
    ck_assert_int_eq(rig.h.framing, FRAMING_CHUNKED);
    block_put(&rig.blocks, rig.text);
    ck_assert(response(":status: 200\n", true, METHOD_GET));
    ck_assert_int_eq(rig.h.framing, FRAMING_LENGTH);
    ck_assert_uint_eq(rig.h.length, 0);
    block_put(&rig.blocks, rig.text);
    ck_assert(response(":status: 200\ncontent-length: 5\n", true, METHOD_HEAD));
    ck_assert_int_eq(rig.h.framing, FRAMING_NONE);
    tear_down();
}
END_TEST

static const char *const bad_answers[] = {
    "",
    "x-a: b\n",
    ":status: 20\n",
    ":status: 20a\n",
    ":status: 2000\n",
    ":status: 099\n",
    ":status: 200\n:status: 200\n",
    ":status: 200\n:path: /\n",
    "x-a: b\n:status: 200\n",
    ":status: 200\nconnection: close\n",
    ":status: 200\ntransfer-encoding: chunked\n",
    ":status: 200\ncontent-length: 1\ncontent-length: 2\n",
    ":status: 200\nx-a: b|c\n",
};

START_TEST(test_bad_answer)
{
    set_up();
    ck_assert(!response(bad_answers[_i], false, METHOD_GET));
    ck_assert_ptr_null(rig.text);
    tear_down();
}
END_TEST

/* ---- trailers ---- */

START_TEST(test_trailers)
{
    struct str lines;

    set_up();
    h2_fields_begin(&rig.f, &rig.blocks, true);
    ck_assert(add("grpc-status: 0\ncontent-length: 5\nhost: a\nauthorization: b\n"
                  "content_length: 5\nx-sum: 1\n"));
    ck_assert(h2_fields_trailers(&rig.f, &lines));
    ck_assert_msg(str_eq(lines, STR("grpc-status: 0\r\nx-sum: 1\r\n")), "got %.*s",
                  STR_ARG(lines));
    h2_fields_begin(&rig.f, &rig.blocks, true);
    ck_assert(h2_fields_trailers(&rig.f, &lines));
    ck_assert_uint_eq(lines.n, 0);
    h2_fields_begin(&rig.f, &rig.blocks, true);
    ck_assert(add_many(3, 5000));
    ck_assert(h2_fields_trailers(&rig.f, &lines));
    ck_assert_uint_le(lines.n, H2_TRAILER_MAX);
    h2_fields_begin(&rig.f, &rig.blocks, true);
    ck_assert(add("x-sum: 1\n:path: /\n"));
    ck_assert(!h2_fields_trailers(&rig.f, &lines));
    h2_fields_begin(&rig.f, &rig.blocks, true);
    ck_assert(add("x-sum: 1|2\n"));
    ck_assert(!h2_fields_trailers(&rig.f, &lines));
    tear_down();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2_map");
    TCase *t = tcase_create("h2_map");

    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_good, 0, ARRAY_LEN(good));
    tcase_add_loop_test(t, test_bad, 0, ARRAY_LEN(bad));
    tcase_add_test(t, test_count);
    tcase_add_test(t, test_size);
    tcase_add_test(t, test_crumbs);
    tcase_add_test(t, test_answer);
    tcase_add_loop_test(t, test_bad_answer, 0, ARRAY_LEN(bad_answers));
    tcase_add_test(t, test_trailers);
    return unit_run(s);
}
