/*
 * rpc.c - an exchange that is a gRPC call.
 *
 * Deadlines come from clients, queues of them should be few: the time that is left is waited
 * for in steps of powers of two, each of which has a queue.
 */
#include "proxy/stream/rpc.h"

#include "proxy/stream/attempt.h"
#include "proxy/stream/reply.h"

#define TRAILERS_MAX  256
#define ABANDON_US    10000u /* a client's last moment before its deadline: so much, */
#define ABANDON_SHARE 32     /* and this part of all the time it gave */

/* ---- the deadline ---- */

static uint64_t left_us(uint64_t until_us, uint64_t now_us)
{
    return until_us > now_us ? until_us - now_us : 0;
}

static void await(struct stream *s)
{
    uint64_t left = left_us(s->rpc.until_us, loop_now_us(s->plane->loop));
    uint64_t ms = left > 1000 ? (left + 999) / 1000 : 1;

    deadline_start(&s->rpc.deadline,
                   deadline_queue(s->plane->deadlines, 1ull << (63 - __builtin_clzll(ms))));
}

/* The endpoint did not answer in time, if it was asked in full. */
static void blame_endpoint(struct stream *s)
{
    bool error = s->service && s->service->conf->grpc_errors & 1u << GRPC_DEADLINE_EXCEEDED;

    if (error && s->attempt && !attempt_awaits_client(s->attempt))
        attempt_expired(s->attempt);
}

static void on_deadline(void *arg)
{
    struct stream *s = CAST(stream, STREAM_MAGIC, arg);

    if (left_us(s->rpc.until_us, loop_now_us(s->plane->loop))) {
        await(s);
        return;
    }
    blame_endpoint(s);
    stream_fail(s, END_GRPC_DEADLINE, 0, STR_NONE);
}

void rpc_begin(struct stream *s)
{
    struct rpc *r = &s->rpc;
    uint64_t us;

    if (!grpc_type(head_get(&s->req, FIELD_CONTENT_TYPE)))
        return;
    r->on = true;
    r->status = -1;
    s->req.trailers = true; /* without them there is no gRPC */
    if (!grpc_timeout_parse(head_get(&s->req, FIELD_GRPC_TIMEOUT), &us))
        return;
    r->until_us = loop_now_us(s->plane->loop) + us;
    deadline_init(&r->deadline, on_deadline, s);
    await(s);
}

void rpc_put_timeout(struct stream *s, struct out *o)
{
    uint64_t until = s->rpc.until_us;

    if (!s->rpc.on)
        return;
    if (s->total.queue && (until == 0 || s->total.at_us < until))
        until = s->total.at_us;
    if (until == 0)
        return;
    for (size_t i = 0; i < s->req.nfields; i++)
        s->req.fields[i].hop |= s->req.fields[i].id == FIELD_GRPC_TIMEOUT;
    out_put(o, STR("grpc-timeout: "));
    grpc_timeout_write(o, left_us(until, loop_now_us(s->plane->loop)));
    out_put(o, STR("\r\n"));
}

/* ---- the answer ---- */

static bool is_empty(const struct message *m)
{
    return m->framing == FRAMING_NONE || (m->framing == FRAMING_LENGTH && m->length == 0);
}

void rpc_note_head(struct stream *s, const struct message *m)
{
    struct str told = head_get(m->from, FIELD_GRPC_STATUS);
    struct rpc *r = &s->rpc;

    if (!r->on)
        return;
    r->sized = m->framing == FRAMING_LENGTH;
    r->status = -1;
    if (told.p)
        r->status = (int)grpc_status_parse(told);
    else if (m->status != 200)
        r->status = (int)grpc_status_of_http(m->status);
    if (r->status == GRPC_OK && !is_empty(m)) /* too early to say */
        r->status = -1;
}

void rpc_note_end(struct stream *s, struct str trailers)
{
    int told = s->rpc.on ? grpc_status_of_lines(trailers) : -1;

    if (told >= 0)
        s->rpc.status = told;
    else if (rpc_open(s))
        s->rpc.status = GRPC_UNKNOWN;
}

bool rpc_open(const struct stream *s)
{
    return s->rpc.on && s->rpc.status < 0;
}

bool rpc_failed(const struct stream *s)
{
    return s->rpc.on && s->rpc.status > 0 && s->service &&
           s->service->conf->grpc_errors & 1u << s->rpc.status;
}

void rpc_relay(const struct stream *s, struct message *m)
{
    if (s->rpc.on && s->to.http2 && is_empty(m) && head_has(m->from, FIELD_GRPC_STATUS))
        m->bodyless = true;
}

/* ---- endings ---- */

static enum grpc_status status_of(enum ending why, int http)
{
    switch (why) {
    case END_GRPC_DEADLINE:
    case END_REQUEST_TIMEOUT:
        return GRPC_DEADLINE_EXCEEDED;
    case END_BODY_TOO_LARGE:
        return GRPC_RESOURCE_EXHAUSTED;
    default:
        return grpc_status_of_http(http);
    }
}

void rpc_refuse(struct stream *s, enum ending why, int status, struct str what)
{
    s->rpc.status = (int)status_of(why, status);
    s->status = 200;
    reply_grpc(s, (enum grpc_status)s->rpc.status, what);
}

bool rpc_break(struct stream *s, enum ending why)
{
    const struct ending_row *row = ending_row(why);
    struct out o;

    if (!s->rpc.on || !s->to.http2 || s->down != HALF_OPEN || s->rpc.sized ||
        row->blame == BLAME_CLIENT)
        return false;
    s->rpc.status = (int)status_of(why, row->status);
    s->down = HALF_ENDED;
    o = out_init(arena_alloc(&s->arena, TRAILERS_MAX), TRAILERS_MAX);
    head_write_u64(&o, STR("grpc-status"), (uint64_t)s->rpc.status);
    out_put(&o, STR("grpc-message: "));
    grpc_message_write(&o, row->text);
    out_put(&o, STR("\r\n"));
    ASSERT(!o.full);
    s->to.ops->end(s->to.self, out_text(&o));
    return true;
}

void rpc_abandoned(struct stream *s)
{
    struct rpc *r = &s->rpc;
    uint64_t all = r->until_us - s->entered_us[STREAM_ROUTE];

    if (!r->until_us ||
        left_us(r->until_us, loop_now_us(s->plane->loop)) > ABANDON_US + all / ABANDON_SHARE)
        return;
    r->late = true;
    blame_endpoint(s);
}

enum ending rpc_finish(struct stream *s, enum ending why)
{
    struct rpc *r = &s->rpc;

    if (!r->on)
        return why;
    deadline_stop(&r->deadline);
    if (why == END_CLIENT_ABORT && r->late)
        why = END_GRPC_DEADLINE;
    if (r->status >= 0)
        return why;
    if (why == END_GRPC_DEADLINE)
        r->status = GRPC_DEADLINE_EXCEEDED;
    else if (ending_row(why)->blame == BLAME_CLIENT)
        r->status = GRPC_CANCELLED;
    else
        r->status = (int)(s->status == 200 ? GRPC_UNAVAILABLE : grpc_status_of_http(s->status));
    return why;
}
