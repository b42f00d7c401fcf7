/* test_h2_client.c - an HTTP/2 server's frames, and what comes of the exchanges under way. */
#include "proxy/http/h2_client.h"
#include "proxy/http/h2_session.h"
#include "tests/unit/h2_frames.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define LANES 4

enum { REFUSED = 7, CANCEL = 8, CALM = 11 };

struct lane {
    struct h2_exchange x;
    int heads, interim, ends, closes;
    int status;
    uint64_t length; /* told by the head */
    size_t got;
    char trailers[64];
    enum h2_close how;
    size_t left, pulled; /* of the request's body */
    bool finished;
    struct str sends; /* trailers */
};

static struct rig {
    struct h2_client *client;
    struct blocks blocks;
    struct lane lanes[LANES];
    struct said said;
    struct log log;
    int settled, leaving, pongs;
} rig;

static struct lane *lane_of(struct h2_exchange *x)
{
    return CONTAINER_OF(x, struct lane, x);
}

static bool on_head(void *self, struct h2_exchange *x, struct h2_fields *f, bool last)
{
    static struct head h;
    struct lane *l = lane_of(x);
    struct block *text;

    (void)self;
    head_reset(&h);
    if (!h2_fields_response(f, last, x->asked, &h, &text))
        return false;
    block_put(&rig.blocks, text);
    x->answered = h.status >= 200;
    l->heads += x->answered;
    l->interim += !x->answered;
    l->status = h.status;
    l->length = h.length;
    l->ends += last;
    return true;
}

static bool on_data(void *self, struct h2_exchange *x, struct str bytes)
{
    (void)self;
    lane_of(x)->got += bytes.n;
    return true;
}

static void on_end(void *self, struct h2_exchange *x, struct str trailers)
{
    struct lane *l = lane_of(x);

    (void)self;
    l->ends++;
    ck_assert(trailers.n < sizeof(l->trailers));
    if (trailers.n)
        memcpy(l->trailers, trailers.p, trailers.n);
}

static struct h2_piece on_pull(void *self, struct h2_exchange *x, char *to, size_t cap)
{
    struct lane *l = lane_of(x);
    struct h2_piece piece = {.n = l->left < cap ? l->left : cap};

    (void)self;
    memset(to, 'y', piece.n);
    l->left -= piece.n;
    l->pulled += piece.n;
    piece.last = l->finished && l->left == 0;
    if (piece.last)
        piece.trailers = l->sends;
    return piece;
}

static void on_closed(void *self, struct h2_exchange *x, enum h2_close how)
{
    (void)self;
    ck_assert_int_eq(x->id, 0);
    lane_of(x)->closes++;
    lane_of(x)->how = how;
}

static void on_settled(void *self)
{
    (void)self;
    rig.settled++;
}

static void on_leaving(void *self)
{
    (void)self;
    rig.leaving++;
}

static void on_pong(void *self)
{
    (void)self;
    rig.pongs++;
}

static const struct h2_client_events events = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .pull = on_pull,
    .closed = on_closed,
    .settled = on_settled,
    .leaving = on_leaving,
    .pong = on_pong,
};

/* ---- helpers ---- */

static void set_up(void)
{
    memset(&rig, 0, sizeof(rig));
    blocks_init(&rig.blocks);
    rig.client = h2_client_new(&events, &rig, &rig.blocks, false, 0);
}

static void tear_down(void)
{
    h2_client_free(rig.client);
    ck_assert_uint_eq(rig.blocks.used, 0);
    blocks_release(&rig.blocks);
}

/* What was said goes in; what the client has to say goes to the log. */
static void turn(void)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct str out;

    h2_client_recv(rig.client, (struct str){rig.said.text, rig.said.n}, 0);
    rig.said.n = 0;
    while ((out = h2_client_send(rig.client)).n)
        hear(&rig.log, str_starts(out, str_of(preface)) ? str_skip(out, strlen(preface)) : out);
}

static void settle(void)
{
    say(&rig.said, F_SETTINGS, 0, 0, STR_NONE);
    say(&rig.said, F_SETTINGS, F_ACK, 0, STR_NONE);
    turn();
}

static struct lane *ask(int i, bool has_body)
{
    struct lane *l = &rig.lanes[i];

    l->x.asked = has_body ? METHOD_POST : METHOD_GET;
    ck_assert(h2_client_request(rig.client, &l->x,
                                has_body ? STR("POST / HTTP/1.1\r\nHost: shop\r\n\r\n")
                                         : STR("GET / HTTP/1.1\r\nHost: shop\r\n\r\n"),
                                !has_body));
    return l;
}

/* The rig with N requests sent, on streams 1, 3, ... */
static void begin(int n)
{
    set_up();
    settle();
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(ask(i, false)->x.id, 2 * i + 1);
    turn();
}

static void give(struct lane *l, size_t n, bool finished)
{
    l->left += n;
    l->finished = finished;
    h2_client_more(rig.client, &l->x);
    turn();
}

/* ---- requests, as our own server reads them ---- */

static struct reader {
    char head[256], trailers[64];
    size_t got;
    int ends, violations;
} reader;

static void *read_head(void *self, int32_t id, struct h2_fields *f, bool last)
{
    static struct head h;
    struct h1_parser p;
    struct block *text;

    ck_assert(self == &reader && id == 1);
    head_reset(&h);
    ck_assert(h2_fields_request(f, last, &p, &h, &text));
    ck_assert(h.size < sizeof(reader.head));
    memcpy(reader.head, block_str(text).p, h.size);
    block_put(&rig.blocks, text);
    return &reader;
}

static void read_data(void *self, void *stream, struct str bytes)
{
    ck_assert(self == stream);
    reader.got += bytes.n;
}

static void read_end(void *self, void *stream, struct str trailers)
{
    ck_assert(self == stream);
    reader.ends++;
    memcpy(reader.trailers, trailers.p, trailers.n);
}

static void read_closed(void *self, void *stream)
{
    ck_assert(self == stream);
}

static void read_violation(void *self)
{
    ck_assert(self == &reader);
    reader.violations++;
}

static const struct h2_events reads = {.head = read_head,
                                       .data = read_data,
                                       .end = read_end,
                                       .closed = read_closed,
                                       .violation = read_violation};

START_TEST(test_request)
{
    struct lane *l = rig.lanes;
    struct h2_session *session;
    size_t memory = 0;
    struct str out;

    set_up();
    memset(&reader, 0, sizeof(reader));
    session = h2_session_new(&reads, &reader, &rig.blocks, &memory, 1, 0);
    l->left = 5;
    l->finished = true;
    l->sends = STR("x-sum: 1\r\nconnection: close\r\n");
    ck_assert(h2_client_request(rig.client, &l->x,
                                STR("POST /b?c HTTP/1.1\r\nX-A:  b \r\nConnection: close\r\n"
                                    "Host: shop\r\nTransfer-Encoding: chunked\r\n"
                                    "TE: trailers\r\nEmpty:\r\n\r\n"),
                                false));
    while ((out = h2_client_send(rig.client)).n)
        h2_session_recv(session, out, 0);
    ck_assert_str_eq(reader.head, "POST /b?c HTTP/1.1\r\nhost: shop\r\nx-a: b\r\n"
                                  "te: trailers\r\nempty: \r\n"
                                  "transfer-encoding: chunked\r\n\r\n");
    ck_assert_uint_eq(reader.got, 5);
    ck_assert_int_eq(reader.ends, 1);
    ck_assert_str_eq(reader.trailers, "x-sum: 1\r\n");
    ck_assert_int_eq(reader.violations, 0);
    h2_session_free(session);
    tear_down();
}
END_TEST

/* ---- answers ---- */

START_TEST(test_answer)
{
    struct lane *l = rig.lanes;

    begin(1);
    ck_assert(heard_last(&rig.log, F_HEADERS, 1)->flags & F_END);
    say_fields(&rig.said, 0, 1, ":status: 103\nlink: a\n");
    say_fields(&rig.said, 0, 1, ":status: 103\n");
    say_fields(&rig.said, 0, 1, ":status: 200\ncontent-length: 10\n");
    turn();
    ck_assert_int_eq(l->interim, 2);
    ck_assert_int_eq(l->status, 200);
    ck_assert_uint_eq(l->length, 10);
    say_data(&rig.said, 0, 1, 4);
    say_data(&rig.said, F_END, 1, 6);
    turn();
    ck_assert_uint_eq(l->got, 10);
    ck_assert_int_eq(l->ends, 1);
    ck_assert_int_eq(l->closes, 1);
    ck_assert_int_eq(l->how, H2_CLOSE_DONE);
    ck_assert(!h2_client_over(rig.client));
    tear_down();
}
END_TEST

START_TEST(test_trailers)
{
    begin(2);
    say_fields(&rig.said, 0, 1, ":status: 200\n");
    say_data(&rig.said, 0, 1, 4);
    say_fields(&rig.said, F_END, 1, "grpc-status: 5\ncontent-encoding: a\nhost: a\n");
    say_fields(&rig.said, F_END, 3, ":status: 200\ngrpc-status: 13\n");
    turn();
    ck_assert_str_eq(rig.lanes[0].trailers, "grpc-status: 5\r\n");
    ck_assert_int_eq(rig.lanes[0].how, H2_CLOSE_DONE);
    ck_assert_int_eq(rig.lanes[1].ends, 1);
    ck_assert_int_eq(rig.lanes[1].how, H2_CLOSE_DONE);
    tear_down();
}
END_TEST

/* Second blocks that are no trailers end their stream alone. */
START_TEST(test_bad_trailers)
{
    begin(4);
    for (uint32_t id = 1; id < 8; id += 2)
        say_fields(&rig.said, 0, id, ":status: 200\n");
    say_fields(&rig.said, F_END, 1, "x-a: b\n:status: 200\n");
    say_fields(&rig.said, 0, 3, "x-a: b\n");
    say_fields(&rig.said, F_END, 5, "connection: close\n");
    say_data(&rig.said, F_END, 7, 1);
    turn();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rig.lanes[i].ends, 0);
        ck_assert_int_eq(rig.lanes[i].closes, 1);
        ck_assert_int_eq(rig.lanes[i].how, H2_CLOSE_BAD);
        ck_assert_int_gt(heard_code(&rig.log, (uint32_t)(2 * i + 1)), 0);
    }
    ck_assert_int_eq(rig.lanes[3].how, H2_CLOSE_DONE);
    tear_down();
}
END_TEST

static const char *const bad_heads[] = {
    "x-a: b\n",
    ":status: 20\n",
    ":status: 2000\n",
    ":status: abc\n",
    ":status: 101\n",
    ":status: 200\n:status: 200\n",
    "x-a: b\n:status: 200\n",
    ":status: 200\n:method: GET\n",
    ":status: 200\nX-Upper: b\n",
    ":status: 200\nconnection: close\n",
    ":status: 200\nkeep-alive: a\n",
    ":status: 200\nproxy-connection: a\n",
    ":status: 200\ntransfer-encoding: chunked\n",
    ":status: 200\nupgrade: a\n",
    ":status: 200\ncontent-length: 1\ncontent-length: 2\n",
    ":status: 200\ncontent-length: -1\n",
    ":status: 200\nx a: b\n",
    ":status: 200\nx-a: b\rc\n",
    ":status: 200\n: b\n",
};

/* The other one goes on. */
START_TEST(test_bad_head)
{
    begin(2);
    say_fields(&rig.said, 0, 1, bad_heads[_i]);
    say_data(&rig.said, F_END, 1, 1);
    say_fields(&rig.said, F_END, 3, ":status: 204\n");
    turn();
    ck_assert_int_eq(rig.lanes[0].heads, 0);
    ck_assert_uint_eq(rig.lanes[0].got, 0);
    ck_assert_int_eq(rig.lanes[0].closes, 1);
    ck_assert_int_eq(rig.lanes[0].how, H2_CLOSE_BAD);
    ck_assert_int_gt(heard_code(&rig.log, 1), 0);
    ck_assert_int_eq(rig.lanes[1].status, 204);
    ck_assert_int_eq(rig.lanes[1].how, H2_CLOSE_DONE);
    ck_assert(!h2_client_over(rig.client));
    tear_down();
}
END_TEST

START_TEST(test_wrong_length)
{
    begin(3);
    for (uint32_t id = 1; id < 6; id += 2)
        say_fields(&rig.said, 0, id, ":status: 200\ncontent-length: 5\n");
    say_data(&rig.said, F_END, 1, 4);
    say_data(&rig.said, 0, 3, 6);
    say_data(&rig.said, F_END, 5, 5);
    turn();
    ck_assert_int_eq(rig.lanes[0].how, H2_CLOSE_BAD);
    ck_assert_int_eq(rig.lanes[0].ends, 0);
    ck_assert_int_eq(rig.lanes[1].how, H2_CLOSE_BAD);
    ck_assert_int_eq(rig.lanes[2].how, H2_CLOSE_DONE);
    tear_down();
}
END_TEST

/* ---- limits ---- */

static void say_many(uint32_t id, int n)
{
    static char lines[16384];
    size_t at = (size_t)sprintf(lines, ":status: 200\n");

    for (int i = 0; i < n; i++)
        at += (size_t)sprintf(lines + at, "x-a: %d\n", i);
    say_fields(&rig.said, F_END, id, lines);
    turn();
}

START_TEST(test_many_fields)
{
    begin(3);
    say_many(1, HEAD_MAX_FIELDS - 1);
    ck_assert_int_eq(rig.lanes[0].how, H2_CLOSE_DONE);
    say_many(3, HEAD_MAX_FIELDS);
    ck_assert_int_eq(rig.lanes[1].how, H2_CLOSE_BAD);
    ck_assert(!h2_client_over(rig.client));
    say_many(5, H2_FIELDS_MUCH);
    ck_assert_int_eq(rig.lanes[2].heads, 0);
    ck_assert(h2_client_over(rig.client));
    ck_assert_int_eq(heard_code(&rig.log, 0), CALM);
    tear_down();
}
END_TEST

static void say_promise(uint32_t id)
{
    char promise[64];

    put_u32(promise, id);
    say(&rig.said, F_PUSH, F_BLOCK, 1,
        (struct str){promise, 4 + put_block(promise + 4, ":method: GET\n:path: /\n")});
}

/* The server may not know yet that nothing is to be pushed. */
START_TEST(test_no_push)
{
    set_up();
    say(&rig.said, F_SETTINGS, 0, 0, STR_NONE);
    turn();
    ck_assert_int_eq(rig.log.frames[0].begin[1], SET_PUSH);
    ck_assert_uint_eq(get_u32(rig.log.frames[0].begin + 2), 0);
    ask(0, false);
    turn();
    say_promise(2);
    turn();
    ck_assert_int_gt(heard_code(&rig.log, 2), 0);
    ck_assert(!h2_client_over(rig.client));
    say(&rig.said, F_SETTINGS, F_ACK, 0, STR_NONE);
    say_promise(4);
    turn();
    ck_assert(h2_client_over(rig.client));
    ck_assert_int_gt(heard_code(&rig.log, 0), 0);
    tear_down();
}
END_TEST

/* ---- how many ---- */

START_TEST(test_room)
{
    set_up();
    ck_assert_uint_eq(h2_client_room(rig.client), 0);
    say_setting(&rig.said, SET_STREAMS, 7);
    turn();
    ck_assert_uint_eq(h2_client_room(rig.client), 7);
    say_setting(&rig.said, SET_STREAMS, 0);
    turn();
    ck_assert_uint_eq(h2_client_room(rig.client), 0);
    say_setting(&rig.said, SET_STREAMS, 1000000);
    turn();
    ck_assert_uint_eq(h2_client_room(rig.client), H2_CLIENT_STREAMS);
    ck_assert_int_eq(rig.settled, 3);
    tear_down();
}
END_TEST

/* A request for which there is no room any more waits for it, and is told when there never
 * will be. */
START_TEST(test_no_room)
{
    begin(1);
    say_setting(&rig.said, SET_STREAMS, 1);
    turn();
    ask(1, false);
    turn();
    ck_assert_ptr_null(heard_last(&rig.log, F_HEADERS, 3));
    say_fields(&rig.said, F_END, 1, ":status: 204\n");
    turn();
    ck_assert_ptr_nonnull(heard_last(&rig.log, F_HEADERS, 3));
    ask(2, false);
    say_goaway(&rig.said, 3, 0);
    turn();
    say_fields(&rig.said, F_END, 3, ":status: 204\n");
    turn();
    ck_assert_int_eq(rig.lanes[1].how, H2_CLOSE_DONE);
    ck_assert_int_eq(rig.lanes[2].closes, 1);
    ck_assert_int_eq(rig.lanes[2].how, H2_CLOSE_UNTOUCHED);
    ck_assert_ptr_null(heard_last(&rig.log, F_HEADERS, 5));
    tear_down();
}
END_TEST

/* ---- ends ---- */

START_TEST(test_goaway_double)
{
    begin(3);
    say_fields(&rig.said, 0, 1, ":status: 200\n");
    say_goaway(&rig.said, INT32_MAX, 0);
    turn();
    ck_assert_int_eq(rig.leaving, 1);
    ck_assert_int_eq(rig.lanes[2].closes, 0);
    say_goaway(&rig.said, 3, 0);
    turn();
    ck_assert_int_eq(rig.leaving, 2);
    ck_assert_int_eq(rig.lanes[0].closes + rig.lanes[1].closes, 0);
    ck_assert_int_eq(rig.lanes[2].how, H2_CLOSE_UNTOUCHED);
    ck_assert_int_eq(rig.lanes[2].closes, 1);
    ck_assert(!h2_client_over(rig.client));
    say_data(&rig.said, F_END, 1, 9);
    say_fields(&rig.said, F_END, 3, ":status: 204\n");
    turn();
    ck_assert_int_eq(rig.lanes[0].how, H2_CLOSE_DONE);
    ck_assert_int_eq(rig.lanes[1].how, H2_CLOSE_DONE);
    ck_assert(h2_client_over(rig.client));
    tear_down();
}
END_TEST

START_TEST(test_reset)
{
    begin(4);
    say_u32(&rig.said, F_RST, 1, REFUSED);
    say_u32(&rig.said, F_RST, 3, CANCEL);
    say_fields(&rig.said, 0, 5, ":status: 200\n");
    say_data(&rig.said, 0, 5, 5);
    say_u32(&rig.said, F_RST, 5, REFUSED); /* it lies */
    say_fields(&rig.said, 0, 7, ":status: 103\n");
    say_u32(&rig.said, F_RST, 7, 2);
    turn();
    ck_assert_int_eq(rig.lanes[0].how, H2_CLOSE_UNTOUCHED);
    ck_assert_int_eq(rig.lanes[1].how, H2_CLOSE_RESET);
    ck_assert_int_eq(rig.lanes[2].how, H2_CLOSE_RESET);
    ck_assert_int_eq(rig.lanes[3].how, H2_CLOSE_RESET);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(rig.lanes[i].closes, 1);
    ck_assert(!h2_client_over(rig.client));
    tear_down();
}
END_TEST

/* The answer is complete, the rest of the request is not wanted (RFC 9113 8.1). */
START_TEST(test_early_answer)
{
    struct lane *l = rig.lanes;

    begin(0);
    ask(0, true);
    give(l, 1000, false);
    say_fields(&rig.said, F_END, 1, ":status: 413\n");
    turn();
    ck_assert_int_eq(l->ends, 1);
    ck_assert_int_eq(l->closes, 0);
    say_u32(&rig.said, F_RST, 1, 0);
    turn();
    ck_assert_int_eq(l->how, H2_CLOSE_DONE);
    tear_down();
}
END_TEST

/* Whoever was left hears nothing more, and the server is told. */
START_TEST(test_leave)
{
    begin(2);
    ask(2, false);
    h2_client_leave(rig.client, &rig.lanes[2].x); /* not sent yet */
    say_fields(&rig.said, 0, 3, ":status: 200\n");
    turn();
    ck_assert_ptr_null(heard_last(&rig.log, F_HEADERS, 5));
    h2_client_leave(rig.client, &rig.lanes[0].x);
    h2_client_leave(rig.client, &rig.lanes[0].x);
    h2_client_leave(rig.client, &rig.lanes[1].x);
    say_fields(&rig.said, F_END, 1, ":status: 200\n");
    say_data(&rig.said, F_END, 3, 5);
    turn();
    ck_assert_int_eq(heard_code(&rig.log, 1), CANCEL);
    ck_assert_int_eq(heard_code(&rig.log, 3), CANCEL);
    ck_assert_int_eq(rig.lanes[0].heads + rig.lanes[1].ends, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rig.lanes[i].closes, 0);
    ck_assert(!h2_client_over(rig.client));
    tear_down();
}
END_TEST

START_TEST(test_bye)
{
    begin(1);
    h2_client_leave(rig.client, &rig.lanes[0].x);
    h2_client_goaway(rig.client);
    turn();
    ck_assert_int_eq(heard_code(&rig.log, 0), 0);
    ck_assert(h2_client_over(rig.client));
    ck_assert(
        !h2_client_request(rig.client, &rig.lanes[1].x, STR("GET / HTTP/1.1\r\n\r\n"), true) ||
        rig.lanes[1].x.id > 0);
    tear_down();
}
END_TEST

START_TEST(test_ping)
{
    char text[8] = "12345678";

    begin(0);
    h2_client_ping(rig.client);
    say(&rig.said, F_PING, 0, 0, (struct str){text, 8});
    turn();
    ck_assert_int_eq(heard_count(&rig.log, F_PING, 0), 2);
    say(&rig.said, F_PING, F_ACK, 0, (struct str){"\0\0\0\0\0\0\0", 8});
    turn();
    ck_assert_int_eq(rig.pongs, 1);
    tear_down();
}
END_TEST

/* ---- windows ---- */

START_TEST(test_stream_window)
{
    struct lane *l = rig.lanes;

    begin(1);
    say_fields(&rig.said, 0, 1, ":status: 200\n");
    for (int i = 0; i < H2_CLIENT_WINDOW / 16384; i++) {
        say_data(&rig.said, 0, 1, 16384);
        turn();
    }
    ck_assert_uint_eq(l->got, H2_CLIENT_WINDOW);
    ck_assert_uint_eq(heard_sum(&rig.log, F_WINDOW, 1), 0);
    h2_client_consume(rig.client, &l->x, l->got);
    turn();
    ck_assert_uint_eq(heard_sum(&rig.log, F_WINDOW, 1), H2_CLIENT_WINDOW);
    tear_down();
}
END_TEST

START_TEST(test_window_exceeded)
{
    begin(2);
    say_fields(&rig.said, 0, 1, ":status: 200\n");
    for (int i = 0; i < H2_CLIENT_WINDOW / 16384; i++) {
        say_data(&rig.said, 0, 1, 16384);
        turn();
    }
    say_data(&rig.said, 0, 1, 1);
    turn();
    ck_assert_int_eq(rig.lanes[0].how, H2_CLOSE_BAD);
    ck_assert_int_eq(rig.lanes[1].closes, 0);
    ck_assert(!h2_client_over(rig.client));
    tear_down();
}
END_TEST

/* The connection's window does not shrink by what nobody takes: of streams that are read late,
 * of such that were left, and of padding. */
START_TEST(test_conn_window)
{
    uint64_t sent = 0, given;

    begin(2);
    say_fields(&rig.said, 0, 1, ":status: 200\n");
    say_fields(&rig.said, 0, 3, ":status: 200\n");
    turn();
    given = 65535 + heard_sum(&rig.log, F_WINDOW, 0);
    h2_client_leave(rig.client, &rig.lanes[0].x);
    for (int i = 0; i < 8 * 1024; i++, sent += 1024) {
        ck_assert_uint_ge(given, sent + 1024);
        say_data(&rig.said, i % 2 ? F_PADDED : 0, 1, 1024);
        rig.log.nframes = 0;
        turn();
        given += heard_sum(&rig.log, F_WINDOW, 0);
    }
    say_data(&rig.said, F_PADDED, 3, 1024);
    turn();
    ck_assert_uint_eq(rig.lanes[1].got, 1024 - 'x' - 1);
    tear_down();
}
END_TEST

/* What is sent stays within the server's windows, which may shrink below what is under way. */
START_TEST(test_their_window)
{
    struct lane *l = rig.lanes;

    set_up();
    say_setting(&rig.said, SET_WINDOW, 1000);
    turn();
    ask(0, true);
    give(l, 5000, true);
    ck_assert_uint_eq(l->pulled, 1000);
    say_setting(&rig.said, SET_WINDOW, 100); /* -900 are left */
    say_u32(&rig.said, F_WINDOW, 1, 900);
    turn();
    ck_assert_uint_eq(l->pulled, 1000);
    say_u32(&rig.said, F_WINDOW, 1, 1);
    turn();
    ck_assert_uint_eq(l->pulled, 1001);
    say_setting(&rig.said, SET_WINDOW, 65535);
    turn();
    ck_assert_uint_eq(l->pulled, 5000);
    ck_assert(heard_last(&rig.log, F_DATA, 1)->flags & F_END);
    say_fields(&rig.said, F_END, 1, ":status: 204\n");
    turn();
    ck_assert_int_eq(l->how, H2_CLOSE_DONE);
    tear_down();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("h2_client");
    TCase *t = tcase_create("h2_client");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_request);
    tcase_add_test(t, test_answer);
    tcase_add_test(t, test_trailers);
    tcase_add_test(t, test_bad_trailers);
    tcase_add_loop_test(t, test_bad_head, 0, ARRAY_LEN(bad_heads));
    tcase_add_test(t, test_wrong_length);
    tcase_add_test(t, test_many_fields);
    tcase_add_test(t, test_no_push);
    tcase_add_test(t, test_room);
    tcase_add_test(t, test_no_room);
    tcase_add_test(t, test_goaway_double);
    tcase_add_test(t, test_reset);
    tcase_add_test(t, test_early_answer);
    tcase_add_test(t, test_leave);
    tcase_add_test(t, test_bye);
    tcase_add_test(t, test_ping);
    tcase_add_test(t, test_stream_window);
    tcase_add_test(t, test_window_exceeded);
    tcase_add_test(t, test_conn_window);
    tcase_add_test(t, test_their_window);
    return unit_run(s);
}
