/*
 * attempt.c - one try to have a request answered by one endpoint.
 *
 * Calls into the stream are the last statement of a function: the stream may end the attempt.
 */
#include "proxy/stream/attempt.h"

#include "proxy/http/websocket.h"
#include "proxy/stream/announce.h"
#include "proxy/stream/forward.h"
#include "proxy/stream/hedge.h"
#include "proxy/stream/judged.h"
#include "proxy/stream/metrics.h"
#include "proxy/stream/pending.h"
#include "proxy/stream/retry.h"
#include "proxy/upstream/outlier.h"
#include "proxy/upstream/upconn.h"

#define ATTEMPT_MAGIC 0x61747470u

static const struct codec_ops answer_ops;

static void start_deadline(struct attempt *a, enum ending why)
{
    const struct service_row *s = a->stream->service;
    struct deadline_queue *q = why == END_CONNECT_TIMEOUT      ? s->connect
                               : why == END_FIRST_BYTE_TIMEOUT ? s->first_byte
                                                               : s->idle;

    a->on_deadline = why;
    a->waiting_bytes = a->conn ? upconn_unsent(a->conn) : 0;
    deadline_start(&a->deadline, q);
}

/* What is awaited now that the connection stands. */
static void await_progress(struct attempt *a)
{
    bool asked = a->stream->up == HALF_ENDED || a->stream->hold;

    start_deadline(a, asked && !a->answered ? END_FIRST_BYTE_TIMEOUT : END_IDLE_TIMEOUT);
}

/* What the balancer learns: 0 is a failure, else the answer's status. */
static void teach(struct attempt *a, int status)
{
    struct stream *s = a->stream;
    const struct conf_outlier *c = &s->service->conf->outlier;
    uint64_t now = loop_now_us(s->plane->loop);

    if (status && status < 500)
        latency_observe(&a->endpoint->latency, s->upstream_us, now);
    if (!c->enabled)
        return;
    if (status && status < 500)
        (void)outlier_answered(&s->version->balance, c, a->endpoint, s->upstream_us, now);
    else
        (void)outlier_failed(&s->version->balance, c, a->endpoint, now);
}

/* Not for a stale pooled connection: that is nobody's failure. */
static void count_failure(struct attempt *a, enum ending why)
{
    bool connecting = why == END_CONNECT_FAILED || why == END_CONNECT_TIMEOUT;

    teach(a, 0);
    if (connecting)
        metrics_connect_failed(a->stream);
    if (!a->stats)
        return;
    if (connecting) {
        stat_add(&a->stats->connect_failed, 1);
        return;
    }
    if (!a->answered)
        stat_add(&a->stats->requests, 1);
    stat_add(&a->stats->errors, 1);
}

/* Slowly, but the body is taken: wait on. The kernel is asked only here, so what it holds
 * counts as movement the first time. */
static bool still_moving(struct attempt *a)
{
    uint32_t untaken = (uint32_t)upconn_untaken(a->conn);

    if (untaken == a->waiting_bytes)
        return false;
    start_deadline(a, END_IDLE_TIMEOUT);
    a->waiting_bytes = untaken;
    return true;
}

bool attempt_awaits_client(const struct attempt *a)
{
    const struct stream *s = a->stream;

    return s->up == HALF_OPEN && !s->hold && !s->paused && a->forwarded_us &&
           upconn_keeps_up(a->conn);
}

static void on_deadline(void *arg)
{
    struct attempt *a = CAST(attempt, ATTEMPT_MAGIC, arg);
    bool tunnel = a->stream->tunnel;

    if (a->on_deadline == END_IDLE_TIMEOUT && !a->answered && attempt_awaits_client(a)) {
        start_deadline(a, END_IDLE_TIMEOUT); /* how long that may take is the listener's */
        return;
    }
    if (a->on_deadline == END_IDLE_TIMEOUT && (!a->answered || tunnel) && still_moving(a))
        return;
    if (tunnel) {
        stream_finish(a->stream, END_TUNNEL_IDLE);
        return;
    }
    count_failure(a, a->on_deadline);
    stream_attempt_failed(a, a->on_deadline, a->on_deadline == END_CONNECT_TIMEOUT, false);
}

void attempt_expired(struct attempt *a)
{
    count_failure(a, END_REQUEST_TIMEOUT);
}

/* retry.per_try_timeout */
static void on_patience_lost(void *arg)
{
    struct attempt *a = CAST(attempt, ATTEMPT_MAGIC, arg);
    bool connecting = a->forwarded_us == 0;
    enum ending why = connecting ? END_CONNECT_TIMEOUT : END_TRY_TIMEOUT;

    count_failure(a, why);
    stream_attempt_failed(a, why, connecting, false);
}

static void forwarded(struct attempt *a)
{
    a->forwarded_us = loop_now_us(a->stream->plane->loop);
    await_progress(a);
}

static void on_open(void *arg)
{
    forwarded(CAST(attempt, ATTEMPT_MAGIC, arg));
}

static struct attempt *attempt_new(struct stream *s, const struct target *t)
{
    struct attempt *a = slab_get(&s->plane->attempts);

    memset(a, 0, offsetof(struct attempt, resp));
    a->magic = ATTEMPT_MAGIC;
    a->stream = s;
    a->plane = s->plane;
    a->endpoint = t->ep;
    a->stats =
        t->cell && t->cell < STATS_ENDPOINTS ? &s->plane->stats->endpoints[t->cell] : NULL;
    deadline_init(&a->deadline, on_deadline, a);
    deadline_init(&a->patience, on_patience_lost, a);
    a->endpoint->in_flight++;
    if (a->stats)
        stat_add(&a->stats->in_flight, 1);
    a->hedge = s->hedging;
    LIST_INSERT_HEAD(&s->attempts, a, link);
    if (!s->attempt)
        s->attempt = a;
    s->tried[s->tries++ % ARRAY_LEN(s->tried)] = t->ep;
    s->endpoint_name = str_of(t->ep->name);
    return a;
}

/* Head and what is there of the body. False: the head does not fit. */
static bool send_request(struct attempt *a)
{
    struct stream *s = a->stream;
    struct message m;

    forward_request(s, &m);
    if (!upconn_head(a->conn, &s->req, &m))
        return false;
    if (!s->hold && s->kept.n)
        (void)upconn_copy(a->conn, s->kept);
    if (s->up == HALF_ENDED)
        upconn_end(a->conn, s->trailers);
    return true;
}

enum attempt_begin attempt_start(struct stream *s, const struct target *t)
{
    int announce = s->service->conf->proxy_protocol;
    struct upconn *pooled = NULL;
    struct attempt *a;

    if (!breaker_turn(t->ep->breaker, &s->waiter))
        return ATTEMPT_FULL;
    if (!announce)
        pooled = pool_take(t->ep, s->fresh, on_open);
    if (!pooled && !breaker_enter(t->ep->breaker, STATS_CONNECTIONS))
        return ATTEMPT_FULL;
    pending_leave(s);
    a = attempt_new(s, t);
    if (announce)
        a->conn = announce_connect(s, t->ep, announce, on_open);
    else
        a->conn = pooled ? pooled : upconn_connect(t->ep, on_open);
    if (!a->conn) {
        count_failure(a, END_CONNECT_FAILED);
        attempt_finish(a);
        return ATTEMPT_FAILED;
    }
    upconn_borrow(a->conn, &answer_ops, a, &a->resp);
    if (s->req.trailers)
        upconn_keep_trailers(a->conn, arena_alloc(&s->arena, H1_TRAILER_MAX), H1_TRAILER_MAX);
    if (!send_request(a)) {
        stream_fail(s, END_BAD_REQUEST, 431, STR("the request head is too large to forward"));
        return ATTEMPT_UNDER_WAY;
    }
    if (upconn_is_open(a->conn))
        forwarded(a);
    else
        start_deadline(a, END_CONNECT_TIMEOUT);
    if (s->up == HALF_ENDED)
        deadline_start(&a->patience, s->service->per_try);
    return ATTEMPT_UNDER_WAY;
}

static void on_grave(void *arg)
{
    struct attempt *a = CAST(attempt, ATTEMPT_MAGIC, arg);

    a->magic = 0;
    slab_put(&a->plane->attempts, a);
}

void attempt_finish(struct attempt *a)
{
    struct stream *s = a->stream;

    deadline_stop(&a->deadline);
    deadline_stop(&a->patience);
    a->endpoint->in_flight--;
    if (a->stats)
        stat_sub(&a->stats->in_flight, 1);
    LIST_REMOVE(a, link);
    if (s->attempt == a)
        s->attempt = LIST_FIRST(&s->attempts);
    if (a->conn)
        upconn_return(a->conn);
    a->conn = NULL;
    loop_bury(s->plane->loop, &a->grave, on_grave, a);
}

bool attempt_alone(const struct attempt *a)
{
    return LIST_FIRST(&a->stream->attempts) == a && !LIST_NEXT(a, link);
}

void attempt_lose(struct attempt *a)
{
    uint64_t now = loop_now_us(a->plane->loop);
    uint64_t took = a->forwarded_us ? now - a->forwarded_us : 0;
    const struct conf_outlier *c = &a->stream->service->conf->outlier;

    hedge_observe(a);
    if (took > latency_at(&a->endpoint->latency, now)) /* at least so long */
        latency_observe(&a->endpoint->latency, took, now);
    if (c->enabled && took)
        (void)outlier_outrun(&a->stream->version->balance, c, a->endpoint, took, now);
    attempt_finish(a);
}

/* ---- the request ---- */

bool attempt_body_kept(struct attempt *a, struct str bytes)
{
    if (a->forwarded_us)
        await_progress(a);
    return upconn_copy(a->conn, bytes);
}

bool attempt_body(struct attempt *a, struct block *b)
{
    if (a->forwarded_us)
        await_progress(a);
    return upconn_data(a->conn, b);
}

void attempt_body_end(struct attempt *a)
{
    upconn_end(a->conn, a->stream->trailers);
    if (!a->answered)
        deadline_start(&a->patience, a->stream->service->per_try);
    if (a->forwarded_us)
        forwarded(a);
}

void attempt_resume(struct attempt *a)
{
    start_deadline(a, END_IDLE_TIMEOUT);
    upconn_resume(a->conn);
}

/* ---- the answer ---- */

/* STATUS came, and for a gRPC call its own. */
static void observe_status(struct attempt *a, int status)
{
    if (rpc_failed(a->stream))
        status = 500;
    teach(a, status);
    if (a->stats && status >= 500)
        stat_add(&a->stats->errors, 1);
}

static void observe_head(struct attempt *a, const struct message *m)
{
    struct stream *s = a->stream;

    a->answered = true;
    deadline_stop(&a->patience);
    s->upstream_us = loop_now_us(s->plane->loop) - a->forwarded_us;
    hedge_observe(a);
    judged_answer(s, a->endpoint);
    if (a->stats)
        stat_add(&a->stats->requests, 1);
    rpc_note_head(s, m);
    if (!rpc_open(s))
        observe_status(a, m->status);
}

static void on_abort(void *self, enum codec_abort why);

/* A key of ours was answered as one that was understood is (RFC 6455 4.1). */
static bool switched(const struct attempt *a)
{
    struct str key = a->stream->websocket;

    return !key.n || websocket_accepted(key, head_get(&a->resp, FIELD_SEC_WEBSOCKET_ACCEPT));
}

static void on_head(void *self, const struct message *m)
{
    struct attempt *a = CAST(attempt, ATTEMPT_MAGIC, self);

    if (m->status < 200 && !a->conn->tunnel) {
        await_progress(a);
        if (attempt_alone(a)) /* else the other one may win */
            stream_interim(a->stream, m);
        return;
    }
    if (a->conn->tunnel && !switched(a)) {
        on_abort(a, CODEC_BAD);
        return;
    }
    a->stream->tunnel = a->conn->tunnel;
    observe_head(a, m);
    if (!hedge_settle(a, m->status))
        return;
    if ((m->status >= 400 || a->stream->rpc.status > 0) &&
        stream_retry_status(a->stream, m->status))
        return;
    start_deadline(a, END_IDLE_TIMEOUT);
    stream_answer(a->stream, m);
}

static bool on_data(void *self, struct block *b)
{
    struct attempt *a = CAST(attempt, ATTEMPT_MAGIC, self);
    struct stream *s = a->stream;
    bool more = stream_answer_data(s, b);

    if (s->attempt != a)
        return true;
    if (more)
        start_deadline(a, END_IDLE_TIMEOUT);
    else
        deadline_stop(&a->deadline); /* it is the client that we wait for */
    return more;
}

static void on_end(void *self, struct str trailers)
{
    struct attempt *a = CAST(attempt, ATTEMPT_MAGIC, self);
    bool open = rpc_open(a->stream);

    rpc_note_end(a->stream, trailers);
    if (open)
        observe_status(a, a->stream->status);
    stream_answer_end(a->stream, trailers);
}

/* Was the pooled connection closed before it carried anything of this request? That matters for
 * requests that must not be carried out twice, and costs a system call. */
static bool unreached(const struct attempt *a, bool stale)
{
    return stale && !retry_repeatable(a->stream) && upconn_unreached(a->conn);
}

static void on_abort(void *self, enum codec_abort why)
{
    static const enum ending endings[] = {
        [CODEC_REFUSED] = END_CONNECT_FAILED,
        [CODEC_RESET] = END_UPSTREAM_RESET,
        [CODEC_BAD] = END_UPSTREAM_BAD,
    };
    struct attempt *a = CAST(attempt, ATTEMPT_MAGIC, self);
    bool stale = upconn_was_dead(a->conn, why);

    if (a->stream->tunnel) {
        stream_finish(a->stream, END_TUNNEL);
        return;
    }
    if (why == CODEC_BAD)
        metrics_violation(a->plane, STATS_BAD_RESPONSE);
    if (!stale)
        count_failure(a, endings[why]);
    stream_attempt_failed(a, endings[why], why == CODEC_REFUSED || unreached(a, stale), stale);
}

static void on_resume(void *self)
{
    struct attempt *a = CAST(attempt, ATTEMPT_MAGIC, self);

    await_progress(a);
    a->stream->to.ops->resume(a->stream->to.self);
}

static const struct codec_ops answer_ops = {
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .abort = on_abort,
    .resume = on_resume,
};
