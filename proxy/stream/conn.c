/*
 * conn.c - one connection of a client: the HTTP/1 codec of the server side.
 *
 * Invariant: while a stream is reading or may retry, its head and the kept part of its body lie
 * in io.in, which is pinned (io.keep); once the body outgrows that block it is `held`.
 */
#include "proxy/stream/conn.h"

#include "proxy/http/h1_block.h"
#include "proxy/http/h2_session.h"
#include "proxy/http/head_write.h"
#include "proxy/stream/conn2.h"
#include "proxy/stream/metrics.h"

#include <arpa/inet.h>

#define CONN_MAGIC  0x636f6e6eu
#define HEAD_EXTRA  256        /* status line, framing fields, line ends */
#define OUT_HIGH    131072     /* queued bytes above which data() says enough */
#define LINGER_MAX  1073741824 /* bytes thrown away before the connection is cut */
#define LINGER_STEP 65536      /* so many of them earn the same time again */
#define REST_MAX    65536      /* bytes of a body that cost less than a new connection */
#define CHUNK_FRAME (H1_CHUNK_HEAD + 2)
#define UNANNOUNCED 1024 /* bytes of trailers that no Trailer field announced */

#define TO(s) (1u << CONN_##s)
static const unsigned conn_edge[CONN_NSTATES] = {
    [CONN_IDLE] = TO(HEAD) | TO(HTTP2) | TO(CLOSED),
    [CONN_HTTP2] = TO(CLOSING) | TO(CLOSED),
    [CONN_HEAD] = TO(BODY) | TO(BUSY) | TO(CLOSING) | TO(CLOSED),
    [CONN_BODY] = TO(BUSY) | TO(REST) | TO(CLOSING) | TO(CLOSED),
    [CONN_BUSY] = TO(IDLE) | TO(TUNNEL) | TO(CLOSING) | TO(CLOSED),
    [CONN_REST] = TO(IDLE) | TO(CLOSED),
    [CONN_TUNNEL] = TO(CLOSING) | TO(CLOSED),
    [CONN_CLOSING] = TO(LINGER) | TO(CLOSED),
    [CONN_LINGER] = TO(CLOSED),
};

static const struct codec_ops conn_ops;
static void on_io(struct io *io, enum io_event ev, void *owner);
static void read_body(struct conn *c);

static void conn_enter(struct conn *c, enum conn_state to)
{
    ASSERT(conn_edge[c->state] & (1u << to));
    c->state = to;
}

/* ---- closing ---- */

static void on_grave(void *arg)
{
    struct conn *c = CAST(conn, CONN_MAGIC, arg);

    listener_unref(c->listener);
    c->magic = 0;
    slab_put(&c->plane->conns, c);
}

void conn_close(struct conn *c)
{
    struct plane *p = c->plane;

    if (c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_HTTP2) {
        conn2_close(c->conn2, END_DRAINED);
        c->conn2 = NULL;
    } else if (c->stream) {
        c->cut = true;
        stream_finish(c->stream, END_DRAINED); /* comes back through on_over */
        return;
    }
    conn_enter(c, CONN_CLOSED);
    deadline_stop(&c->deadline);
    loop_unpost(p->loop, &c->next);
    block_put(&p->ios.blocks, c->held);
    c->held = NULL;
    io_flush(&c->io);
    io_close(&c->io);
    LIST_REMOVE(c, link);
    loop_bury(p->loop, &c->grave, on_grave, c);
    plane_conn_closed(p);
}

static bool has_more(const struct conn *c)
{
    return c->io.in && c->io.in->start < c->io.in->end;
}

static void discard(struct conn *c)
{
    struct block *b = io_take(&c->io);

    if (b)
        c->discarded += b->end - b->start;
    block_put(&c->plane->ios.blocks, b);
}

/* A client that sends on may not look for an answer before it has sent all. */
static void throw_away(struct conn *c)
{
    uint32_t steps = c->discarded / LINGER_STEP;

    discard(c);
    if (c->discarded > LINGER_MAX)
        conn_close(c);
    else if (c->state == CONN_LINGER && c->discarded / LINGER_STEP > steps)
        deadline_start(&c->deadline, c->plane->linger_queue);
}

/* All is sent. A reset while the client still writes could destroy the answer it has not read,
 * so unless it said that this was its last request, and that was read to its end, input is
 * drained for a while (RFC 9112 9.6). */
static void linger(struct conn *c)
{
    io_shutdown(&c->io);
    conn_enter(c, CONN_LINGER);
    deadline_start(&c->deadline, c->plane->linger_queue);
    io_resume(&c->io);
}

/* UNTAKEN bytes are on their way to the client: it has until `stall` to take some. */
static void await_taking(struct conn *c, size_t untaken)
{
    c->waiting_bytes = (uint32_t)untaken;
    deadline_start(&c->deadline, c->listener->stall);
}

void conn_await_taking(struct conn *c)
{
    await_taking(c, io_untaken(&c->io));
}

bool conn_is_taking(struct conn *c)
{
    size_t untaken = io_untaken(&c->io);

    if ((uint32_t)untaken == c->waiting_bytes)
        return false;
    await_taking(c, untaken);
    return true;
}

static void close_politely(struct conn *c)
{
    bool unread = c->state != CONN_BUSY || has_more(c) || !c->last;

    c->io.keep = false;
    discard(c);
    conn_enter(c, CONN_CLOSING);
    io_flush(&c->io);
    if (c->io.out_bytes == 0) {
        if (unread && !c->io.eof)
            linger(c);
        else
            conn_close(c);
        return;
    }
    c->close = unread;
    conn_await_taking(c);
    io_want_drained(&c->io);
}

void conn_finish(struct conn *c)
{
    conn2_close(c->conn2, END_CLIENT_ABORT);
    c->conn2 = NULL;
    close_politely(c);
}

/* ---- deadlines ---- */

static void on_send_stalled(struct conn *c)
{
    if (conn_is_taking(c))
        return;
    if (c->stream)
        stream_fail(c->stream, END_SEND_TIMEOUT, 0, STR_NONE);
    else
        conn_close(c);
}

static void on_deadline(void *arg)
{
    struct conn *c = CAST(conn, CONN_MAGIC, arg);

    switch (c->state) {
    case CONN_HEAD:
        metrics_violation(c->plane, STATS_BAD_TIMEOUT);
        stream_fail(c->stream, END_HEAD_TIMEOUT, 0, STR_NONE);
        break;
    case CONN_BODY:
        if (c->sending)
            on_send_stalled(c);
        else
            stream_fail(c->stream, END_BODY_TIMEOUT, 0, STR_NONE);
        break;
    case CONN_BUSY:
        if (c->sending)
            on_send_stalled(c);
        else
            io_resume(&c->io); /* it takes long: a client that goes away is noticed now */
        break;
    case CONN_HTTP2:
        conn2_deadline(c->conn2);
        break;
    case CONN_TUNNEL:
    case CONN_CLOSING:
        on_send_stalled(c);
        break;
    default:
        conn_close(c);
    }
}

/* ---- between requests ---- */

/* FIN comes from a client that has said all it has to say, and from one that is gone: nothing
 * tells them apart before bytes are sent to it. Nearly all are gone. */
static bool waits_after_fin(const struct conn *c)
{
    return c->listener->conf && c->listener->conf->half_close;
}

/* How long the next request may take to come. */
static struct deadline_queue *idle_queue(const struct conn *c)
{
    return c->plane->hurrying ? c->plane->last_queue : c->listener->idle;
}

static void go_idle(struct conn *c)
{
    bool ahead;

    c->io.keep = false;
    ahead = has_more(c);
    conn_enter(c, CONN_IDLE);
    if ((c->io.eof && !(ahead && waits_after_fin(c))) ||
        (c->plane->hurrying && !io_has_input(&c->io))) {
        conn_close(c);
        return;
    }
    io_idle(&c->io);
    deadline_start(&c->deadline, idle_queue(c));
    if (ahead)
        loop_post(c->plane->loop, &c->next, c->next.cb, c);
}

/*
 * Answered before all of the request was here: little enough of its body is left to read it and
 * keep the connection (RFC 9112 9.3). Not behind Expect: whether the client still sends it,
 * when nobody asked for it, is anybody's guess.
 */
static bool has_little_left(const struct conn *c)
{
    const struct stream *s = c->stream;

    return c->state == CONN_BODY && !s->req.expect && s->body.framing == FRAMING_LENGTH &&
           s->body.left <= REST_MAX;
}

static void skip_rest(struct conn *c)
{
    struct block *b = c->io.in;
    uint32_t here = b ? b->end - b->start : 0;

    here = here < c->discarded ? here : c->discarded;
    if (here)
        b->start += here;
    c->discarded -= here;
    if (c->discarded == 0)
        go_idle(c);
    else
        io_idle(&c->io);
}

static void enter_rest(struct conn *c, uint32_t left)
{
    conn_enter(c, CONN_REST);
    c->discarded = left;
    deadline_start(&c->deadline, c->listener->stall); /* for all of it */
    skip_rest(c);
}

/* The stream is over; it ends what it was part of. */
static void on_over(void *self, struct stream *s)
{
    struct conn *c = CAST(conn, CONN_MAGIC, self);

    ASSERT(c->stream == s);
    c->stream = NULL; /* its memory stays until the turn is over */
    c->sending = false;
    deadline_stop(&c->deadline);
    block_put(&c->plane->ios.blocks, c->held);
    c->held = NULL;
    if (c->cut || !c->answered)
        conn_close(c);
    else if (c->close)
        close_politely(c);
    else if (c->state == CONN_BODY)
        enter_rest(c, (uint32_t)s->body.left);
    else
        go_idle(c);
}

/* ---- the request ---- */

static void begin(struct conn *c)
{
    struct downstream to = {
        .ops = &conn_ops,
        .over = on_over,
        .self = c,
        .listener = c->listener,
        .fd = c->io.fd,
        .tls = c->tls,
    };

    c->stream = stream_new(c->plane, to, str_of(c->ip));
    if (c->listener->conf)
        h1_parser_lenient(&c->stream->parser, c->listener->conf->http1_lenient);
    c->close = c->cut = c->chunked = c->answered = c->last = false;
    conn_enter(c, CONN_HEAD);
    deadline_start(&c->deadline, c->listener->head);
}

static void reject_head(struct conn *c, unsigned kind, int status, const char *why)
{
    metrics_violation(c->plane, kind);
    stream_fail(c->stream, END_BAD_REQUEST, status, str_of(why));
}

static void on_head(struct conn *c)
{
    struct stream *s = c->stream;
    struct block *b = c->io.in;

    metrics_forgiven(c->plane, s->parser.forgiven);
    b->start += s->req.size;
    c->io.keep = true;
    c->kept_end = b->start;
    h1_body_init(&s->body, s->req.framing, s->req.length);
    if (s->req.framing == FRAMING_CHUNKED) {
        size_t cap = head_has(&s->req, FIELD_TRAILER) ? H1_TRAILER_MAX : UNANNOUNCED;

        h1_body_keep_trailers(&s->body, arena_alloc(&s->arena, cap), cap);
    }
    conn_enter(c, s->req.framing == FRAMING_NONE ? CONN_BUSY : CONN_BODY);
    deadline_start(&c->deadline, c->state == CONN_BODY ? c->listener->stall : NULL);
    stream_start(s);
    if (c->stream == s && c->state == CONN_BODY)
        read_body(c);
}

static void read_head(struct conn *c)
{
    struct stream *s = c->stream;
    struct str in = block_str(c->io.in);

    switch (h1_parse(&s->parser, &s->req, in.p, in.n)) {
    case H1_MORE:
        if (c->io.eof)
            stream_fail(s, END_CLIENT_ABORT, 0, STR_NONE);
        else if (block_room(c->io.in) == 0 && !io_grow(&c->io))
            reject_head(c, STATS_BAD_HEAD_SIZE, 431, "the request head is too large");
        break;
    case H1_BAD:
        reject_head(c, s->parser.kind, s->parser.status, s->parser.why);
        break;
    case H1_DONE:
        on_head(c);
        break;
    }
}

static void bad_body(struct conn *c)
{
    metrics_violation(c->plane, c->stream->body.kind);
    stream_fail(c->stream, END_BAD_REQUEST, 0, str_of(c->stream->body.why));
}

/* What the decoder said, after its bytes were handed on. */
static void after_body(struct conn *c, enum h1_body_event e, bool more)
{
    if (e == H1_BODY_BAD) {
        bad_body(c);
    } else if (e == H1_BODY_END) {
        conn_enter(c, CONN_BUSY);
        if (!c->sending)
            deadline_stop(&c->deadline);
        stream_body_end(c->stream, h1_body_trailers(&c->stream->body));
    } else if (c->io.eof) {
        stream_fail(c->stream, END_CLIENT_ABORT, 0, STR_NONE);
    } else if (more) {
        if (!c->sending)
            deadline_start(&c->deadline, c->listener->stall);
    } else {
        io_pause(&c->io);
        if (!c->sending)
            deadline_stop(&c->deadline); /* it is the upstream that we wait for */
    }
}

/* The body's beginning stays behind the head, decoded, so that it can be sent again. */
static void read_kept(struct conn *c)
{
    struct stream *s = c->stream;
    struct block *b = c->io.in;
    struct str in = block_str(b), data;
    uint32_t from = c->kept_end;
    enum h1_body_event e;
    bool more = true;

    while ((e = h1_body_next(&s->body, &in, &data)) == H1_BODY_DATA) {
        memmove(b->data + c->kept_end, data.p, data.n);
        c->kept_end += (uint32_t)data.n;
    }
    b->start = b->end - (uint32_t)in.n;
    if (in.n == 0)
        b->start = b->end = c->kept_end;
    if (c->kept_end > from)
        more = stream_body_kept(s, (struct str){b->data + from, c->kept_end - from});
    if (c->stream != s)
        return;
    if (e == H1_BODY_MORE && block_room(b) == 0) {
        c->io.keep = false;
        c->held = c->io.in;
        c->io.in = NULL;
        c->io.bulk = true;
        stream_forget_body(s);
        io_resume(&c->io);
    }
    after_body(c, e, more);
}

static void read_streamed(struct conn *c)
{
    struct stream *s = c->stream;
    struct block *b = io_take(&c->io);
    enum h1_body_event e;
    struct str rest;
    bool more = true;

    if (!b)
        return;
    e = h1_block_decode(&s->body, b, &rest);
    io_unread(&c->io, rest);
    if (b->start < b->end)
        more = stream_body(s, b);
    else
        block_put(&c->plane->ios.blocks, b);
    if (c->stream == s)
        after_body(c, e, more);
}

static void read_body(struct conn *c)
{
    if (c->stream->hold || c->stream->paused) {
        io_pause(&c->io);
        deadline_stop(&c->deadline);
        return;
    }
    if (c->held)
        read_streamed(c);
    else
        read_kept(c);
}

static void read_tunnel(struct conn *c)
{
    struct block *b = io_take(&c->io);

    if (b && !stream_body(c->stream, b))
        io_pause(&c->io);
}

/* ---- HTTP/2 ---- */

static void speak_http2(struct conn *c)
{
    conn_enter(c, CONN_HTTP2);
    c->conn2 = conn2_new(c);
    if (c->plane->draining)
        conn2_drain(c->conn2);
    if (c->io.in)
        conn2_read(c->conn2);
}

/* By prior knowledge (RFC 9113 3.3): what the first bytes say, if they are enough to say it. */
static void read_first(struct conn *c)
{
    const struct conf_listener *l = c->listener->conf;
    unsigned spoken = l ? l->protocols : CONF_PROTOCOL_HTTP1;
    struct str preface = H2_PREFACE, in = block_str(c->io.in);

    in.n = in.n < preface.n ? in.n : preface.n;
    if (!c->kept_end && !c->tls && (spoken & CONF_PROTOCOL_HTTP2) &&
        memcmp(in.p, preface.p, in.n) == 0) {
        if (in.n == preface.n)
            speak_http2(c);
    } else if (spoken & CONF_PROTOCOL_HTTP1) {
        begin(c);
        read_head(c);
    } else {
        conn_close(c);
    }
}

static void conn_read(struct conn *c)
{
    switch (c->state) {
    case CONN_IDLE:
        read_first(c);
        break;
    case CONN_HTTP2:
        conn2_read(c->conn2);
        break;
    case CONN_HEAD:
        read_head(c);
        break;
    case CONN_BODY:
        read_body(c);
        break;
    case CONN_TUNNEL:
        read_tunnel(c);
        break;
    case CONN_REST:
        skip_rest(c);
        break;
    case CONN_LINGER:
    case CONN_CLOSING:
        throw_away(c);
        break;
    default:
        break; /* sent ahead: waits its turn, and when the block is full, in the kernel */
    }
}

/* Bytes that came before there was a use for them. */
static void on_next(void *arg)
{
    struct conn *c = CAST(conn, CONN_MAGIC, arg);

    if (has_more(c) &&
        (c->state == CONN_IDLE || c->state == CONN_BODY || c->state == CONN_TUNNEL))
        conn_read(c);
}

/* ---- the answer ---- */

static void put_framing(struct conn *c, struct out *o, const struct message *m)
{
    bool modern = c->stream->req.minor > 0;

    c->chunked = false;
    if (m->bodyless) {
        if (!m->from && m->framing == FRAMING_LENGTH) /* our own answer to HEAD */
            head_write_u64(o, STR("Content-Length"), m->length);
    } else if (m->framing == FRAMING_LENGTH) {
        head_write_u64(o, STR("Content-Length"), m->length);
    } else if (modern) {
        c->chunked = true;
        head_write_known(o, STR("Transfer-Encoding"), STR("chunked"));
    } else {
        c->close = true;
    }
    if (c->close)
        head_write_known(o, STR("Connection"), STR("close"));
    else if (!modern)
        head_write_known(o, STR("Connection"), STR("keep-alive"));
}

static void write_head(struct conn *c, struct out *o, const struct message *m)
{
    struct str reason = m->from ? head_span(m->from, m->from->reason) : STR_NONE;

    head_write_status(o, m->status, reason);
    if (m->from)
        head_write_end_to_end(o, m->from, m->skip);
    out_put(o, m->extra);
    if (m->status >= 200)
        put_framing(c, o, m);
    head_write_end(o);
}

/* 101 is written: what the client sent behind its request already is the other protocol. */
static void open_tunnel(struct conn *c)
{
    struct str ahead = block_str(c->io.in);

    c->held = c->io.in; /* the request's head stays for the log */
    c->io.in = NULL;
    c->io.keep = false;
    c->close = true;
    conn_enter(c, CONN_TUNNEL);
    deadline_stop(&c->deadline); /* the attempt's watches now */
    io_unread(&c->io, ahead);
    io_resume(&c->io);
    if (ahead.n)
        loop_post(c->plane->loop, &c->next, on_next, c);
}

static void answer_head(void *self, const struct message *m)
{
    struct conn *c = CAST(conn, CONN_MAGIC, self);
    size_t need = (m->from ? m->from->size : 0) + m->extra.n + HEAD_EXTRA;
    struct out o;

    if (m->status >= 200) {
        c->last = !c->stream->req.keep_alive;
        c->close = c->last || m->last || c->plane->draining || c->plane->overload.over ||
                   (c->state != CONN_BUSY && !has_little_left(c)) ||
                   (c->io.eof && !has_more(c));
    }
    if (need <= BLOCK_SMALL) {
        o = out_init(io_room(&c->io, need), need);
        write_head(c, &o, m);
        ASSERT(!o.full);
        io_wrote(&c->io, o.n);
    } else {
        struct block *b = block_get(&c->plane->ios.blocks, true);

        o = out_init(b->data + b->end, BLOCK_LARGE + BLOCK_TAILROOM);
        write_head(c, &o, m);
        c->cut |= o.full; /* a head of the very largest size, and ours does not fit any more */
        b->end += (uint32_t)(o.full ? 0 : o.n);
        io_queue(&c->io, b);
    }
    if (c->stream->tunnel)
        open_tunnel(c);
}

static void queue_body(struct conn *c, struct block *b)
{
    struct str bytes = block_str(b);
    char size[H1_CHUNK_HEAD];

    if (!io_fits(&c->io, bytes.n + CHUNK_FRAME)) {
        bool large = b->large;

        if (c->chunked)
            h1_block_chunk(b);
        io_queue(&c->io, b);
        if (large)
            io_flush(&c->io);
        return;
    }
    if (c->chunked)
        io_write(&c->io, (struct str){size, h1_chunk_head(size, bytes.n)});
    io_write(&c->io, bytes);
    if (c->chunked)
        io_write(&c->io, H1_CHUNK_TAIL);
    block_put(&c->plane->ios.blocks, b);
}

static bool answer_data(void *self, struct block *b)
{
    struct conn *c = CAST(conn, CONN_MAGIC, self);

    queue_body(c, b);
    if (c->io.out_bytes <= OUT_HIGH)
        return true;
    c->sending = true;
    conn_await_taking(c);
    io_want_drained(&c->io);
    if (c->state == CONN_BUSY)
        io_resume(&c->io);
    return false;
}

static void answer_end(void *self, struct str trailers)
{
    struct conn *c = CAST(conn, CONN_MAGIC, self);

    if (c->chunked) {
        io_write(&c->io, trailers.n ? H1_CHUNK_ZERO : H1_CHUNK_LAST);
        io_write(&c->io, trailers);
        if (trailers.n)
            io_write(&c->io, STR("\r\n"));
    }
    if (c->state == CONN_TUNNEL)
        io_end(&c->io);
    c->answered = true;
}

static void answer_abort(void *self, enum codec_abort why)
{
    struct conn *c = CAST(conn, CONN_MAGIC, self);

    (void)why;
    c->cut = true; /* no last chunk, no rest of the length: the client sees that it broke off */
}

/* More of the request's body, please. */
static void answer_resume(void *self)
{
    struct conn *c = CAST(conn, CONN_MAGIC, self);

    io_resume(&c->io);
    if (c->state != CONN_BODY && c->state != CONN_TUNNEL)
        return;
    if (c->state == CONN_BODY && !c->sending)
        deadline_start(&c->deadline, c->listener->stall);
    loop_post(c->plane->loop, &c->next, on_next, c);
}

static const struct codec_ops conn_ops = {
    .head = answer_head,
    .data = answer_data,
    .end = answer_end,
    .abort = answer_abort,
    .resume = answer_resume,
};

/* ---- the socket ---- */

static void on_drained(struct conn *c)
{
    if (c->state == CONN_HTTP2) {
        conn2_drained(c->conn2);
        return;
    }
    if (c->state == CONN_CLOSING) {
        if (c->close && !c->io.eof)
            linger(c);
        else
            conn_close(c);
        return;
    }
    if (!c->sending)
        return; /* of an answer that is over: the deadline is for something else by now */
    c->sending = false;
    deadline_start(&c->deadline, c->state == CONN_BODY ? c->listener->stall : NULL);
    if (c->stream)
        stream_resume(c->stream);
}

/* The handshake is over, and with it, by ALPN, it is settled what is spoken. */
static void on_secured(struct conn *c)
{
    c->tls = io_tls_facts(&c->io);
    deadline_start(&c->deadline, idle_queue(c));
    if (c->tls->protocol == TLS_HTTP2)
        speak_http2(c);
}

/* Streams end as a client that goes away ends them. */
static void http2_gone(struct conn *c)
{
    conn2_close(c->conn2, END_CLIENT_ABORT);
    conn_close(c);
}

/*
 * FIN. In a request it breaks it off, and so it does while an answer is awaited, unless the
 * listener lets clients close their half; once there is an answer, sending it shows whether
 * anybody is there. In a tunnel it is passed on.
 */
static void on_eof(struct conn *c)
{
    if (c->state == CONN_HTTP2)
        http2_gone(c);
    else if (c->state == CONN_TUNNEL)
        stream_body_end(c->stream, STR_NONE);
    else if (c->state == CONN_HEAD || c->state == CONN_BODY ||
             (c->state == CONN_BUSY && c->stream->down == HALF_IDLE && !waits_after_fin(c)))
        stream_fail(c->stream, END_CLIENT_ABORT, 0, STR_NONE);
    else if (c->state == CONN_IDLE || c->state == CONN_REST || c->state == CONN_LINGER)
        conn_close(c);
}

static void on_gone(struct conn *c)
{
    if (c->state == CONN_HTTP2)
        http2_gone(c);
    else if (c->stream && c->stream->tunnel)
        stream_finish(c->stream, END_TUNNEL);
    else if (c->stream)
        stream_fail(c->stream, END_CLIENT_ABORT, 0, STR_NONE);
    else
        conn_close(c);
}

static void on_io(struct io *io, enum io_event ev, void *owner)
{
    struct conn *c = CAST(conn, CONN_MAGIC, owner);

    (void)io;
    switch (ev) {
    case IO_DATA:
        conn_read(c);
        break;
    case IO_DRAINED:
        on_drained(c);
        break;
    case IO_EOF:
        on_eof(c);
        break;
    case IO_ERROR:
        on_gone(c);
        break;
    case IO_OPEN:
        on_secured(c);
        break;
    }
}

/* inet_ntop goes through printf, which is more than all else that opening costs here. */
static void write_v4(char ip[INET_ADDRSTRLEN], uint32_t a)
{
    struct out o = out_init(ip, INET_ADDRSTRLEN);

    for (int shift = 24; shift >= 0; shift -= 8) {
        out_u64(&o, a >> shift & 255);
        out_char(&o, shift ? '.' : '\0');
    }
}

static void set_ip(struct conn *c, const struct sockaddr *peer)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;

    c->ip[0] = '\0';
    if (peer->sa_family == AF_INET)
        write_v4(c->ip, ntohl(v4->sin_addr.s_addr));
    else if (peer->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], c->ip, sizeof(c->ip));
    else if (peer->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &v6->sin6_addr, c->ip, sizeof(c->ip));
}

void conn_open(struct listener *l, int fd, const struct sockaddr *peer)
{
    struct plane *p = l->plane;
    struct conn *c = slab_get(&p->conns);

    *c = (struct conn){.magic = CONN_MAGIC, .plane = p, .listener = listener_ref(l)};
    c->next.cb = on_next;
    set_ip(c, peer);
    deadline_init(&c->deadline, on_deadline, c);
    LIST_INSERT_HEAD(&p->open, c, link);
    p->nopen++;
    stat_add(&p->stats->connections_total, 1);
    stat_set(&p->stats->connections, p->nopen);
    io_open(&c->io, &p->ios, fd, on_io, c);
    if (l->tls)
        io_accept_tls(&c->io, l->tls);
    deadline_start(&c->deadline, l->tls ? l->head : idle_queue(c));
    io_read_now(&c->io);
    if (c->state == CONN_CLOSED || c->io.eof)
        return;
    if (c->state == CONN_BUSY)
        deadline_start(&c->deadline, p->watch_queue); /* it may be over before it is watched */
    else
        io_resume(&c->io);
}

void conn_drain(struct conn *c)
{
    if (c->state == CONN_HTTP2)
        conn2_drain(c->conn2);
    else if (!c->plane->hurrying)
        return; /* its next answer tells it */
    else if (c->state == CONN_IDLE && (c->kept_end == 0 || io_has_input(&c->io)))
        deadline_start(&c->deadline, c->plane->last_queue);
    else if (c->state == CONN_IDLE)
        conn_close(c);
}
