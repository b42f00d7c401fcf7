/*
 * conn2.c - HTTP/2 on a client's connection.
 *
 * Invariant: a session is fed in conn2_read and emptied in on_turn, which runs once a turn
 * after all events; everything else only notes what there is to do. A struct lane lives as long
 * as the session knows the stream; its exchange may be over long before, while the answer goes
 * out.
 */
#include "proxy/stream/conn2.h"

#include "proxy/http/h2_session.h"
#include "proxy/stream/metrics.h"

#define CONN2_MAGIC  0x636f6e32u
#define LANE_MAGIC   0x6c616e65u
#define OUT_HIGH     131072 /* queued bytes on the socket above which no frames are made */
#define KEEP_CONNS   256
#define KEEP_LANES   1024
#define STREAMS_MOST 100
#define LANE_HIGH    65536 /* queued bytes of one answer above which data() says enough */

enum await { AWAIT_NOTHING, AWAIT_STREAM, AWAIT_HEAD, AWAIT_ROOM };

struct conn2 { /* owned by its conn */
    uint32_t magic;
    struct conn *conn; /* NULL: closed */
    struct plane *plane;
    struct h2_session *session;
    LIST_HEAD(, lane) lanes;
    struct post turn;
    struct deadline grace; /* of a drain */
    struct deadline ping;  /* the client is silent */
    struct grave grave;
    enum await awaiting; /* what the conn's deadline is for */
    uint32_t block;      /* AWAIT_HEAD: of which header block */
    bool heard;          /* something came since `ping` was started */
    bool asked;          /* and since then nothing, though it was asked for */
    bool ready;          /* lanes have input to pass on, or answers to ask for */
    bool leaving;        /* the client was told */
};

struct lane { /* one stream of the session */
    uint32_t magic;
    LIST_ENTRY(lane) link;
    struct conn2 *conn2;
    struct stream *stream; /* owned; NULL: the exchange is over */
    int32_t id;
    struct deadline deadline;  /* the client sends, or takes, nothing */
    struct block *head;        /* the request's head and the kept beginning of its body */
    struct block *trailers;    /* of the answer, when all before them is sent */
    struct block_list in, out; /* bodies on their way */
    uint32_t in_bytes, out_bytes;
    uint32_t owed;     /* bytes of the window to be given back when upstream goes on */
    bool kept;         /* the body is still kept behind the head */
    bool ended;        /* the request is complete */
    bool told;         /* and the stream knows it */
    bool full;         /* upstream said enough */
    bool answered;     /* the answer is complete */
    bool asking;       /* the stream said that it has more */
    bool gone;         /* the session forgot it, or is about to */
    bool left;         /* it did, but what came through the tunnel still goes up */
    struct str fields; /* trailers of the request, in `held` */
    struct block *held;
    struct grave grave;
};

static const struct codec_ops lane_ops;

static void on_turn(void *arg);

/* Something changed: look after it when the turn is over. */
static void stir(struct conn2 *h)
{
    if (h->conn)
        loop_post(h->plane->loop, &h->turn, on_turn, h);
}

static struct h2_session *session_of(const struct lane *l)
{
    return l->conn2->session;
}

/* ---- lanes ---- */

static void on_lane_grave(void *arg)
{
    struct lane *l = CAST(lane, LANE_MAGIC, arg);
    struct plane *p = l->conn2->plane;

    l->magic = 0;
    slab_put(&p->lanes, l);
}

static void drop(struct blocks *bs, struct block_list *list)
{
    struct block *b;

    while ((b = STAILQ_FIRST(list))) {
        STAILQ_REMOVE_HEAD(list, link);
        block_put(bs, b);
    }
}

static struct block *last_of(struct block_list *list)
{
    if (STAILQ_EMPTY(list))
        return NULL;
    return CONTAINER_OF(list->stqh_last, struct block, link.stqe_next);
}

static void drop_input(struct lane *l)
{
    struct blocks *bs = &l->conn2->plane->ios.blocks;

    drop(bs, &l->in);
    block_put(bs, l->head);
    block_put(bs, l->held);
    l->head = l->held = NULL;
    l->in_bytes = 0;
}

static void lane_close(struct lane *l, enum ending why)
{
    struct plane *p = l->conn2->plane;

    l->gone = true;
    l->left = false;
    if (l->stream && l->stream->tunnel && why == END_CLIENT_ABORT)
        stream_finish(l->stream, END_TUNNEL);
    else if (l->stream && why == END_CLIENT_ABORT)
        stream_fail(l->stream, why, 0, STR_NONE);
    else if (l->stream)
        stream_finish(l->stream, why);
    deadline_stop(&l->deadline);
    drop_input(l);
    drop(&p->ios.blocks, &l->out);
    block_put(&p->ios.blocks, l->trailers);
    LIST_REMOVE(l, link);
    loop_bury(p->loop, &l->grave, on_lane_grave, l);
}

static void reset(struct lane *l, enum h2_code code)
{
    if (!l->gone)
        h2_session_reset(session_of(l), l->id, code);
    l->gone = true;
    drop(&l->conn2->plane->ios.blocks, &l->out);
    l->out_bytes = 0;
    stir(l->conn2);
}

static void on_lane_deadline(void *arg)
{
    struct lane *l = CAST(lane, LANE_MAGIC, arg);
    struct stream *s = l->stream;

    if (!l->out_bytes && s) {
        stream_fail(s, END_BODY_TIMEOUT, 0, STR_NONE);
        return;
    }
    reset(l, H2_CANCEL);
    if (s)
        stream_fail(s, END_SEND_TIMEOUT, 0, STR_NONE);
}

/* What the client sends may go up: of a tunnel, nothing before it stands. */
static bool wanted(const struct lane *l)
{
    const struct stream *s = l->stream;

    return !s->hold && !s->paused && (s->tunnel || !s->req.upgrade);
}

/* The client owes us something: body, or room for the answer. */
static void watch_lane(struct lane *l)
{
    bool sending = l->stream && !l->ended && !l->full && wanted(l) && !l->stream->req.upgrade;

    deadline_start(&l->deadline,
                   l->out_bytes || sending ? l->conn2->conn->listener->stall : NULL);
}

/* The exchange is over. What is queued of the answer still goes out. */
static void on_over(void *self, struct stream *s)
{
    struct lane *l = CAST(lane, LANE_MAGIC, self);

    ASSERT(l->stream == s);
    l->stream = NULL;
    drop_input(l);
    if (l->left)
        lane_close(l, END_TUNNEL);
    if (l->gone)
        return;
    if (!l->answered)
        reset(l, s->why == END_DRAINED ? H2_REFUSED
                 : s->tunnel           ? H2_CANCEL
                                       : H2_INTERNAL_ERROR);
    else
        watch_lane(l);
}

/* ---- the request ---- */

static struct lane *lane_new(struct conn2 *h, int32_t id)
{
    struct lane *l = slab_get(&h->plane->lanes);
    struct conn *c = h->conn;
    struct downstream to = {
        .ops = &lane_ops,
        .over = on_over,
        .self = l,
        .listener = c->listener,
        .fd = c->io.fd,
        .tls = c->tls,
        .http2 = true,
    };

    *l = (struct lane){.magic = LANE_MAGIC, .conn2 = h, .id = id, .kept = true};
    STAILQ_INIT(&l->in);
    STAILQ_INIT(&l->out);
    deadline_init(&l->deadline, on_lane_deadline, l);
    LIST_INSERT_HEAD(&h->lanes, l, link);
    l->stream = stream_new(h->plane, to, str_of(c->ip));
    return l;
}

static void *on_head(void *self, int32_t id, struct h2_fields *f, bool last)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, self);
    struct lane *l = lane_new(h, id);
    struct stream *s = l->stream;

    l->ended = last;
    stir(h);
    if (!h2_fields_request(f, last, &s->parser, &s->req, &l->head)) {
        metrics_violation(h->plane, s->parser.kind);
        stream_fail(s, END_BAD_REQUEST, s->parser.status, str_of(s->parser.why));
        return l;
    }
    h->ready = true;
    l->told = s->req.framing == FRAMING_NONE && !s->req.upgrade;
    stream_start(s);
    if (l->stream && !l->ended)
        watch_lane(l);
    return l;
}

static void on_data(void *self, void *stream, struct str bytes)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, self);
    struct lane *l = CAST(lane, LANE_MAGIC, stream);

    if (!l->stream)
        return;
    l->in_bytes += (uint32_t)bytes.n;
    while (bytes.n) {
        struct block *b = last_of(&l->in);
        size_t n = b ? block_room(b) : 0;

        if (n == 0) {
            b = block_get(&h->plane->ios.blocks, bytes.n > BLOCK_SMALL);
            STAILQ_INSERT_TAIL(&l->in, b, link);
            n = block_room(b);
        }
        n = n < bytes.n ? n : bytes.n;
        block_append(b, (struct str){bytes.p, n});
        bytes = str_skip(bytes, n);
    }
    stream_release_body(l->stream); /* it did not wait for 100 */
    h->ready = true;
    stir(h);
}

static void on_end(void *self, void *stream, struct str trailers)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, self);
    struct lane *l = CAST(lane, LANE_MAGIC, stream);

    if (!l->stream)
        return;
    l->ended = true;
    if (trailers.n) {
        l->held = block_get(&h->plane->ios.blocks, false);
        block_append(l->held, trailers);
        l->fields = block_str(l->held);
    }
    h->ready = true;
    stir(h);
}

/* Pass the first block of what came on. False: not now, or there is no exchange any more. */
static bool pass_on(struct lane *l)
{
    struct stream *s = l->stream;
    struct block *b = STAILQ_FIRST(&l->in);
    uint32_t n = b->end - b->start;
    bool more;

    STAILQ_REMOVE_HEAD(&l->in, link);
    l->in_bytes -= n;
    l->owed += n;
    if (l->kept && block_room(l->head) >= n) {
        struct str at = {l->head->data + l->head->end, n};

        block_append(l->head, block_str(b));
        block_put(&l->conn2->plane->ios.blocks, b);
        more = stream_body_kept(s, at);
    } else {
        if (l->kept)
            stream_forget_body(s);
        l->kept = false;
        more = stream_body(s, b);
    }
    if (!l->stream)
        return false;
    l->full = !more;
    return more;
}

/* What the client sent goes up as far as upstream takes it, and so much may come anew. */
static void feed(struct lane *l)
{
    struct stream *s = l->stream;

    while (l->stream && wanted(l) && !l->full && STAILQ_FIRST(&l->in))
        if (!pass_on(l))
            break;
    if (!l->stream)
        return;
    if (l->owed && !l->full) {
        if (!l->gone)
            h2_session_consume(session_of(l), l->id, l->owed);
        l->owed = 0;
        watch_lane(l);
    }
    if (l->ended && !l->told && !l->full && wanted(l) && !STAILQ_FIRST(&l->in)) {
        l->told = true;
        watch_lane(l);
        stream_body_end(s, l->fields);
    }
}

/* ---- the answer ---- */

static void answer_head(void *self, const struct message *m)
{
    struct lane *l = CAST(lane, LANE_MAGIC, self);

    if (l->gone)
        return;
    h2_session_head(session_of(l), l->id, m);
    if (l->stream->tunnel) { /* what the client sent ahead goes up now */
        l->kept = false;
        l->conn2->ready = true;
        watch_lane(l);
    }
    stir(l->conn2);
}

static bool answer_data(void *self, struct block *b)
{
    struct lane *l = CAST(lane, LANE_MAGIC, self);
    struct block *last = last_of(&l->out);

    if (l->gone) {
        block_put(&l->conn2->plane->ios.blocks, b);
        return true;
    }
    l->out_bytes += b->end - b->start;
    if (last && block_room(last) >= b->end - b->start) {
        block_append(last, block_str(b));
        block_put(&l->conn2->plane->ios.blocks, b);
    } else {
        STAILQ_INSERT_TAIL(&l->out, b, link);
    }
    h2_session_more(session_of(l), l->id);
    stir(l->conn2);
    if (!l->deadline.queue)
        watch_lane(l);
    l->asking = l->out_bytes > LANE_HIGH;
    return !l->asking;
}

static void answer_end(void *self, struct str trailers)
{
    struct lane *l = CAST(lane, LANE_MAGIC, self);

    l->answered = true;
    if (l->gone)
        return;
    if (trailers.n) {
        l->trailers = block_get(&l->conn2->plane->ios.blocks, false);
        block_append(l->trailers, trailers);
    }
    h2_session_more(session_of(l), l->id);
    stir(l->conn2);
}

static void answer_abort(void *self, enum codec_abort why)
{
    (void)why;
    (void)self; /* on_over resets what has no end */
}

/* More of the request's body, please. */
static void answer_resume(void *self)
{
    struct lane *l = CAST(lane, LANE_MAGIC, self);

    l->full = false;
    l->conn2->ready = true;
    stir(l->conn2);
}

static const struct codec_ops lane_ops = {
    .head = answer_head,
    .data = answer_data,
    .end = answer_end,
    .abort = answer_abort,
    .resume = answer_resume,
};

static struct h2_piece on_pull(void *self, void *stream, char *to, size_t cap)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, self);
    struct lane *l = CAST(lane, LANE_MAGIC, stream);
    struct h2_piece piece = {0};
    struct block *b;

    while (piece.n < cap && (b = STAILQ_FIRST(&l->out))) {
        size_t n = b->end - b->start < cap - piece.n ? b->end - b->start : cap - piece.n;

        memcpy(to + piece.n, b->data + b->start, n);
        piece.n += n;
        b->start += (uint32_t)n;
        if (b->start == b->end) {
            STAILQ_REMOVE_HEAD(&l->out, link);
            block_put(&h->plane->ios.blocks, b);
        }
    }
    l->out_bytes -= (uint32_t)piece.n;
    if (piece.n)
        watch_lane(l);
    if (l->asking && l->out_bytes <= LANE_HIGH / 2)
        h->ready = true;
    piece.last = l->answered && l->out_bytes == 0;
    if (piece.last && l->trailers)
        piece.trailers = block_str(l->trailers);
    return piece;
}

/* The client has heard the end of the answer; it may go on to send into a tunnel. */
static bool on_answered(void *self, void *stream)
{
    struct lane *l = CAST(lane, LANE_MAGIC, stream);

    (void)self;
    return l->stream && l->stream->tunnel;
}

static void on_closed(void *self, void *stream)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, self);
    struct lane *l = CAST(lane, LANE_MAGIC, stream);

    if (l->stream && l->stream->tunnel && l->ended && !l->told)
        l->gone = l->left = h->ready = true;
    else
        lane_close(l, END_CLIENT_ABORT);
    stir(h);
}

static void on_violation(void *self)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, self);

    metrics_violation(h->plane, STATS_BAD_HTTP2);
}

/* What we said before has arrived, so has every request that was sent before that. */
static void on_pong(void *self)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, self);

    if (!h->leaving)
        return;
    h->leaving = false;
    deadline_stop(&h->grace);
    h2_session_goaway(h->session, H2_NO_ERROR);
    stir(h);
}

static const struct h2_events events = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .pull = on_pull,
    .wants = on_answered,
    .closed = on_closed,
    .violation = on_violation,
    .pong = on_pong,
};

/* ---- turns ---- */

/* What the connection as a whole waits for. */
static void watch_conn(struct conn2 *h)
{
    struct conn *c = h->conn;
    struct listener *l = c->listener;
    uint32_t block = h2_session_in_head(h->session);
    enum await now = c->io.out_bytes > OUT_HIGH ? AWAIT_ROOM
                     : block                    ? AWAIT_HEAD
                     : LIST_EMPTY(&h->lanes)    ? AWAIT_STREAM
                                                : AWAIT_NOTHING;

    if (now == h->awaiting && (now != AWAIT_HEAD || block == h->block))
        return;
    h->awaiting = now;
    h->block = block;
    if (now == AWAIT_ROOM)
        conn_await_taking(c);
    else
        deadline_start(&c->deadline, now == AWAIT_HEAD     ? l->head
                                     : now == AWAIT_STREAM ? l->idle
                                                           : NULL);
}

/* Answers that were held back may go on, requests too. */
static void look_after(struct conn2 *h)
{
    struct lane *l, *next;

    h->ready = false;
    for (l = LIST_FIRST(&h->lanes); l; l = next) {
        next = LIST_NEXT(l, link);
        if (l->stream && (STAILQ_FIRST(&l->in) || l->owed || (l->ended && !l->told)))
            feed(l);
        if (l->stream && l->asking && l->out_bytes <= LANE_HIGH / 2) {
            l->asking = false;
            stream_resume(l->stream);
        }
    }
}

static void send_frames(struct conn2 *h)
{
    struct conn *c = h->conn;

    while (c->io.out_bytes <= OUT_HIGH) {
        struct str bytes = h2_session_send(h->session);

        if (bytes.n == 0)
            return;
        io_write(&c->io, bytes);
    }
    io_want_drained(&c->io);
}

static void on_turn(void *arg)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, arg);

    if (h->ready)
        look_after(h);
    send_frames(h);
    if (h->ready) /* room was made */
        stir(h);
    if (h2_session_over(h->session) && h->conn->io.out_bytes <= OUT_HIGH)
        conn_finish(h->conn);
    else
        watch_conn(h);
}

void conn2_read(struct conn2 *h)
{
    struct io *io = &h->conn->io;
    struct str in = block_str(io->in);

    h->heard = true;
    h->asked = false;
    h2_session_recv(h->session, in, loop_now_us(h->plane->loop));
    io->in->start = io->in->end;
    stir(h);
}

void conn2_drained(struct conn2 *h)
{
    stir(h);
}

void conn2_deadline(struct conn2 *h)
{
    struct conn *c = h->conn;

    if (h->awaiting == AWAIT_ROOM) {
        if (conn_is_taking(c))
            return;
        conn2_close(h, END_SEND_TIMEOUT);
        conn_close(c);
        return;
    }
    if (h->awaiting == AWAIT_HEAD)
        metrics_violation(h->plane, STATS_BAD_TIMEOUT);
    h2_session_goaway(h->session, h->awaiting == AWAIT_HEAD ? H2_CANCEL : H2_NO_ERROR);
    send_frames(h);
    conn_finish(c);
}

/* Only a client with streams is asked: without one the idle timeout is near. One that does not
 * read what is there already has the stall timeout, and would not read this. */
static void on_silent(void *arg)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, arg);
    struct conn *c = h->conn;

    if (h->asked && h->awaiting != AWAIT_ROOM) {
        conn2_close(h, END_CLIENT_ABORT);
        conn_close(c);
        return;
    }
    if (!h->heard && !h->asked && !LIST_EMPTY(&h->lanes)) {
        h->asked = true;
        h2_session_ping(h->session);
        stir(h);
    }
    h->heard = false;
    deadline_start(&h->ping, c->listener->ping);
}

bool conn2_is_idle(const struct conn2 *h)
{
    return h->awaiting == AWAIT_STREAM && LIST_EMPTY(&h->lanes);
}

void conn2_part(struct conn2 *h)
{
    h2_session_goaway(h->session, H2_NO_ERROR);
    send_frames(h);
}

/* ---- life ---- */

void conn2_slabs(struct slab *conns, struct slab *lanes)
{
    slab_init(conns, sizeof(struct conn2), KEEP_CONNS);
    slab_init(lanes, sizeof(struct lane), KEEP_LANES);
}

static void on_grace(void *arg)
{
    on_pong(arg);
}

/* A listener that is not in the configuration any more still has clients. */
static uint32_t streams_of(const struct listener *l)
{
    return l->conf ? (uint32_t)l->conf->http2.max_concurrent_streams : STREAMS_MOST;
}

struct conn2 *conn2_new(struct conn *c)
{
    struct conn2 *h = slab_get(&c->plane->conn2s);

    *h = (struct conn2){.magic = CONN2_MAGIC, .conn = c, .plane = c->plane};
    LIST_INIT(&h->lanes);
    deadline_init(&h->grace, on_grace, h);
    deadline_init(&h->ping, on_silent, h);
    deadline_start(&h->ping, c->listener->ping);
    h->session = h2_session_new(&events, h, &c->plane->ios.blocks, &c->plane->h2_memory,
                                streams_of(c->listener), loop_now_us(c->plane->loop));
    c->io.bulk = true;
    deadline_stop(&c->deadline);
    stir(h);
    return h;
}

void conn2_drain(struct conn2 *h)
{
    if (h->leaving)
        return;
    h->leaving = true;
    h2_session_warn(h->session);
    deadline_start(&h->grace, h->plane->linger_queue);
    stir(h);
}

static void on_grave(void *arg)
{
    struct conn2 *h = CAST(conn2, CONN2_MAGIC, arg);

    h2_session_free(h->session);
    h->magic = 0;
    slab_put(&h->plane->conn2s, h);
}

void conn2_close(struct conn2 *h, enum ending why)
{
    struct lane *l;

    if (!h->conn)
        return;
    h->conn = NULL;
    loop_unpost(h->plane->loop, &h->turn);
    deadline_stop(&h->grace);
    deadline_stop(&h->ping);
    while ((l = LIST_FIRST(&h->lanes)))
        lane_close(l, why);
    loop_bury(h->plane->loop, &h->grave, on_grave, h);
}
