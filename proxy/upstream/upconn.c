/*
 * upconn.c - one HTTP/1.1 connection to an endpoint: the codec of the upstream side.
 *
 * Every call to the borrower is the last statement, or is followed by a look at `borrower`: the
 * exchange may have ended in it and the connection may be idle or closed.
 */
#include "proxy/upstream/upconn.h"

#include "config/endpoint.h"
#include "proxy/base/sys.h"
#include "proxy/http/head_write.h"

#include <errno.h>

#define UPCONN_MAGIC 0x7570636eu
#define HEAD_EXTRA   512   /* request line, framing fields and line ends */
#define BULK_FROM    16384 /* a body longer than this is read in large blocks */

static void on_io(struct io *io, enum io_event ev, void *owner);

static void on_idle_timeout(void *arg)
{
    upconn_close(CAST(upconn, UPCONN_MAGIC, arg));
}

static void on_grave(void *arg)
{
    struct upconn *u = CAST(upconn, UPCONN_MAGIC, arg);

    u->magic = 0;
    slab_put(&u->ep->pool->upconns, u);
}

/* Memory goes back before the endpoint may go: the endpoint counts it until then. */
static void bury(void *arg)
{
    struct upconn *u = arg;
    struct endpoint *ep = u->ep;

    on_grave(u);
    pool_closed(ep);
}

static bool speak_tls(struct upconn *u)
{
    struct endpoint *ep = u->ep;

    u->tls_epoch = tls_client_epoch(ep->tls);
    return io_connect_tls(&u->io, ep->tls, &ep->session,
                          endpoint_identity(str_of(ep->name), str_of(ep->from)));
}

struct upconn *upconn_connect(struct endpoint *ep, loop_cb *on_open)
{
    struct upconn *u = slab_get(&ep->pool->upconns);

    *u = (struct upconn){.magic = UPCONN_MAGIC, .ep = ep, .on_open = on_open};
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
        upconn_close(u);
        errno = EPROTO;
        return NULL;
    }
    return u;
}

void upconn_borrow(struct upconn *u, const struct codec_ops *ops, void *self, struct head *head)
{
    ASSERT(u->state == UPCONN_IDLE || u->state == UPCONN_CONNECTING);
    deadline_stop(&u->deadline);
    u->reused = u->state == UPCONN_IDLE;
    if (u->reused)
        u->state = UPCONN_HEAD;
    u->ops = ops;
    u->borrower = self;
    u->head = head;
    u->interim = 0;
    u->before = u->queued;
    u->heard = u->dirty = u->request_ended = u->chunked = false;
    u->upgrade = u->tunnel = false;
    u->trailer_room = STR_NONE;
}

void upconn_keep_trailers(struct upconn *u, char *room, size_t cap)
{
    u->trailer_room = (struct str){room, cap};
}

void upconn_close(struct upconn *u)
{
    if (u->state == UPCONN_CLOSED)
        return;
    if (u->state == UPCONN_IDLE)
        pool_remove(u->ep, u);
    deadline_stop(&u->deadline);
    io_close(&u->io);
    u->state = UPCONN_CLOSED;
    u->borrower = NULL;
    breaker_leave(u->ep->breaker, STATS_CONNECTIONS);
    loop_bury(u->io.set->loop, &u->grave, bury, u);
}

bool upconn_was_dead(const struct upconn *u, enum codec_abort why)
{
    return why == CODEC_RESET && u->reused && !u->heard;
}

bool upconn_stale(const struct upconn *u)
{
    return u->ep->tls && u->tls_epoch != tls_client_epoch(u->ep->tls);
}

bool upconn_unreached(const struct upconn *u)
{
    uint64_t acked;

    return !u->ep->tls && (u->io.eof || u->io.error == EPIPE) && sys_acked(u->io.fd, &acked) &&
           acked <= u->before;
}

void upconn_return(struct upconn *u)
{
    bool clean = u->state == UPCONN_ENDED && u->request_ended && !u->dirty && !u->single &&
                 u->head->keep_alive && !u->io.in && !u->io.eof && !u->io.out_bytes &&
                 !upconn_stale(u);

    if (u->tunnel)
        io_flush(&u->io); /* the last words of the client */
    u->borrower = NULL;
    u->head = NULL;
    u->state = clean ? UPCONN_IDLE : u->state;
    if (!clean || !pool_put(u->ep, u)) {
        u->state = clean ? UPCONN_ENDED : u->state; /* it is not in the pool */
        upconn_close(u);
        return;
    }
    io_idle(&u->io);
    deadline_start(&u->deadline, u->ep->pool->idle_queue);
}

/* ---- the request ---- */

void upconn_announce(struct upconn *u, struct str header)
{
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

void upconn_begin(struct upconn *u, enum method asked)
{
    h1_parser_response(&u->parser, asked);
    head_reset(u->head);
    u->asked = asked;
}

bool upconn_head(struct upconn *u, const struct head *req, const struct message *m)
{
    size_t need = req->size + m->path.n + m->extra.n + HEAD_EXTRA;
    struct out o;

    upconn_begin(u, req->method);
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

static bool welcome_more(struct upconn *u)
{
    if (u->io.out_bytes <= UPCONN_HIGH)
        return true;
    io_want_drained(&u->io);
    return false;
}

bool upconn_data(struct upconn *u, struct block *b)
{
    bool large = b->large;

    if (u->chunked)
        h1_block_chunk(b);
    u->queued += b->end - b->start;
    io_queue(&u->io, b);
    if (large)
        io_flush(&u->io);
    return welcome_more(u);
}

static void put(struct upconn *u, struct str s)
{
    u->queued += s.n;
    io_write(&u->io, s);
}

bool upconn_copy(struct upconn *u, struct str s)
{
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

void upconn_end(struct upconn *u, struct str trailers)
{
    if (u->chunked && trailers.n) {
        put(u, H1_CHUNK_ZERO);
        put(u, trailers);
        put(u, STR("\r\n"));
    } else if (u->chunked) {
        put(u, H1_CHUNK_LAST);
    }
    if (u->tunnel)
        io_end(&u->io);
    u->request_ended = true;
}

bool upconn_keeps_up(const struct upconn *u)
{
    return u->io.writable == NULL;
}

/* ---- the answer ---- */

static void broken(struct upconn *u, enum codec_abort why)
{
    u->dirty = true;
    u->ops->abort(u->borrower, why);
}

static void call_head(struct upconn *u)
{
    const struct head *h = u->head;
    struct message m = {
        .from = h,
        .status = h->status,
        .framing = h->framing,
        .length = h->length,
    };

    m.bodyless = h->framing == FRAMING_NONE;
    u->ops->head(u->borrower, &m);
}

/* True: the final head is complete, on with the body. */
static bool read_head(struct upconn *u)
{
    while (u->io.in && u->io.in->start < u->io.in->end) {
        struct str in = block_str(u->io.in);

        switch (h1_parse(&u->parser, u->head, in.p, in.n)) {
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
        u->io.in->start += u->head->size;
        if (u->head->status >= 200) {
            u->state = UPCONN_BODY;
            return true;
        }
        if (u->head->status == 101 && u->upgrade && u->head->upgrade) {
            u->tunnel = true;
            u->state = UPCONN_BODY;
            return true;
        }
        if (u->head->status == 101 || ++u->interim > UPCONN_INTERIM_MAX) {
            broken(u, CODEC_BAD);
            return false;
        }
        call_head(u);
        if (!u->borrower)
            return false;
        h1_parser_response(&u->parser, u->asked);
        head_reset(u->head);
    }
    return false;
}

static void end_answer(struct upconn *u)
{
    u->state = UPCONN_ENDED;
    u->ops->end(u->borrower, h1_body_trailers(&u->body));
}

/* What came with its head is looked at first: an answer that is broken, or that says it is the
 * last and has bytes behind its end, is refused as a whole. Others are only cut off there. */
static bool announce(struct upconn *u, enum h1_body_event e, bool rest)
{
    if (e == H1_BODY_BAD || (rest && !u->head->keep_alive && u->asked != METHOD_HEAD)) {
        broken(u, CODEC_BAD);
        return false;
    }
    call_head(u);
    return u->borrower != NULL;
}

/* The block also when nothing is left in it: the head lies there until it has gone on. */
static struct block *take_with_head(struct upconn *u)
{
    struct block *b = u->io.in;

    u->io.in = NULL;
    return b;
}

static void read_body(struct upconn *u, bool first)
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
        more = u->ops->data(u->borrower, b);
    else
        block_put(&u->io.set->blocks, b);
    if (!u->borrower)
        return;
    if (e == H1_BODY_END)
        end_answer(u);
    else if (e == H1_BODY_BAD)
        broken(u, CODEC_BAD);
    else if (!more)
        io_pause(&u->io);
}

static void on_data(struct upconn *u)
{
    if (u->state == UPCONN_IDLE || u->state == UPCONN_ENDED) {
        /* RFC 9112 9.2: no request is waiting for it. */
        if (u->state == UPCONN_IDLE)
            upconn_close(u);
        u->dirty = true;
        return;
    }
    u->heard = true;
    if (u->state == UPCONN_HEAD) {
        if (!read_head(u))
            return;
        h1_body_init(&u->body, u->tunnel ? FRAMING_CLOSE : u->head->framing, u->head->length);
        if (u->trailer_room.n)
            h1_body_keep_trailers(&u->body, (char *)u->trailer_room.p, u->trailer_room.n);
        u->io.bulk = u->head->framing == FRAMING_LENGTH && u->head->length > BULK_FROM;
        read_body(u, true);
        return;
    }
    read_body(u, false);
}

void upconn_resume(struct upconn *u)
{
    io_resume(&u->io);
}

static void on_eof(struct upconn *u)
{
    u->dirty = true;
    if (u->state == UPCONN_IDLE)
        upconn_close(u);
    else if (u->state == UPCONN_BODY && h1_body_eof(&u->body))
        end_answer(u);
    else if (u->state != UPCONN_ENDED)
        broken(u, CODEC_RESET);
}

static void on_error(struct upconn *u)
{
    u->dirty = true;
    if (u->state == UPCONN_IDLE)
        upconn_close(u);
    else if (u->state != UPCONN_ENDED || u->tunnel)
        broken(u, u->state == UPCONN_CONNECTING ? CODEC_REFUSED : CODEC_RESET);
}

static void on_open(struct upconn *u)
{
    u->state = UPCONN_HEAD;
    u->on_open(u->borrower);
}

static void on_io(struct io *io, enum io_event ev, void *owner)
{
    struct upconn *u = CAST(upconn, UPCONN_MAGIC, owner);

    (void)io;
    switch (ev) {
    case IO_OPEN:
        on_open(u);
        break;
    case IO_DATA:
        on_data(u);
        break;
    case IO_DRAINED:
        if (u->borrower)
            u->ops->resume(u->borrower);
        break;
    case IO_EOF:
        on_eof(u);
        break;
    case IO_ERROR:
        on_error(u);
        break;
    }
}
