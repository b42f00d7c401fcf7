/*
 * fuzz_h2_client.c - the client's side of HTTP/2 before a server that sends frames, well-formed
 * and not, in pieces of any size and any order, while exchanges are begun, fed, consumed and
 * left, from events as well. Each exchange hears of itself in order and of its end once, never
 * after it was left, and what comes of a body stays within its window.
 *
 * Input: a byte of ways to behave in events, one for the size of pieces, then items of a byte
 * that says what follows. Frames have a type, flags, a small stream number and a payload;
 * header blocks are made of a list, DATA of one letter, so that answers come about.
 */
#include "proxy/base/mem.h"
#include "proxy/http/h2_client.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define LANES     32
#define FRAME_MAX 16384

enum {
    DATA,
    HEADERS,
    PUSH_PROMISE = 5,
    CONTINUATION = 9
}; /* those that are made of something */

enum { /* the first byte */
       LEAVES_AT_HEAD = 1,
       LEAVES_AT_DATA = 2,
       LEAVES_AT_END = 4,
       LEAVES_OTHERS = 8, /* at a head */
       ASKS_AT_HEAD = 16,
       ASKS_AT_CLOSE = 32,
       REFUSES_DATA = 64,
       HAS_TRAILERS = 128
};

struct lane {
    struct h2_exchange x;
    uint32_t owed; /* bytes that came and were not consumed */
    uint32_t left; /* of the request's body, to be sent */
    bool begun, complete, finished /* it has no more body */, told_last;
};

static struct owner {
    struct h2_client *session;
    struct blocks blocks;
    struct lane lanes[LANES];
    size_t nlanes;
    uint8_t how;
} owner;

static struct lane *lane_of(struct h2_exchange *x)
{
    struct lane *l = CONTAINER_OF(x, struct lane, x);

    ASSERT(l >= owner.lanes && l < owner.lanes + LANES && l->begun);
    return l;
}

/* ---- the owner's part ---- */

static const struct str requests[] = {
    STR_INIT("GET /a HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\n\r\n"),
    STR_INIT("POST /b?c HTTP/1.1\r\nX-A: b\r\nConnection: close\r\nHost: shop\r\n\r\n"),
    STR_INIT("HEAD * HTTP/1.1\r\n\r\n"),
};
static const enum method asked[] = {METHOD_GET, METHOD_POST, METHOD_HEAD};

static void ask(uint8_t which, bool has_body)
{
    struct lane *l = &owner.lanes[owner.nlanes];

    if (owner.nlanes == LANES)
        return;
    owner.nlanes++;
    *l = (struct lane){.begun = true, .x.asked = asked[which % ARRAY_LEN(asked)]};
    l->begun = h2_client_request(owner.session, &l->x, requests[which % ARRAY_LEN(requests)],
                                 !has_body);
    ASSERT(l->begun == (l->x.id > 0));
}

static void leave(struct lane *l)
{
    h2_client_leave(owner.session, &l->x);
    ASSERT(l->x.id == 0);
    l->begun = false;
}

static void consume(struct lane *l)
{
    h2_client_consume(owner.session, &l->x, l->owed);
    l->owed = 0;
}

static bool on_head(void *self, struct h2_exchange *x, struct h2_fields *f, bool last)
{
    static struct head h;
    struct lane *l = lane_of(x);
    struct block *text;

    ASSERT(self == &owner && x->id > 0 && !x->answered && !x->bad && !l->complete);
    head_reset(&h);
    if (!h2_fields_response(f, last, x->asked, &h, &text))
        return false;
    ASSERT(h.status >= 100 && h.status <= 999 && h.framing != FRAMING_CLOSE);
    block_put(&owner.blocks, text);
    x->answered = h.status >= 200;
    l->complete = last;
    for (struct lane *other = owner.lanes; other < owner.lanes + owner.nlanes; other++)
        if (other != l && (owner.how & LEAVES_OTHERS))
            leave(other);
    if (owner.how & ASKS_AT_HEAD)
        ask(0, false);
    if (owner.how & LEAVES_AT_HEAD)
        leave(l);
    return true;
}

static bool on_data(void *self, struct h2_exchange *x, struct str bytes)
{
    struct lane *l = lane_of(x);

    ASSERT(self == &owner && x->answered && !x->bad && !l->complete);
    l->owed += (uint32_t)bytes.n;
    ASSERT(l->owed < H2_CLIENT_WINDOW + FRAME_MAX); /* of one frame too much may come */
    if (owner.how & LEAVES_AT_DATA)
        leave(l);
    return !(owner.how & REFUSES_DATA);
}

static void on_end(void *self, struct h2_exchange *x, struct str trailers)
{
    struct lane *l = lane_of(x);

    ASSERT(self == &owner && x->answered && !x->bad && !l->complete);
    ASSERT(trailers.n == 0 || trailers.p[trailers.n - 1] == '\n');
    l->complete = true;
    if (owner.how & LEAVES_AT_END)
        leave(l);
}

static struct h2_piece on_pull(void *self, struct h2_exchange *x, char *to, size_t cap)
{
    struct lane *l = lane_of(x);
    struct h2_piece piece = {.n = l->left < cap ? l->left : cap};

    ASSERT(self == &owner && !l->told_last);
    memset(to, 'y', piece.n);
    l->left -= (uint32_t)piece.n;
    piece.last = l->told_last = l->finished && l->left == 0;
    if (piece.last && (owner.how & HAS_TRAILERS))
        piece.trailers = STR("x-sum: 1\r\nconnection: close\r\n");
    return piece;
}

static void on_closed(void *self, struct h2_exchange *x, enum h2_close how)
{
    struct lane *l = lane_of(x);

    ASSERT(self == &owner && x->id == 0);
    ASSERT(how != H2_CLOSE_UNTOUCHED || !x->answered);
    ASSERT(how != H2_CLOSE_BAD || x->bad);
    l->begun = false;
    if (owner.how & ASKS_AT_CLOSE)
        ask(1, false);
}

static void on_word(void *self)
{
    ASSERT(self == &owner && h2_client_room(owner.session) <= H2_CLIENT_STREAMS);
}

static const struct h2_client_events events = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .pull = on_pull,
    .closed = on_closed,
    .settled = on_word,
    .leaving = on_word,
    .pong = on_word,
};

static void send_all(void)
{
    for (int i = 0; i < 1000 && h2_client_send(owner.session).n; i++)
        ;
}

/* Each of the requests under way has N more bytes of body, or no more. */
static void feed_bodies(uint32_t n, bool finished)
{
    for (struct lane *l = owner.lanes; l < owner.lanes + owner.nlanes; l++) {
        l->left += l->told_last ? 0 : n;
        l->finished |= finished;
        h2_client_more(owner.session, &l->x);
    }
}

static void act(uint8_t what)
{
    switch (what & 15) {
    case 0:
    case 1:
    case 2:
        ask(what, what & 16);
        break;
    case 3:
        feed_bodies(20000, what & 16);
        break;
    case 4:
        for (size_t i = 0; i < owner.nlanes; i++)
            consume(&owner.lanes[i]);
        break;
    case 5:
        h2_client_ping(owner.session);
        break;
    case 6:
        h2_client_goaway(owner.session);
        break;
    default:
        if (owner.nlanes)
            leave(&owner.lanes[(what & 15) % owner.nlanes]);
    }
}

/* ---- the server's part ---- */

/* Fields out of a list by the bits of WHICH: enough for answers, trailers and their faults. */
static size_t put_fields(char *to, unsigned which)
{
    static const struct str list[] = {
        STR_INIT("\x48\x03"
                 "103"),
        STR_INIT("\x88"), /* 200 */
        STR_INIT("\x89"), /* 204 */
        STR_INIT("\x0f\x0d\x02"
                 "64"), /* content-length: of one letter of DATA */
        STR_INIT("\x40\x03x-a\x01"
                 "b"),
        STR_INIT("\xbe"), /* out of the table */
        STR_INIT("\x00\x0a"
                 "connection\x01x"),
        STR_INIT("\x00\x0bgrpc-status\x01"
                 "0"),
    };
    size_t n = 0;

    for (unsigned i = 0; i < ARRAY_LEN(list); i++)
        if (which >> i & 1) {
            memcpy(to + n, list[i].p, list[i].n);
            n += list[i].n;
        }
    return n;
}

/* What is behind the header of a frame of TYPE. */
static size_t put_payload(char *to, uint8_t type, struct str *in)
{
    uint8_t length = take(in);
    size_t n = 0;

    switch (type) {
    case DATA:
        n = (size_t)length * 64;
        memset(to, 'x', n);
        return n;
    case HEADERS:
    case CONTINUATION:
        return put_fields(to, length);
    case PUSH_PROMISE:
        memset(to, 0, 4);
        to[3] = (char)take(in);
        return 4 + put_fields(to + 4, length);
    default:
        while (n < length && in->n)
            to[n++] = (char)take(in);
        return n;
    }
}

static size_t put_frame(char *to, struct str *in)
{
    uint8_t type = take(in), flags = take(in), id = take(in);
    size_t n = put_payload(to + FRAME_HEAD, type, in);

    if (type == HEADERS || type == CONTINUATION || type == PUSH_PROMISE)
        flags &= 5; /* no padding, no priority */
    return put_frame_head(to, n, type, flags, id) + n;
}

/* In pieces of STEP bytes, but not in more than 64, each in memory of its own size, so that
 * ASan sees. */
static void feed(const char *from, size_t n, size_t step, uint64_t now_us)
{
    step = step < n / 64 ? n / 64 : step;
    while (n) {
        size_t m = n < step ? n : step;
        char *piece = xmalloc(m);

        memcpy(piece, from, m);
        h2_client_recv(owner.session, (struct str){piece, m}, now_us);
        xfree(piece);
        from += m;
        n -= m;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static char frame[FRAME_HEAD + FRAME_MAX];
    struct str in = {(const char *)data, n};
    size_t step;

    memset(&owner, 0, sizeof(owner));
    blocks_init(&owner.blocks);
    owner.how = take(&in);
    step = 1 + take(&in);
    owner.session = h2_client_new(&events, &owner, &owner.blocks, false, 0);
    for (uint64_t now = 0; in.n; now += 10000) {
        uint8_t what = take(&in);

        if (what & 128)
            act(what & 31);
        else
            feed(frame, put_frame(frame, &in), step, now);
        if (what & 64)
            send_all();
    }
    send_all();
    (void)h2_client_over(owner.session);
    h2_client_free(owner.session);
    ASSERT(owner.blocks.used == 0);
    blocks_release(&owner.blocks);
    return 0;
}
