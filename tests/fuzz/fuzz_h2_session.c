/*
 * fuzz_h2_session.c - a session that is fed frames, well-formed and not, in pieces of any size,
 * while its owner answers, consumes, resets, warns and leaves. Streams end exactly once, nobody
 * is called for one that ended, and nothing is left behind.
 *
 * Input: items of a byte that says what follows. Frames have a type, flags, a small stream
 * number and a payload; those with fields are made of a list so that requests come about.
 */
#include "proxy/base/mem.h"
#include "proxy/http/h2_session.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define STREAMS 64
#define HEADERS 1

struct lane {
    int32_t id;
    uint32_t got, owed, left; /* bytes: that came, not yet consumed, of the answer */
    bool open, ended, answered;
};

static struct owner {
    struct h2_session *session;
    struct blocks blocks;
    size_t memory; /* of the session */
    struct lane lanes[STREAMS];
    size_t nlanes;
    uint8_t how; /* requests are answered */
} owner;

static struct lane *lane_of(void *stream)
{
    struct lane *l = stream;

    ASSERT(l >= owner.lanes && l < owner.lanes + STREAMS && l->open);
    return l;
}

static void answer(struct lane *l)
{
    struct message m = {.status = owner.how & 8 ? 204 : 200, .extra = STR("x-a: b\r\n")};

    if (l->answered)
        return;
    l->answered = true;
    m.bodyless = m.status == 204;
    m.framing = owner.how & 16 ? FRAMING_CHUNKED : FRAMING_LENGTH;
    m.length = l->left;
    if (owner.how & 32)
        h2_session_head(owner.session, l->id, &(struct message){.status = 103});
    h2_session_head(owner.session, l->id, &m);
}

static void *on_head(void *self, int32_t id, struct h2_fields *f, bool last)
{
    static struct head h;
    struct lane *l = &owner.lanes[owner.nlanes];
    struct h1_parser p;
    struct block *text;
    bool ok;

    ASSERT(self == &owner && id > 0);
    head_reset(&h);
    ok = h2_fields_request(f, last, &p, &h, &text);
    block_put(&owner.blocks, text);
    if (owner.nlanes == STREAMS)
        return NULL;
    owner.nlanes++;
    *l = (struct lane){.id = id, .open = true, .ended = last, .left = owner.how * 300u};
    if (!ok || (owner.how & 1))
        answer(l);
    else if (owner.how & 2)
        h2_session_reset(owner.session, id, H2_REFUSED);
    return l;
}

static void on_data(void *self, void *stream, struct str bytes)
{
    struct lane *l = lane_of(stream);

    ASSERT(self == &owner && !l->ended);
    l->got += (uint32_t)bytes.n;
    l->owed += (uint32_t)bytes.n;
}

static void on_end(void *self, void *stream, struct str trailers)
{
    struct lane *l = lane_of(stream);

    ASSERT(self == &owner && (trailers.n == 0 || trailers.p[trailers.n - 1] == '\n'));
    l->ended = true;
    if (owner.how & 4)
        answer(l);
}

static struct h2_piece on_pull(void *self, void *stream, char *to, size_t cap)
{
    struct lane *l = lane_of(stream);
    struct h2_piece piece = {.n = l->left < cap ? l->left : cap};

    ASSERT(self == &owner);
    memset(to, 'x', piece.n);
    l->left -= (uint32_t)piece.n;
    piece.last = l->left == 0;
    if (piece.last && (owner.how & 64))
        piece.trailers = STR("x-sum: 1\r\n");
    return piece;
}

static bool on_wants(void *self, void *stream)
{
    ASSERT(self == &owner && lane_of(stream));
    return owner.how & 128;
}

static void on_closed(void *self, void *stream)
{
    ASSERT(self == &owner);
    lane_of(stream)->open = false;
}

static void on_word(void *self)
{
    ASSERT(self == &owner);
}

static const struct h2_events events = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .pull = on_pull,
    .wants = on_wants,
    .closed = on_closed,
    .violation = on_word,
    .pong = on_word,
};

/* ---- frames ---- */

/* Fields out of a list by the bits of WHICH: enough for requests, trailers and their faults. */
static size_t put_fields(char *to, unsigned which)
{
    static const char *const list[] = {
        "\x83",
        "\x87",
        "\x84",
        "\x41\x04shop", /* POST, https, /, the authority */
        "\x40\x03x-a\x01"
        "b",
        "\xbe", /* out of the table */
        "\x0f\x0d\x01"
        "5", /* content-length */
        "\x0f\x11\x03"
        "a=b", /* cookie */
    };
    size_t n = 0;

    for (unsigned i = 0; i < ARRAY_LEN(list); i++) {
        size_t m = strlen(list[i]);

        if (which >> i & 1) {
            memcpy(to + n, list[i], m);
            n += m;
        }
    }
    return n;
}

static size_t put_frame(char *to, struct str *in)
{
    uint8_t type = take(in), flags = take(in), id = take(in);
    size_t n = 0, length = take(in);

    if (type == HEADERS) {
        flags &= 5; /* no padding, no priority */
        n = put_fields(to + FRAME_HEAD, (unsigned)length);
    } else {
        while (n < length && in->n)
            to[FRAME_HEAD + n++] = (char)take(in);
    }
    return put_frame_head(to, n, type, flags, id) + n;
}

/* ---- the owner's part ---- */

static void consume_all(void)
{
    for (size_t i = 0; i < owner.nlanes; i++)
        if (owner.lanes[i].open) {
            h2_session_consume(owner.session, owner.lanes[i].id, owner.lanes[i].owed);
            owner.lanes[i].owed = 0;
        }
}

static void answer_all(void)
{
    for (size_t i = 0; i < owner.nlanes; i++)
        if (owner.lanes[i].open)
            answer(&owner.lanes[i]);
}

static void send_all(void)
{
    for (int i = 0; i < 1000 && h2_session_send(owner.session).n; i++)
        ;
}

static void act(uint8_t what)
{
    switch (what) {
    case 0:
        answer_all();
        break;
    case 1:
        consume_all();
        break;
    case 2:
        h2_session_warn(owner.session);
        break;
    case 3:
        h2_session_goaway(owner.session, H2_NO_ERROR);
        break;
    case 4:
        h2_session_ping(owner.session);
        break;
    default:
        if (owner.nlanes && owner.lanes[what % owner.nlanes].open)
            h2_session_reset(owner.session, owner.lanes[what % owner.nlanes].id, H2_CANCEL);
    }
}

/* In pieces of STEP bytes, each in memory of its own size, so that ASan sees. */
static void feed(const char *from, size_t n, size_t step, uint64_t now_us)
{
    while (n) {
        size_t m = n < step ? n : step;
        char *piece = xmalloc(m);

        memcpy(piece, from, m);
        h2_session_recv(owner.session, (struct str){piece, m}, now_us);
        xfree(piece);
        from += m;
        n -= m;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = {(const char *)data, n}, preface = H2_PREFACE;
    char frame[FRAME_HEAD + 512];
    size_t step;

    memset(&owner, 0, sizeof(owner));
    blocks_init(&owner.blocks);
    owner.how = take(&in);
    step = 1 + take(&in);
    owner.session = h2_session_new(&events, &owner, &owner.blocks, &owner.memory, 16, 0);
    feed(preface.p, preface.n, step, 0);
    feed("\0\0\0\4\0\0\0\0\0", 9, step, 0);
    for (uint64_t now = 0; in.n; now += 10000) {
        uint8_t what = take(&in);

        if (what & 128)
            act(what & 15);
        else
            feed(frame, put_frame(frame, &in), step, now);
        if (what & 64)
            send_all();
    }
    send_all();
    (void)h2_session_over(owner.session);
    h2_session_free(owner.session);
    ASSERT(owner.blocks.used == 0 && owner.memory == 0);
    blocks_release(&owner.blocks);
    return 0;
}
