/*
 * upconn1.c - one HTTP/1.1 connection to an endpoint: the codec of the upstream side.
 *
 * Every call to the borrower is the last statement, or is followed by a look at `borrower`: the
 * exchange may have ended in it and the connection may be idle or closed.
 */
#include "proxy/upstream/upconn1.h"

#include "config/endpoint.h"
#include "proxy/base/sys.h"
#include "proxy/http/head_write.h"

#include <errno.h>

#define UPCONN1_MAGIC 0x7570636eu
#define HEAD_EXTRA    512   /* request line, framing fields and line ends */
#define BULK_FROM     16384 /* a body longer than this is read in large blocks */

static void on_io(struct io *io, enum io_event ev, void *owner);
static const struct upconn_kind kind;

static struct upconn1 *of(struct upconn *up)
{
    struct upconn1 *u = CONTAINER_OF(up, struct upconn1, up);

    ASSERT(u->magic == UPCONN1_MAGIC);
    return u;
}

static const struct upconn1 *of_const(const struct upconn *up)
{
    return CONTAINER_OF(up, const struct upconn1, up);
}

static void on_idle_timeout(void *arg)
{
    upconn1_close(CAST(upconn1, UPCONN1_MAGIC, arg));
}

static void on_grave(void *arg)
{
    struct upconn1 *u = CAST(upconn1, UPCONN1_MAGIC, arg);

    u->magic = 0;
    slab_put(&u->up.ep->pool->upconns, u);
}

/* Memory goes back before the endpoint may go: the endpoint counts it until then. */
static void bury(void *arg)
{
    struct upconn1 *u = arg;
    struct endpoint *ep = u->up.ep;

    on_grave(u);
    pool_closed(ep);
}

static bool speak_tls(struct upconn1 *u)
{
    struct endpoint *ep = u->up.ep;

    u->tls_epoch = tls_client_epoch(ep->tls);
    return io_connect_tls(&u->io, ep->tls, &ep->session,
                          endpoint_identity(str_of(ep->name), str_of(ep->from)), TLS_HTTP1);
}

struct upconn *upconn1_connect(struct endpoint *ep, loop_cb *on_open)
{
    struct upconn1 *u = slab_get(&ep->pool->upconns);

    *u = (struct upconn1){.magic = UPCONN1_MAGIC,
                          .up = {.kind = &kind, .ep = ep, .on_open = on_open}};
    deadline_init(&u->deadline, on_idle_timeout, u);
    if (io_connect(&u->io, ep->pool->ios, (const struct sockaddr *)&ep->sa, ep->sa_len, on_io,
                   u) < 0) {
        int why = errno;

        slab_put(&ep->pool->upconns, u);
        breaker_leave(ep->breaker, STATS_CONNECTIONS);
        errno = why;
        return NULL;
    }
    pool_opened(ep);
    if (ep->tls && !speak_tls(u)) {
        upconn1_close(u);
        errno = EPROTO;
        return NULL;
    }
    return &u->up;
}

static void borrowed(struct upconn *up)
{
    struct upconn1 *u = of(up);

    ASSERT(u->state == UPCONN1_IDLE || u->state == UPCONN1_CONNECTING);
    deadline_stop(&u->deadline);
    u->reused = u->state == UPCONN1_IDLE;
    if (u->reused)
        u->state = UPCONN1_HEAD;
    u->interim = 0;
    u->before = u->queued;
    u->heard = u->dirty = u->request_ended = u->chunked = false;
    u->upgrade = false;
}

void upconn1_close(struct upconn1 *u)
{
    if (u->state == UPCONN1_CLOSED)
        return;
    if (u->state == UPCONN1_IDLE)
        pool_remove(u->up.ep, u);
    deadline_stop(&u->deadline);
    io_close(&u->io);
    u->state = UPCONN1_CLOSED;
    u->up.borrower = NULL;
    breaker_leave(u->up.ep->breaker, STATS_CONNECTIONS);
    loop_bury(u->io.set->loop, &u->grave, bury, u);
}

static bool was_dead(const struct upconn *up, enum codec_abort why)
{
    const struct upconn1 *u = of_const(up);

    return why == CODEC_RESET && u->reused && !u->heard;
}

bool upconn1_stale(const struct upconn1 *u)
{
    return u->up.ep->tls && u->tls_epoch != tls_client_epoch(u->up.ep->tls);
}

/* The peer had closed this connection before any byte of the exchange reached it. (A peer that
 * received some has acknowledged them with its FIN at the latest; a reset proves nothing.) */
static bool unreached(const struct upconn *up)
{
    const struct upconn1 *u = of_const(up);
    uint64_t acked;

    return !u->up.ep->tls && (u->io.eof || u->io.error == EPIPE) &&
           sys_acked(u->io.fd, &acked) && acked <= u->before;
}

static void give_back(struct upconn *up)
{
    struct upconn1 *u = of(up);
    bool clean = u->state == UPCONN1_ENDED && u->request_ended && !u->dirty && !u->single &&
                 u->up.head->keep_alive && !u->io.in && !u->io.eof && !u->io.out_bytes &&
                 !upconn1_stale(u);

    if (u->up.tunnel)
        io_flush(&u->io); /* the last words of the client */
    u->up.borrower = NULL;
    u->up.head = NULL;
    u->state = clean ? UPCONN1_IDLE : u->state;
    if (!clean || !pool_put(u->up.ep, u)) {
        u->state = clean ? UPCONN1_ENDED : u->state; /* it is not in the pool */
        upconn1_close(u);
        return;
    }
    io_idle(&u->io);
    deadline_start(&u->deadline, u->up.ep->pool->idle_queue);
}

/* ---- the request ---- */

void upconn1_announce(struct upconn *up, struct str header)
{
    struct upconn1 *u = of(up);

    u->single = true;
    io_write(&u->io, header);
}

static void write_framing(struct out *o, const struct message *m)
{
    if (m->framing == FRAMING_LENGTH)
        head_write_u64(o, STR("Content-Length"), m->length);
    else if (m->framing == FRAMING_CHUNKED)
        head_write_known(o, STR("Transfer-Encoding"), STR("chunked"));
}

static void write_head(struct out *o, const struct head *req, const struct message *m)
{
    head_write_request_to(o, req, m->path);
    head_write_end_to_end(o, m->from, m->skip);
    out_put(o, m->extra);
    write_framing(o, m);
    head_write_end(o);
}

static void begin(struct upconn1 *u, enum method asked)
{
    h1_parser_response(&u->parser, asked);
    head_reset(u->up.head);
    u->asked = asked;
}

static bool put_head(struct upconn *up, const struct head *req, const struct message *m)
{
    struct upconn1 *u = of(up);
    size_t need = req->size + m->path.n + m->extra.n + HEAD_EXTRA;
    struct out o;

    begin(u, req->method);
    u->dirty = u->upgrade = req->upgrade; /* whatever the answer: never pooled after it */
    u->chunked = m->framing == FRAMING_CHUNKED;
    if (need <= BLOCK_SMALL) {
        o = out_init(io_room(&u->io, need), need);
        write_head(&o, req, m);
        io_wrote(&u->io, o.full ? 0 : o.n);
    } else {
        struct block *b = block_get(&u->io.set->blocks, true);

        o = out_init(b->data + b->end, block_room(b));
        write_head(&o, req, m);
        b->end += (uint32_t)(o.full ? 0 : o.n);
        io_queue(&u->io, b);
    }
    u->queued += o.n;
    return !o.full;
}

static bool welcome_more(struct upconn1 *u)
{
    if (u->io.out_bytes <= UPCONN_HIGH)
        return true;
    io_want_drained(&u->io);
    return false;
}

static bool put_data(struct upconn *up, struct block *b)
{
    struct upconn1 *u = of(up);
    bool large = b->large;

    if (u->chunked)
        h1_block_chunk(b);
    u->queued += b->end - b->start;
    io_queue(&u->io, b);
    if (large)
        io_flush(&u->io);
    return welcome_more(u);
}

static void put(struct upconn1 *u, struct str s)
{
    u->queued += s.n;
    io_write(&u->io, s);
}

static bool put_copy(struct upconn *up, struct str s)
{
    struct upconn1 *u = of(up);
    char size[H1_CHUNK_HEAD];

    if (s.n == 0)
        return true;
    if (u->chunked)
        put(u, (struct str){size, h1_chunk_head(size, s.n)});
    put(u, s);
    if (u->chunked)
        put(u, H1_CHUNK_TAIL);
    return welcome_more(u);
}

static void put_end(struct upconn *up, struct str trailers)
{
    struct upconn1 *u = of(up);

    if (u->chunked && trailers.n) {
        put(u, H1_CHUNK_ZERO);
        put(u, trailers);
        put(u, STR("\r\n"));
    } else if (u->chunked) {
        put(u, H1_CHUNK_LAST);
    }
    if (u->up.tunnel)
        io_end(&u->io);
    u->request_ended = true;
}

static void put_text(struct upconn *up, enum method asked, struct str head, bool has_body,
                     uint64_t body)
{
    struct upconn1 *u = of(up);
    char length[48];
    struct out o = out_init(length, sizeof(length));

    begin(u, asked);
    if (has_body)
        head_write_u64(&o, STR("Content-Length"), body);
    head_write_end(&o);
    put(u, head);
    put(u, out_text(&o));
}

static bool is_open(const struct upconn *up)
{
    return of_const(up)->state != UPCONN1_CONNECTING;
}

static bool keeps_up(const struct upconn *up)
{
    return of_const(up)->io.writable == NULL;
}

static uint32_t unsent(const struct upconn *up)
{
    return of_const(up)->io.out_bytes;
}

static size_t untaken(const struct upconn *up)
{
    return io_untaken(&of_const(up)->io);
}

/* ---- the answer ---- */

static void broken(struct upconn1 *u, enum codec_abort why)
{
    u->dirty = true;
    u->up.ops->abort(u->up.borrower, why);
}

static void call_head(struct upconn1 *u)
{
    const struct head *h = u->up.head;
    struct message m = {
        .from = h,
        .status = h->status,
        .framing = h->framing,
        .length = h->length,
    };

    m.bodyless = h->framing == FRAMING_NONE;
    u->up.ops->head(u->up.borrower, &m);
}

/* True: the final head is complete, on with the body. */
static bool read_head(struct upconn1 *u)
{
    while (u->io.in && u->io.in->start < u->io.in->end) {
        struct str in = block_str(u->io.in);

        switch (h1_parse(&u->parser, u->up.head, in.p, in.n)) {
        case H1_MORE:
            if (block_room(u->io.in) == 0 && !io_grow(&u->io))
                broken(u, CODEC_BAD);
            return false;
        case H1_BAD:
            broken(u, CODEC_BAD);
            return false;
        case H1_DONE:
            break;
        }
        u->io.in->start += u->up.head->size;
        if (u->up.head->status >= 200) {
            u->state = UPCONN1_BODY;
            return true;
        }
        if (u->up.head->status == 101 && u->upgrade && u->up.head->upgrade) {
            u->up.tunnel = true;
            u->state = UPCONN1_BODY;
            return true;
        }
        if (u->up.head->status == 101 || ++u->interim > UPCONN_INTERIM_MAX) {
            broken(u, CODEC_BAD);
            return false;
        }
        call_head(u);
        if (!u->up.borrower)
            return false;
        h1_parser_response(&u->parser, u->asked);
        head_reset(u->up.head);
    }
    return false;
}

static void end_answer(struct upconn1 *u)
{
    u->state = UPCONN1_ENDED;
    u->up.ops->end(u->up.borrower, h1_body_trailers(&u->body));
}

/* What came with its head is looked at first: an answer that is broken, or that says it is the
 * last and has bytes behind its end, is refused as a whole. Others are only cut off there. */
static bool announce(struct upconn1 *u, enum h1_body_event e, bool rest)
{
    if (e == H1_BODY_BAD || (rest && !u->up.head->keep_alive && u->asked != METHOD_HEAD)) {
        broken(u, CODEC_BAD);
        return false;
    }
    call_head(u);
    return u->up.borrower != NULL;
}

/* The block also when nothing is left in it: the head lies there until it has gone on. */
static struct block *take_with_head(struct upconn1 *u)
{
    struct block *b = u->io.in;

    u->io.in = NULL;
    return b;
}

static void read_body(struct upconn1 *u, bool first)
{
    struct block *b = first ? take_with_head(u) : io_take(&u->io);
    enum h1_body_event e = h1_body_done(&u->body) ? H1_BODY_END : H1_BODY_MORE;
    struct str rest = STR_NONE;
    bool more = true;

    if (b && b->start < b->end)
        e = h1_block_decode(&u->body, b, &rest);
    u->dirty |= rest.n > 0;
    if (first && !announce(u, e, rest.n > 0)) {
        block_put(&u->io.set->blocks, b);
        return;
    }
    if (u->body.payload > BULK_FROM)
        u->io.bulk = true;
    if (b && b->start < b->end)
        more = u->up.ops->data(u->up.borrower, b);
    else
        block_put(&u->io.set->blocks, b);
    if (!u->up.borrower)
        return;
    if (e == H1_BODY_END)
        end_answer(u);
    else if (e == H1_BODY_BAD)
        broken(u, CODEC_BAD);
    else if (!more)
        io_pause(&u->io);
}

static void on_data(struct upconn1 *u)
{
    if (u->state == UPCONN1_IDLE || u->state == UPCONN1_ENDED) {
        /* RFC 9112 9.2: no request is waiting for it. */
        if (u->state == UPCONN1_IDLE)
            upconn1_close(u);
        u->dirty = true;
        return;
    }
    u->heard = true;
    if (u->state == UPCONN1_HEAD) {
        if (!read_head(u))
            return;
        h1_body_init(&u->body, u->up.tunnel ? FRAMING_CLOSE : u->up.head->framing,
                     u->up.head->length);
        if (u->up.trailer_room.n)
            h1_body_keep_trailers(&u->body, (char *)u->up.trailer_room.p, u->up.trailer_room.n);
        u->io.bulk = u->up.head->framing == FRAMING_LENGTH && u->up.head->length > BULK_FROM;
        read_body(u, true);
        return;
    }
    read_body(u, false);
}

static void resume(struct upconn *up)
{
    io_resume(&of(up)->io);
}

static void on_eof(struct upconn1 *u)
{
    u->dirty = true;
    if (u->state == UPCONN1_IDLE)
        upconn1_close(u);
    else if (u->state == UPCONN1_BODY && h1_body_eof(&u->body))
        end_answer(u);
    else if (u->state != UPCONN1_ENDED)
        broken(u, CODEC_RESET);
}

static void on_error(struct upconn1 *u)
{
    u->dirty = true;
    if (u->state == UPCONN1_IDLE)
        upconn1_close(u);
    else if (u->state != UPCONN1_ENDED || u->up.tunnel)
        broken(u, u->state == UPCONN1_CONNECTING ? CODEC_REFUSED : CODEC_RESET);
}

static void on_open(struct upconn1 *u)
{
    u->state = UPCONN1_HEAD;
    u->up.on_open(u->up.borrower);
}

static void on_io(struct io *io, enum io_event ev, void *owner)
{
    struct upconn1 *u = CAST(upconn1, UPCONN1_MAGIC, owner);

    (void)io;
    switch (ev) {
    case IO_OPEN:
        on_open(u);
        break;
    case IO_DATA:
        on_data(u);
        break;
    case IO_DRAINED:
        if (u->up.borrower)
            u->up.ops->resume(u->up.borrower);
        break;
    case IO_EOF:
        on_eof(u);
        break;
    case IO_ERROR:
        on_error(u);
        break;
    }
}

static const struct upconn_kind kind = {
    .head = put_head,
    .text = put_text,
    .data = put_data,
    .copy = put_copy,
    .end = put_end,
    .resume = resume,
    .is_open = is_open,
    .keeps_up = keeps_up,
    .unsent = unsent,
    .untaken = untaken,
    .was_dead = was_dead,
    .unreached = unreached,
    .give_back = give_back,
    .borrowed = borrowed,
};
