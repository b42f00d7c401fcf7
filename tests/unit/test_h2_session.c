/* test_h2_session.c - an HTTP/2 client's frames, and what the session tells its owner and the
 * client. */
#include "proxy/http/h2_session.h"
#include "tests/unit/h2_frames.h"
#include "tests/unit/unit.h"

#define GET  ":method: GET\n:scheme: http\n:path: /\n:authority: shop\n"
#define POST ":method: POST\n:scheme: http\n:path: /\n:authority: shop\n"
#define TUNNEL                                                                                 \
    ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:path: /\n:authority: shop\n"

enum { PROTOCOL = 1, STREAM_CLOSED = 5, REFUSED = 7, CANCEL = 8, CALM = 11 };
#define STREAMS 8
#define MOST    4 /* at once */

struct stream {
    int32_t id;
    int ends, closes;
    int status; /* refused with it; 0: good */
    bool upgrade, last;
    size_t got, left;
    bool finished; /* the answer */
    char trailers[64], path[32];
};

static struct rig {
    struct h2_session *session;
    struct blocks blocks;
    size_t memory;
    struct stream streams[STREAMS];
    int nstreams, violations, pongs;
    bool wants;
    struct said said;
    struct log log;
} rig;

static void *on_head(void *self, int32_t id, struct h2_fields *f, bool last)
{
    static struct head h;
    struct stream *x = &rig.streams[rig.nstreams++];
    struct h1_parser p;
    struct block *text;

    (void)self;
    ck_assert_int_le(rig.nstreams, STREAMS);
    *x = (struct stream){.id = id, .last = last};
    head_reset(&h);
    if (!h2_fields_request(f, last, &p, &h, &text)) {
        x->status = p.status;
        return x;
    }
    x->upgrade = h.upgrade;
    ck_assert(head_path(&h).n < sizeof(x->path));
    memcpy(x->path, head_path(&h).p, head_path(&h).n);
    block_put(&rig.blocks, text);
    return x;
}

static void on_data(void *self, void *stream, struct str bytes)
{
    (void)self;
    ((struct stream *)stream)->got += bytes.n;
}

static void on_end(void *self, void *stream, struct str trailers)
{
    struct stream *x = stream;

    (void)self;
    x->ends++;
    if (trailers.n)
        memcpy(x->trailers, trailers.p, trailers.n);
}

static struct h2_piece on_pull(void *self, void *stream, char *to, size_t cap)
{
    struct stream *x = stream;
    struct h2_piece piece = {.n = x->left < cap ? x->left : cap};

    (void)self;
    memset(to, 'y', piece.n);
    x->left -= piece.n;
    piece.last = x->finished && x->left == 0;
    return piece;
}

static bool on_wants(void *self, void *stream)
{
    (void)self;
    (void)stream;
    return rig.wants;
}

static void on_closed(void *self, void *stream)
{
    (void)self;
    ((struct stream *)stream)->closes++;
}

static void on_violation(void *self)
{
    (void)self;
    rig.violations++;
}

static void on_pong(void *self)
{
    (void)self;
    rig.pongs++;
}

static const struct h2_events events = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .pull = on_pull,
    .wants = on_wants,
    .closed = on_closed,
    .violation = on_violation,
    .pong = on_pong,
};

/* ---- helpers ---- */

static void turn(void)
{
    struct str out;

    h2_session_recv(rig.session, (struct str){rig.said.text, rig.said.n}, 0);
    rig.said.n = 0;
    while ((out = h2_session_send(rig.session)).n)
        hear(&rig.log, out);
}

static void begin(void)
{
    memset(&rig, 0, sizeof(rig));
    blocks_init(&rig.blocks);
    rig.session = h2_session_new(&events, &rig, &rig.blocks, &rig.memory, MOST, 0);
    h2_session_recv(rig.session, H2_PREFACE, 0);
    say(&rig.said, F_SETTINGS, 0, 0, STR_NONE);
    turn();
}

static void set_up(void)
{
    begin();
    say(&rig.said, F_SETTINGS, F_ACK, 0, STR_NONE);
    turn();
}

static void tear_down(void)
{
    ck_assert_uint_gt(rig.memory, 0);
    h2_session_free(rig.session);
    ck_assert_uint_eq(rig.memory, 0);
    ck_assert_uint_eq(rig.blocks.used, 0);
    blocks_release(&rig.blocks);
}

/* A good answer with N bytes, all of them if FINISHED. */
static void answer(struct stream *x, int status, size_t n, bool finished)
{
    struct message m = {
        .status = status, .framing = FRAMING_CHUNKED, .bodyless = status == 204};

    x->left = n;
    x->finished = finished;
    h2_session_head(rig.session, x->id, &m);
    turn();
}

static const struct heard *head_of(uint32_t id)
{
    return heard_last(&rig.log, F_HEADERS, id);
}

/* ---- requests ---- */

START_TEST(test_exchange)
{
    struct stream *x = rig.streams;

    set_up();
    say_fields(&rig.said, 0, 1, POST "te: trailers\n");
    say_data(&rig.said, 0, 1, 100);
    say_fields(&rig.said, F_END, 1, "x-sum: 1\n");
    turn();
    ck_assert_str_eq(x->path, "/");
    ck_assert(!x->last);
    ck_assert_uint_eq(x->got, 100);
    ck_assert_int_eq(x->ends, 1);
    ck_assert_str_eq(x->trailers, "x-sum: 1\r\n");
    h2_session_head(rig.session, 1, &(struct message){.status = 103, .extra = STR("a: b\r\n")});
    turn();
    ck_assert(!(head_of(1)->flags & F_END));
    answer(x, 200, 30000, true);
    ck_assert_uint_eq(heard_sum(&rig.log, F_DATA, 1), 30000);
    ck_assert(heard_last(&rig.log, F_DATA, 1)->flags & F_END);
    ck_assert_int_eq(x->closes, 1);
    ck_assert_int_eq(heard_code(&rig.log, 1), -1);
    ck_assert_int_eq(rig.violations, 0);
    tear_down();
}
END_TEST

/* What is wrong for HTTP/2 itself ends the stream; what only cannot be forwarded is answered.
 */
static const struct {
    const char *fields;
    bool answered;
} bad_heads[] = {
    {":method: GET\n:scheme: http\n:authority: shop\n", false},
    {":method: GET\n" GET, false},
    {GET ":path: /\n", false},
    {GET "x-a: b\n:other: a\n", false},
    {GET ":status: 200\n", false},
    {GET "X-A: b\n", false},
    {GET "connection: close\n", false},
    {GET "transfer-encoding: chunked\n", false},
    {GET "upgrade: a\n", false},
    {GET "te: gzip\n", false},
    {GET "x-a: b\rc\n", false},
    {GET "content-length: 1\ncontent-length: 1\n", false},
    {GET "content-length: a\n", false},
    {GET "host: other\n", true},
    {":method: CONNECT\n:authority: shop:1\n", true},
    {":method: CONNECT\n:protocol: ip\n:scheme: http\n:path: /\n:authority: shop\n", true},
};

/* The other stream goes on. */
START_TEST(test_bad_head)
{
    set_up();
    say_fields(&rig.said, F_END, 1, bad_heads[_i].fields);
    say_fields(&rig.said, F_END, 3, GET);
    turn();
    if (bad_heads[_i].answered) {
        ck_assert_int_eq(rig.nstreams, 2);
        ck_assert_int_ge(rig.streams[0].status, 400);
    } else {
        ck_assert_int_eq(rig.nstreams, 1);
        ck_assert_int_gt(heard_code(&rig.log, 1), 0);
        ck_assert_int_eq(rig.violations, 1);
    }
    ck_assert_int_eq(rig.streams[rig.nstreams - 1].id, 3);
    ck_assert(!h2_session_over(rig.session));
    tear_down();
}
END_TEST

START_TEST(test_wrong_length)
{
    set_up();
    say_fields(&rig.said, 0, 1, POST "content-length: 5\n");
    say_fields(&rig.said, 0, 3, POST "content-length: 5\n");
    say_fields(&rig.said, F_END, 5, POST "content-length: 5\n");
    say_data(&rig.said, F_END, 1, 4);
    say_data(&rig.said, 0, 3, 6);
    turn();
    for (uint32_t id = 1; id < 6; id += 2)
        ck_assert_int_eq(heard_code(&rig.log, id), PROTOCOL);
    for (int i = 0; i < rig.nstreams; i++) {
        ck_assert_int_eq(rig.streams[i].ends, 0);
        ck_assert_int_eq(rig.streams[i].closes, 1);
    }
    ck_assert_int_ge(rig.violations, 1);
    tear_down();
}
END_TEST

START_TEST(test_bad_trailers)
{
    set_up();
    for (uint32_t id = 1; id < 6; id += 2)
        say_fields(&rig.said, 0, id, POST);
    say_fields(&rig.said, F_END, 1, "x-a: b\n:path: /\n");
    say_fields(&rig.said, F_END, 3, "connection: close\n");
    say_fields(&rig.said, 0, 5, "x-a: b\n"); /* and more to come */
    turn();
    for (uint32_t id = 1; id < 6; id += 2)
        ck_assert_int_gt(heard_code(&rig.log, id), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rig.streams[i].ends, 0);
    ck_assert(!h2_session_over(rig.session));
    tear_down();
}
END_TEST

/* ---- limits ---- */

static void ask_many(uint32_t from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        say_fields(&rig.said, F_END, from + 2 * i, GET);
    turn();
}

/* Whoever does not know yet how many is told that nobody looked at it; others lie. */
START_TEST(test_concurrency)
{
    begin();
    ask_many(1, MOST + 1);
    ck_assert_int_eq(rig.nstreams, MOST);
    ck_assert_int_eq(heard_code(&rig.log, 2 * MOST + 1), REFUSED);
    answer(&rig.streams[0], 204, 0, true);
    ask_many(2 * MOST + 3, 1);
    ck_assert_int_eq(rig.nstreams, MOST + 1);
    say(&rig.said, F_SETTINGS, F_ACK, 0, STR_NONE);
    ask_many(2 * MOST + 5, 1);
    ck_assert_int_eq(rig.nstreams, MOST + 1);
    ck_assert(h2_session_over(rig.session));
    ck_assert_int_gt(heard_code(&rig.log, 0), 0);
    tear_down();
}
END_TEST

START_TEST(test_bomb)
{
    static char block[16384];
    size_t n = put_block(block, GET "x-a: b\n");

    set_up();
    block[n - 7] = 0x40; /* x-a is kept in the table */
    memset(block + n, 0xbe, 600);
    say(&rig.said, F_HEADERS, F_BLOCK | F_END, 1, (struct str){block, n + 600});
    turn();
    ck_assert_int_eq(rig.nstreams, 0);
    ck_assert(h2_session_over(rig.session));
    ck_assert_int_eq(heard_code(&rig.log, 0), CALM);
    ck_assert_int_eq(rig.violations, 1);
    tear_down();
}
END_TEST

/* A block that is never complete is known by its number. */
START_TEST(test_in_head)
{
    static char block[128];
    size_t n = put_block(block, GET);

    set_up();
    ck_assert_uint_eq(h2_session_in_head(rig.session), 0);
    say(&rig.said, F_HEADERS, F_END, 1, (struct str){block, n});
    turn();
    ck_assert_uint_eq(h2_session_in_head(rig.session), 1);
    say(&rig.said, F_CONTINUATION, F_BLOCK, 1, STR_NONE);
    turn();
    ck_assert_uint_eq(h2_session_in_head(rig.session), 0);
    ck_assert_int_eq(rig.nstreams, 1);
    tear_down();
}
END_TEST

/* ---- windows ---- */

/* A stream's window comes back as its bytes are consumed, the connection's at once. */
START_TEST(test_windows)
{
    set_up();
    say_fields(&rig.said, 0, 1, POST);
    for (int i = 0; i < 3; i++)
        say_data(&rig.said, 0, 1, 16384);
    turn();
    ck_assert_uint_eq(heard_sum(&rig.log, F_WINDOW, 1), 0);
    ck_assert_uint_gt(heard_sum(&rig.log, F_WINDOW, 0), 0);
    h2_session_consume(rig.session, 1, 3 * 16384);
    turn();
    ck_assert_uint_eq(heard_sum(&rig.log, F_WINDOW, 1), 3 * 16384);
    h2_session_reset(rig.session, 1, H2_CANCEL);
    turn();
    ck_assert_int_eq(rig.streams[0].closes, 1);
    for (int i = 0; i < 20; i++) { /* on their way when it was reset */
        say_data(&rig.said, 0, 1, 16384);
        turn();
    }
    ck_assert(!h2_session_over(rig.session));
    ck_assert_uint_ge(heard_sum(&rig.log, F_WINDOW, 0), 22 * 16384 - 65535);
    tear_down();
}
END_TEST

START_TEST(test_their_window)
{
    struct stream *x = rig.streams;

    set_up();
    say_setting(&rig.said, SET_WINDOW, 1000);
    say_fields(&rig.said, F_END, 1, GET);
    turn();
    answer(x, 200, 5000, true);
    ck_assert_uint_eq(heard_sum(&rig.log, F_DATA, 1), 1000);
    say_setting(&rig.said, SET_WINDOW, 0);
    say_u32(&rig.said, F_WINDOW, 1, 1001);
    turn();
    ck_assert_uint_eq(heard_sum(&rig.log, F_DATA, 1), 1001);
    say_setting(&rig.said, SET_WINDOW, 65535);
    turn();
    ck_assert_uint_eq(heard_sum(&rig.log, F_DATA, 1), 5000);
    ck_assert_int_eq(x->closes, 1);
    tear_down();
}
END_TEST

/* ---- ends ---- */

START_TEST(test_reset_in_every_state)
{
    set_up();
    say_fields(&rig.said, 0, 1, POST);
    say_fields(&rig.said, F_END, 3, GET);
    say_fields(&rig.said, F_END, 5, GET);
    turn();
    answer(&rig.streams[2], 200, 100, false); /* more to come */
    for (uint32_t id = 1; id < 6; id += 2)
        say_u32(&rig.said, F_RST, id, CANCEL);
    turn();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rig.streams[i].closes, 1);
    h2_session_head(rig.session, 1, &(struct message){.status = 200}); /* too late */
    h2_session_more(rig.session, 5);
    h2_session_consume(rig.session, 1, 5);
    h2_session_reset(rig.session, 3, H2_CANCEL);
    say_u32(&rig.said, F_RST, 1, CANCEL);
    turn();
    ck_assert_ptr_null(head_of(1));
    ck_assert(!h2_session_over(rig.session));
    tear_down();
}
END_TEST

START_TEST(test_early_answer)
{
    set_up();
    say_fields(&rig.said, 0, 1, POST);
    say_fields(&rig.said, 0, 3, POST);
    turn();
    answer(&rig.streams[0], 204, 0, true);
    ck_assert_int_eq(heard_code(&rig.log, 1), 0);
    ck_assert_int_eq(rig.streams[0].closes, 1);
    rig.wants = true;
    answer(&rig.streams[1], 204, 0, true);
    ck_assert_int_eq(heard_code(&rig.log, 3), -1);
    say_data(&rig.said, F_END, 3, 5);
    turn();
    ck_assert_uint_eq(rig.streams[1].got, 5);
    ck_assert_int_eq(rig.streams[1].closes, 1);
    tear_down();
}
END_TEST

START_TEST(test_goaway_double)
{
    set_up();
    say_fields(&rig.said, F_END, 1, GET);
    turn();
    h2_session_warn(rig.session);
    turn();
    ck_assert_uint_eq(get_u32(heard_last(&rig.log, F_GOAWAY, 0)->begin), INT32_MAX);
    say_fields(&rig.said, F_END, 3, GET); /* it may have been on its way */
    say(&rig.said, F_PING, F_ACK, 0, (struct str){heard_last(&rig.log, F_PING, 0)->begin, 8});
    turn();
    ck_assert_int_eq(rig.pongs, 1);
    ck_assert_int_eq(rig.nstreams, 2);
    h2_session_goaway(rig.session, H2_NO_ERROR);
    turn();
    ck_assert_uint_eq(get_u32(heard_last(&rig.log, F_GOAWAY, 0)->begin), 3);
    say_fields(&rig.said, F_END, 5, GET);
    turn();
    ck_assert_int_eq(rig.nstreams, 2);
    answer(&rig.streams[0], 204, 0, true);
    ck_assert(!h2_session_over(rig.session));
    answer(&rig.streams[1], 204, 0, true);
    ck_assert_int_eq(rig.streams[1].closes, 1);
    ck_assert(h2_session_over(rig.session));
    tear_down();
}
END_TEST

START_TEST(test_their_goaway)
{
    set_up();
    say_fields(&rig.said, F_END, 1, GET);
    say_goaway(&rig.said, 0, 0);
    turn();
    ck_assert(!h2_session_over(rig.session));
    answer(&rig.streams[0], 200, 10, true);
    ck_assert_uint_eq(heard_sum(&rig.log, F_DATA, 1), 10);
    ck_assert(h2_session_over(rig.session));
    tear_down();
}
END_TEST

/* ---- tunnels (RFC 8441) ---- */

START_TEST(test_tunnel)
{
    struct stream *x = rig.streams;

    set_up();
    say_fields(&rig.said, 0, 1, TUNNEL "sec-websocket-version: 13\n");
    say_data(&rig.said, 0, 1, 7);
    turn();
    ck_assert(x->upgrade);
    ck_assert_uint_eq(x->got, 7);
    x->left = 9;
    h2_session_head(rig.session, 1, &(struct message){.status = 101, .bodyless = true});
    turn();
    ck_assert(!(head_of(1)->flags & F_END));
    ck_assert_int_eq((uint8_t)head_of(1)->begin[0], 0x88); /* 200 */
    ck_assert_uint_eq(heard_sum(&rig.log, F_DATA, 1), 9);
    say_data(&rig.said, F_END, 1, 5);
    turn();
    ck_assert_int_eq(x->ends, 1);
    ck_assert_int_eq(x->closes, 0);
    x->finished = true;
    h2_session_more(rig.session, 1);
    turn();
    ck_assert_int_eq(x->closes, 1);
    tear_down();
}
END_TEST

START_TEST(test_no_tunnel)
{
    set_up();
    say_fields(&rig.said, 0, 1, TUNNEL);
    turn();
    ck_assert(rig.streams[0].upgrade);
    answer(&rig.streams[0], 403, 5, true);
    ck_assert_uint_eq(heard_sum(&rig.log, F_DATA, 1), 5);
    ck_assert_int_eq(heard_code(&rig.log, 1), 0);
    ck_assert_int_eq(rig.streams[0].closes, 1);
    ck_assert(!h2_session_over(rig.session));
    tear_down();
}
END_TEST

START_TEST(test_settings)
{
    const char *p;
    uint32_t connect = 0, streams = 0;

    set_up();
    p = rig.log.frames[0].begin;
    ck_assert_int_eq(rig.log.frames[0].type, F_SETTINGS);
    for (uint32_t at = 0; at < rig.log.frames[0].n; at += 6) {
        if (p[at + 1] == SET_CONNECT)
            connect = get_u32(p + at + 2);
        if (p[at + 1] == SET_STREAMS)
            streams = get_u32(p + at + 2);
    }
    ck_assert_uint_eq(connect, 1);
    ck_assert_uint_eq(streams, MOST);
    tear_down();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2_session");
    TCase *t = tcase_create("h2_session");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_exchange);
    tcase_add_loop_test(t, test_bad_head, 0, ARRAY_LEN(bad_heads));
    tcase_add_test(t, test_wrong_length);
    tcase_add_test(t, test_bad_trailers);
    tcase_add_test(t, test_concurrency);
    tcase_add_test(t, test_bomb);
    tcase_add_test(t, test_in_head);
    tcase_add_test(t, test_windows);
    tcase_add_test(t, test_their_window);
    tcase_add_test(t, test_reset_in_every_state);
    tcase_add_test(t, test_early_answer);
    tcase_add_test(t, test_goaway_double);
    tcase_add_test(t, test_their_goaway);
    tcase_add_test(t, test_tunnel);
    tcase_add_test(t, test_no_tunnel);
    tcase_add_test(t, test_settings);
    return unit_run(s);
}
