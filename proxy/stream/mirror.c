/* mirror.c - copies of requests for another version, whose answers nobody waits for. */
#include "proxy/stream/mirror.h"

#include "proxy/http/head_write.h"
#include "proxy/route/predicate.h"
#include "proxy/stream/announce.h"
#include "proxy/stream/forward.h"
#include "proxy/stream/mirror_state.h"
#include "proxy/upstream/upconn.h"

#define MIRROR_MAGIC      0x6d697272u
#define MIRROR_SEED       0x6d6972726f72ull
#define MIRROR_HEAD_EXTRA 1024      /* request line, own fields and line ends */
#define MIRROR_ANSWER_MAX (1 << 20) /* bytes of an answer's body that are read */

static const struct codec_ops mirror_ops;

/* Row 0 is nobody's. */
static struct stats_version *counters(struct plane *p, const struct mirror_row *row)
{
    uint32_t cell = row->to.conf->cell;

    return &p->stats->versions[cell < STATS_VERSIONS ? cell : 0];
}

static void count(struct plane *p, const struct mirror_row *row, enum stats_mirror what)
{
    stat_add(&counters(p, row)->mirrored[what], 1);
}

static void on_grave(void *arg)
{
    struct mirror *m = CAST(mirror, MIRROR_MAGIC, arg);

    m->magic = 0;
    slab_put(&m->plane->mirrors, m);
}

static void drop_text(struct mirror *m)
{
    struct block *b;

    while ((b = STAILQ_FIRST(&m->text))) {
        STAILQ_REMOVE_HEAD(&m->text, link);
        block_put(&m->plane->ios.blocks, b);
    }
    m->row->budget->held -= m->held;
}

/* The only ending. */
static void finish(struct mirror *m, enum stats_mirror what)
{
    count(m->plane, m->row, what);
    if (m->waits_for)
        m->waits_for->mirror = NULL;
    LIST_REMOVE(m, link);
    deadline_stop(&m->deadline);
    m->ep->in_flight--;
    if (m->conn)
        upconn_return(m->conn);
    m->conn = NULL;
    drop_text(m);
    tables_unref(m->tables);
    loop_bury(m->plane->loop, &m->grave, on_grave, m);
}

static void on_deadline(void *arg)
{
    finish(CAST(mirror, MIRROR_MAGIC, arg), STATS_MIRROR_TIMEOUT);
}

/* ---- who is copied ---- */

static bool method_mirrored(const struct conf_mirror *c, const struct head *h)
{
    if (c->nmethods == 0)
        return h->method == METHOD_GET || h->method == METHOD_HEAD;
    return predicate_method(c->methods, c->nmethods, h);
}

/*
 * With a key the same clients are always among the chosen, and raising the share only adds to
 * them; their points have nothing to do with those of the split. Without one, every so many.
 */
static bool is_chosen(struct stream *s, struct mirror_row *row)
{
    const struct conf_sticky *sticky = &s->service->conf->sticky;
    uint32_t percent = s->service->conf->mirror.percent;
    struct str key = {s->key, s->minted ? STICKY_KEY : 0};

    if (s->minted ||
        (sticky->by != CONF_STICKY_NONE && sticky_key(sticky, &s->req, s->client, &key)))
        return split_point(key, s->service->salt ^ MIRROR_SEED) <
               percent * (SPLIT_POINTS / 100);
    row->credit += percent;
    if (row->credit < 100)
        return false;
    row->credit -= 100;
    return true;
}

/* A copy of a copy would be one too many, and one of an upgrade has nobody to talk to. */
static bool is_for_mirror(const struct stream *s, const struct mirror_row *row)
{
    return s->version->conf != row->to.conf && !s->req.upgrade &&
           method_mirrored(&s->service->conf->mirror, &s->req) &&
           !(s->trusted && head_has(&s->req, FIELD_X_SLUICE_MIRROR));
}

/* Copies under way to the endpoints of ROW: they outlive a snapshot. */
static uint32_t under_way(const struct mirror_row *row)
{
    uint32_t n = 0;

    for (size_t i = 0; i < row->to.conf->nendpoints; i++)
        n += row->to.used[i]->in_flight;
    return n;
}

/* ---- its text ---- */

/* The head but for the length of its body. False: it does not fit. */
static bool write_head(struct stream *s, struct block *b)
{
    struct message m;
    struct out o = out_init(b->data + b->end, block_room(b));

    forward_request(s, &m);
    head_write_request_to(&o, &s->req, m.path);
    head_write_end_to_end(&o, m.from, m.skip);
    out_put(&o, m.extra);
    head_write_known(&o, STR("X-Sluice-Mirror"), STR("1"));
    b->end += (uint32_t)o.n;
    return !o.full;
}

static uint32_t size_of(bool large)
{
    return large ? BLOCK_LARGE : BLOCK_SMALL;
}

/* The first block for the copy of S. NULL: *WHY_NOT. */
static struct block *begin_text(struct stream *s, const struct mirror_row *row,
                                enum stats_mirror *why_not)
{
    uint64_t body = s->req.framing == FRAMING_LENGTH ? s->req.length : 0;
    uint64_t need = s->req.size + MIRROR_HEAD_EXTRA + body;
    bool large = need > BLOCK_SMALL / 2 || s->req.framing == FRAMING_CHUNKED;
    uint64_t whole = need > size_of(large) ? need : size_of(large);
    struct block *b;

    *why_not = STATS_MIRROR_LARGE;
    if (body > s->service->conf->mirror.max_body)
        return NULL;
    *why_not = STATS_MIRROR_MEMORY;
    if (row->budget->held + whole > row->most_held)
        return NULL;
    b = block_get(&s->plane->ios.blocks, large);
    if (write_head(s, b))
        return b;
    block_put(&s->plane->ios.blocks, b);
    *why_not = STATS_MIRROR_LARGE;
    return NULL;
}

static void add_block(struct mirror *m, struct block *b)
{
    STAILQ_INSERT_TAIL(&m->text, b, link);
    m->last = b;
    m->held += size_of(b->large);
    m->row->budget->held += size_of(b->large);
}

/* False: copies hold too much. */
static bool append(struct mirror *m, struct str bytes)
{
    m->body += bytes.n;
    while (bytes.n) {
        size_t room = block_room(m->last), n = room < bytes.n ? room : bytes.n;

        if (n == 0) {
            if (m->row->budget->held + BLOCK_LARGE > m->row->most_held)
                return false;
            add_block(m, block_get(&m->plane->ios.blocks, true));
            continue;
        }
        block_append(m->last, (struct str){bytes.p, n});
        bytes = str_skip(bytes, n);
    }
    return true;
}

/* ---- its way ---- */

static void on_open(void *arg)
{
    (void)CAST(mirror, MIRROR_MAGIC, arg);
}

/* Where the request goes: a kept connection, unless one was dead already. NULL: nowhere. */
static struct upconn *connection(struct mirror *m, const struct stream *s)
{
    int announce = s ? s->service->conf->proxy_protocol : 0;
    struct upconn *u = announce ? NULL : pool_take(m->ep, m->fresh, on_open);

    if (announce)
        return announce_connect(s, m->ep, announce, on_open);
    return u ? u : upconn_connect(m->ep, on_open);
}

/* The head, its end, and what the first block holds of the body: copied, to be sent again. */
static void queue_first(struct mirror *m)
{
    struct str text = block_str(STAILQ_FIRST(&m->text));

    upconn_text(m->conn, m->asked, (struct str){text.p, m->head_end}, m->has_body, m->body);
    (void)upconn_copy(m->conn, str_skip(text, m->head_end));
}

/* The others are given away. They stay in the budget until the copy ends. */
static void queue_rest(struct mirror *m)
{
    struct block *first = STAILQ_FIRST(&m->text), *b;

    STAILQ_REMOVE_HEAD(&m->text, link);
    while ((b = STAILQ_FIRST(&m->text))) {
        STAILQ_REMOVE_HEAD(&m->text, link);
        (void)upconn_data(m->conn, b);
    }
    STAILQ_INSERT_HEAD(&m->text, first, link);
    m->last = first;
}

/* S: its stream, or NULL for a second time on a connection of its own. */
static void send_copy(struct mirror *m, const struct stream *s)
{
    m->fresh |= STAILQ_FIRST(&m->text) != m->last;
    m->conn = connection(m, s);
    if (!m->conn) {
        finish(m, STATS_MIRROR_FAILED);
        return;
    }
    m->sent_us = loop_now_us(m->plane->loop);
    upconn_borrow(m->conn, &mirror_ops, m, &m->resp);
    queue_first(m);
    queue_rest(m);
    upconn_end(m->conn, STR_NONE);
}

static struct mirror *mirror_new(struct stream *s, struct mirror_row *row, struct block *text,
                                 struct endpoint *ep)
{
    struct mirror *m = slab_get(&s->plane->mirrors);

    memset(m, 0, offsetof(struct mirror, resp));
    m->magic = MIRROR_MAGIC;
    m->plane = s->plane;
    m->tables = tables_ref(s->tables);
    m->row = row;
    m->ep = ep;
    STAILQ_INIT(&m->text);
    add_block(m, text);
    m->head_end = text->end - text->start;
    m->has_body = s->req.framing != FRAMING_NONE;
    m->asked = s->req.method;
    ep->in_flight++;
    LIST_INSERT_HEAD(&s->plane->copies, m, link);
    deadline_init(&m->deadline, on_deadline, m);
    deadline_start(&m->deadline, row->timeout);
    return m;
}

void mirror_begin(struct stream *s)
{
    struct mirror_row *row = s->service->mirror;
    struct pick p = {
        .rng = &s->plane->rng, .now_us = loop_now_us(s->plane->loop), .key = s->lb_key};
    enum stats_mirror why_not;
    struct block *text;
    struct mirror *m;
    uint32_t i;

    if (!is_for_mirror(s, row) || !is_chosen(s, row))
        return;
    i = balance_pick(&row->to.balance, &p);
    if (i == BALANCE_NONE || under_way(row) >= row->most) {
        count(s->plane, row, i == BALANCE_NONE ? STATS_MIRROR_FAILED : STATS_MIRROR_BUSY);
        return;
    }
    text = begin_text(s, row, &why_not);
    if (!text) {
        count(s->plane, row, why_not);
        return;
    }
    m = mirror_new(s, row, text, row->to.targets[i].ep);
    if (s->up == HALF_OPEN) {
        s->mirror = m;
        m->waits_for = s;
    } else {
        send_copy(m, s);
    }
}

void mirror_body(struct stream *s, struct str bytes)
{
    struct mirror *m = s->mirror;

    if (!m)
        return;
    if (m->body + bytes.n > s->service->conf->mirror.max_body)
        finish(m, STATS_MIRROR_LARGE);
    else if (!append(m, bytes))
        finish(m, STATS_MIRROR_MEMORY);
}

void mirror_body_end(struct stream *s)
{
    struct mirror *m = s->mirror;

    s->mirror = NULL;
    if (!m)
        return;
    m->waits_for = NULL;
    send_copy(m, s);
}

void mirror_leave(struct stream *s)
{
    if (s->mirror)
        finish(s->mirror, STATS_MIRROR_CUT);
}

void mirror_close_all(struct plane *p)
{
    struct mirror *m;

    while ((m = LIST_FIRST(&p->copies)))
        finish(m, STATS_MIRROR_CUT);
}

/* ---- its answer ---- */

static void finish_answered(struct mirror *m)
{
    struct stats_version *v = counters(m->plane, m->row);
    uint64_t took = loop_now_us(m->plane->loop) - m->sent_us;

    stat_add(&v->mirror_sum_us, took);
    stat_add(&v->mirror_duration[hist_bucket(took)], 1);
    finish(m, m->status < 500 ? STATS_MIRROR_OK : STATS_MIRROR_ERROR);
}

static void on_head(void *self, const struct message *msg)
{
    CAST(mirror, MIRROR_MAGIC, self)->status = msg->status;
}

static bool on_data(void *self, struct block *b)
{
    struct mirror *m = CAST(mirror, MIRROR_MAGIC, self);

    m->received += b->end - b->start;
    block_put(&m->plane->ios.blocks, b);
    if (m->received > MIRROR_ANSWER_MAX)
        finish_answered(m);
    return true;
}

static void on_end(void *self, struct str trailers)
{
    (void)trailers;
    finish_answered(CAST(mirror, MIRROR_MAGIC, self));
}

/* Once more, if a kept connection was dead or an HTTP/2 server left it alone: what refuses
 * every request is not asked for ever, and a text that went out in part is not sent in part. */
static void on_abort(void *self, enum codec_abort why)
{
    struct mirror *m = CAST(mirror, MIRROR_MAGIC, self);

    if (m->fresh || !upconn_was_dead(m->conn, why)) {
        finish(m, STATS_MIRROR_FAILED);
        return;
    }
    upconn_return(m->conn);
    m->fresh = true;
    send_copy(m, NULL);
}

static void on_resume(void *self)
{
    (void)CAST(mirror, MIRROR_MAGIC, self); /* all of the request is queued already */
}

static const struct codec_ops mirror_ops = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .abort = on_abort,
    .resume = on_resume,
};
