/*
 * lane.c - one exchange on an HTTP/2 connection.
 *
 * Invariant: every call to the borrower, but for head() and the end of an answer without a
 * body, is made from on_turn, which runs after the events of a turn; each is followed by a look
 * at `borrower`.
 */
#include "proxy/upstream/lane.h"

#include "proxy/http/head_write.h"

#define LANE_MAGIC 0x6c616e32u
#define HEAD_EXTRA 512 /* request line, framing fields and line ends */

static const struct upconn_kind kind;

static struct lane *of(struct upconn *up)
{
    struct lane *l = CONTAINER_OF(up, struct lane, up);

    ASSERT(l->magic == LANE_MAGIC);
    return l;
}

static const struct lane *of_const(const struct upconn *up)
{
    return CONTAINER_OF(up, const struct lane, up);
}

static struct lane *of_exchange(struct h2_exchange *x)
{
    struct lane *l = CONTAINER_OF(x, struct lane, x);

    ASSERT(l->magic == LANE_MAGIC);
    return l;
}

static struct pool *pool_of(const struct lane *l)
{
    return l->pool;
}

static struct blocks *blocks_of(const struct lane *l)
{
    return &pool_of(l)->ios->blocks;
}

/* ---- to the borrower ---- */

static void on_turn(void *arg);

static void stir(struct lane *l)
{
    loop_post(pool_of(l)->ios->loop, &l->post, on_turn, l);
}

/* Until the borrower has enough. What it took may come anew. */
static void pass_on(struct lane *l)
{
    struct block *b;

    while (l->up.borrower && !l->full && (b = STAILQ_FIRST(&l->in))) {
        STAILQ_REMOVE_HEAD(&l->in, link);
        l->owed += b->end - b->start;
        l->full = !l->up.ops->data(l->up.borrower, b);
    }
    if (!l->up.borrower || l->full || !l->owed || !l->conn)
        return;
    h2_client_consume(l->conn->session, &l->x, l->owed);
    l->owed = 0;
    upconn2_stir(l->conn);
}

static void on_turn(void *arg)
{
    struct lane *l = CAST(lane, LANE_MAGIC, arg);

    if (l->opened) {
        l->opened = false;
        l->up.on_open(l->up.borrower);
    }
    pass_on(l);
    if (!l->up.borrower)
        return;
    if (l->over && !l->told && STAILQ_EMPTY(&l->in)) {
        l->told = true;
        l->up.ops->end(l->up.borrower, l->fields ? block_str(l->fields) : STR_NONE);
    } else if (l->broken && !l->told) {
        l->told = true;
        l->up.ops->abort(l->up.borrower, l->why);
    } else if (l->asking && l->out_bytes <= UPCONN_HIGH / 2) {
        l->asking = false;
        l->up.ops->resume(l->up.borrower);
    }
}

static void break_off(struct lane *l, enum codec_abort why)
{
    if (l->over || l->broken)
        return;
    l->broken = true;
    l->why = why;
    stir(l);
}

/* ---- what comes in ---- */

static void call_head(struct lane *l)
{
    const struct head *h = l->up.head;
    struct message m = {
        .from = h,
        .status = h->status,
        .framing = h->framing,
        .length = h->length,
        .bodyless = h->framing == FRAMING_NONE,
    };

    l->up.ops->head(l->up.borrower, &m);
}

/* The answer is nothing but its head: whoever got it knows that, and does not wait for a turn.
 */
static void call_end(struct lane *l)
{
    l->over = l->told = true;
    l->up.ops->end(l->up.borrower, STR_NONE);
}

static bool on_head(void *self, struct h2_exchange *x, struct h2_fields *f, bool last)
{
    struct lane *l = of_exchange(x);
    struct block *text;

    (void)self;
    if (!h2_fields_response(f, last, x->asked, l->up.head, &text))
        return false;
    x->answered = l->up.head->status >= 200;
    if (!x->answered && (l->up.head->status == 101 || ++l->interim > UPCONN_INTERIM_MAX)) {
        block_put(blocks_of(l), text);
        return false;
    }
    last |= x->answered && l->up.head->framing == FRAMING_NONE;
    call_head(l);
    block_put(blocks_of(l), text);
    if (last && l->up.borrower)
        call_end(l);
    return true;
}

static bool on_data(void *self, struct h2_exchange *x, struct str bytes)
{
    struct lane *l = of_exchange(x);

    (void)self;
    if (l->up.head->framing == FRAMING_NONE)
        return false;
    block_list_append(blocks_of(l), &l->in, bytes);
    stir(l);
    return true;
}

static void on_end(void *self, struct h2_exchange *x, struct str trailers)
{
    struct lane *l = of_exchange(x);

    (void)self;
    if (trailers.n) {
        l->fields = block_get(blocks_of(l), false);
        block_append(l->fields, trailers);
    }
    l->over = true;
    stir(l);
}

static struct h2_piece on_pull(void *self, struct h2_exchange *x, char *to, size_t cap)
{
    struct lane *l = of_exchange(x);
    struct h2_piece piece = {0};

    (void)self;
    piece.n = block_list_take(blocks_of(l), &l->out, to, cap);
    l->out_bytes -= (uint32_t)piece.n;
    if (l->asking)
        stir(l);
    piece.last = l->ended && l->out_bytes == 0;
    if (piece.last && l->trailers)
        piece.trailers = block_str(l->trailers);
    return piece;
}

static void on_closed(void *self, struct h2_exchange *x, enum h2_close how)
{
    struct lane *l = of_exchange(x);

    (void)self;
    l->untouched = how == H2_CLOSE_UNTOUCHED;
    break_off(l, how == H2_CLOSE_BAD ? CODEC_BAD : CODEC_RESET);
}

/* ---- the request ---- */

/* The first word to the server. */
static void send_head(struct lane *l)
{
    struct upconn2 *u = l->conn;

    l->heard = u->heard;
    if (!h2_client_request(u->session, &l->x, block_str(l->text), l->bodyless)) {
        l->untouched = u->leaving = true;
        break_off(l, CODEC_RESET);
    }
    block_put(blocks_of(l), l->text);
    l->text = NULL;
    upconn2_stir(u);
}

static void write_head(struct out *o, const struct head *req, const struct message *m)
{
    head_write_request_to(o, req, m->path);
    head_write_end_to_end(o, m->from, m->skip);
    out_put(o, m->extra);
    if (m->framing == FRAMING_LENGTH)
        head_write_u64(o, STR("Content-Length"), m->length);
    head_write_end(o);
}

static bool put_head(struct upconn *up, const struct head *req, const struct message *m)
{
    size_t need = req->size + m->path.n + m->extra.n + HEAD_EXTRA;
    struct lane *l = of(up);
    struct out o;

    l->text = block_get(blocks_of(l), need > BLOCK_SMALL);
    o = out_init(l->text->data + l->text->end, block_room(l->text));
    write_head(&o, req, m);
    if (o.full)
        return false;
    l->text->end += (uint32_t)o.n;
    l->x.asked = req->method;
    l->bodyless = m->framing == FRAMING_NONE;
    if (l->conn)
        send_head(l);
    return true;
}

static bool welcome_more(struct lane *l)
{
    if (l->conn)
        h2_client_more(l->conn->session, &l->x);
    if (l->conn)
        upconn2_stir(l->conn);
    l->asking = l->out_bytes > UPCONN_HIGH;
    return !l->asking;
}

static bool put_data(struct upconn *up, struct block *b)
{
    struct lane *l = of(up);

    l->out_bytes += b->end - b->start;
    STAILQ_INSERT_TAIL(&l->out, b, link);
    return welcome_more(l);
}

static bool put_copy(struct upconn *up, struct str s)
{
    struct lane *l = of(up);

    l->out_bytes += (uint32_t)s.n;
    block_list_append(blocks_of(l), &l->out, s);
    return welcome_more(l);
}

static void put_end(struct upconn *up, struct str trailers)
{
    struct lane *l = of(up);

    l->ended = true;
    if (trailers.n) {
        l->trailers = block_get(blocks_of(l), false);
        block_append(l->trailers, trailers);
    }
    (void)welcome_more(l);
}

static void put_text(struct upconn *up, enum method asked, struct str head, bool has_body,
                     uint64_t body)
{
    struct lane *l = of(up);
    struct out o;

    l->text = block_get(blocks_of(l), head.n + HEAD_EXTRA > BLOCK_SMALL);
    block_append(l->text, head);
    o = out_init(l->text->data + l->text->end, block_room(l->text));
    if (has_body)
        head_write_u64(&o, STR("Content-Length"), body);
    head_write_end(&o);
    l->text->end += (uint32_t)o.n;
    l->x.asked = asked;
    l->bodyless = !has_body;
    if (l->conn)
        send_head(l);
}

static void resume(struct upconn *up)
{
    struct lane *l = of(up);

    l->full = false;
    stir(l);
}

static bool is_open(const struct upconn *up)
{
    return of_const(up)->conn != NULL;
}

/* Neither its window nor the socket is full. */
static bool keeps_up(const struct upconn *up)
{
    const struct lane *l = of_const(up);

    return l->out_bytes == 0 && (!l->conn || l->conn->io.writable == NULL);
}

static uint32_t unsent(const struct upconn *up)
{
    const struct lane *l = of_const(up);

    return l->out_bytes + (l->conn ? l->conn->io.out_bytes : 0);
}

static size_t untaken(const struct upconn *up)
{
    const struct lane *l = of_const(up);

    return l->out_bytes + (l->conn ? io_untaken(&l->conn->io) : 0);
}

static bool was_dead(const struct upconn *up, enum codec_abort why)
{
    const struct lane *l = of_const(up);

    return why == CODEC_RESET && (l->untouched || l->stale);
}

static bool unreached(const struct upconn *up)
{
    return of_const(up)->untouched;
}

/* ---- life ---- */

static struct lane *lane_new(struct endpoint *ep, loop_cb *on_open)
{
    struct lane *l = slab_get(&ep->pool->lanes);

    *l = (struct lane){.magic = LANE_MAGIC,
                       .pool = ep->pool,
                       .up = {.kind = &kind, .ep = ep, .on_open = on_open}};
    STAILQ_INIT(&l->in);
    STAILQ_INIT(&l->out);
    return l;
}

static void wait(struct lane *l)
{
    struct share *s = &l->up.ep->share;

    l->waiting = true;
    s->nwaiting++;
    TAILQ_INSERT_TAIL(&s->waiting, l, link);
    upconn2_stir_waiting(l->up.ep);
}

static void wait_no_more(struct lane *l)
{
    struct share *s = &l->up.ep->share;

    if (!l->waiting)
        return;
    l->waiting = false;
    s->nwaiting--;
    TAILQ_REMOVE(&s->waiting, l, link);
}

static void go_on(struct lane *l, struct upconn2 *u)
{
    l->conn = u;
    l->reused = u->carried > 0;
    upconn2_attach(u, l);
}

void lane_board(struct lane *l, struct upconn2 *u)
{
    wait_no_more(l);
    go_on(l, u);
    l->opened = true;
    stir(l);
    if (l->text)
        send_head(l);
}

void lane_lose(struct lane *l, enum codec_abort why)
{
    l->untouched |= l->waiting;
    wait_no_more(l);
    if (l->conn) {
        l->stale = l->reused && l->heard == l->conn->heard;
        upconn2_detach(l->conn, l);
        l->conn = NULL;
        l->x.id = 0;
    }
    break_off(l, why);
}

struct upconn *lane_take(struct endpoint *ep, loop_cb *on_open)
{
    struct upconn2 *u = NULL;
    struct lane *l;

    if (!upconn2_admits(ep))
        return NULL;
    if (ep->share.nwaiting == 0) /* nobody is overtaken */
        LIST_FOREACH (u, &ep->share.conns, link)
            if (upconn2_has_room(u))
                break;
    l = lane_new(ep, on_open);
    if (u)
        go_on(l, u);
    else
        wait(l);
    return &l->up;
}

struct upconn *lane_connect(struct endpoint *ep, loop_cb *on_open)
{
    struct lane *l;

    if (!upconn2_open(ep))
        return NULL;
    l = lane_new(ep, on_open);
    wait(l);
    return &l->up;
}

static void borrowed(struct upconn *up)
{
    (void)of(up); /* it was made for this borrower */
}

static void on_grave(void *arg)
{
    struct lane *l = CAST(lane, LANE_MAGIC, arg);
    struct pool *p = pool_of(l);

    l->magic = 0;
    slab_put(&p->lanes, l);
}

static void give_back(struct upconn *up)
{
    struct lane *l = of(up);
    struct blocks *bs = blocks_of(l);

    l->up.borrower = NULL;
    l->up.head = NULL;
    loop_unpost(pool_of(l)->ios->loop, &l->post);
    wait_no_more(l);
    if (l->conn) {
        h2_client_leave(l->conn->session, &l->x);
        upconn2_detach(l->conn, l);
        l->conn = NULL;
    }
    block_list_drop(bs, &l->in);
    block_list_drop(bs, &l->out);
    block_put(bs, l->text);
    block_put(bs, l->trailers);
    block_put(bs, l->fields);
    loop_bury(pool_of(l)->ios->loop, &l->grave, on_grave, l);
}

static void on_settled(void *self)
{
    upconn2_settled(self);
}

static void on_leaving(void *self)
{
    upconn2_leaving(self);
}

static void on_pong(void *self)
{
    (void)self; /* that something came is enough */
}

const struct h2_client_events lane_events = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .pull = on_pull,
    .closed = on_closed,
    .settled = on_settled,
    .leaving = on_leaving,
    .pong = on_pong,
};

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
