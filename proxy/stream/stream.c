/*
 * stream.c - the life of one exchange: route, choose, try, answer, end.
 *
 * stream_enter is the only writer of `state`, stream_finish the only ending. A function that
 * called the connection or an attempt returns, or looks at `state` again.
 */
#include "proxy/stream/stream.h"

#include "proxy/base/hash.h"
#include "proxy/event/tls_server.h"
#include "proxy/http/uri.h"
#include "proxy/route/override.h"
#include "proxy/route/sticky.h"
#include "proxy/stream/action.h"
#include "proxy/stream/admit.h"
#include "proxy/stream/attempt.h"
#include "proxy/stream/flag_context.h"
#include "proxy/stream/forward.h"
#include "proxy/stream/hedge.h"
#include "proxy/stream/judged.h"
#include "proxy/stream/limits.h"
#include "proxy/stream/metrics.h"
#include "proxy/stream/mirror.h"
#include "proxy/stream/ofrep_events.h"
#include "proxy/stream/pending.h"
#include "proxy/stream/reply.h"
#include "proxy/stream/retry.h"

#define HOST_MAX  256
#define RING_SEED 0x52696e674b657973u

#define TO(s) (1u << STREAM_##s)
static const unsigned stream_edge[STREAM_NSTATES] = {
    [STREAM_READ] = TO(ROUTE) | TO(ANSWER) | TO(DONE), /* ANSWER: a malformed head */
    [STREAM_ROUTE] = TO(WAIT) | TO(ANSWER) | TO(DONE),
    [STREAM_QUEUE] = TO(WAIT) | TO(ANSWER) | TO(DONE),
    [STREAM_PAUSE] = TO(WAIT) | TO(ANSWER) | TO(DONE),
    [STREAM_WAIT] = TO(WAIT) | TO(QUEUE) | TO(PAUSE) | TO(ANSWER) | TO(DONE), /* a retry */
    [STREAM_ANSWER] = TO(DONE),
};

static void stream_enter(struct stream *s, enum stream_state to)
{
    ASSERT(stream_edge[s->state] & (1u << to));
    s->state = to;
    s->entered_us[to] = loop_now_us(s->plane->loop);
}

void stream_release_body(struct stream *s)
{
    deadline_stop(&s->expect);
    if (!s->hold)
        return;
    s->hold = false;
    s->to.ops->resume(s->to.self);
}

static void on_expect_timeout(void *arg)
{
    stream_release_body(CAST(stream, STREAM_MAGIC, arg));
}

static void on_delayed(void *arg)
{
    struct stream *s = CAST(stream, STREAM_MAGIC, arg);

    if (s->state == STREAM_QUEUE)
        pending_expired(s);
    else if (s->state == STREAM_WAIT)
        hedge_fire(s);
    else
        admit_delayed(s);
}

static void on_total_timeout(void *arg)
{
    struct stream *s = CAST(stream, STREAM_MAGIC, arg);
    bool client = s->attempt && attempt_awaits_client(s->attempt);

    if (s->attempt && !client)
        attempt_expired(s->attempt);
    stream_fail(s, client ? END_BODY_TIMEOUT : END_REQUEST_TIMEOUT, 0, STR_NONE);
}

struct stream *stream_new(struct plane *p, struct downstream to, struct str peer)
{
    struct stream *s = slab_get(&p->streams);

    memset(s, 0, offsetof(struct stream, parser));
    s->magic = STREAM_MAGIC;
    s->plane = p;
    s->to = to;
    s->client = s->peer = peer;
    s->wall_ms = loop_wall_ms(p->loop);
    s->entered_us[STREAM_READ] = loop_now_us(p->loop);
    s->replayable = true;
    s->max_body = UINT64_MAX;
    deadline_init(&s->expect, on_expect_timeout, s);
    deadline_init(&s->delay, on_delayed, s);
    deadline_init(&s->total, on_total_timeout, s);
    arena_init(&s->arena, s->room, sizeof(s->room));
    head_reset(&s->req);
    h1_parser_request(&s->parser);
    return s;
}

/* ---- the ending ---- */

static void drop_attempts(struct stream *s)
{
    struct attempt *a;

    while ((a = LIST_FIRST(&s->attempts)))
        attempt_finish(a);
}

struct str stream_protocol(const struct stream *s)
{
    if (s->to.http2)
        return STR("HTTP/2.0");
    return s->req.minor ? STR("HTTP/1.1") : STR("HTTP/1.0");
}

static void log_end(struct stream *s)
{
    struct access_entry e = {
        .wall_ms = s->wall_ms,
        .duration_us = s->entered_us[STREAM_DONE] - s->entered_us[STREAM_READ],
        .upstream_us = s->upstream_us,
        .bytes_in = s->bytes_in,
        .bytes_out = s->bytes_out,
        .request_id = s->request_id,
        .trace_id = s->trace_id,
        .client = s->client,
        .endpoint = s->endpoint_name,
        .end = ending_row(s->why)->word,
        .status = s->status,
        .grpc_status = s->rpc.on ? s->rpc.status : -1,
        .protocol = stream_protocol(s),
        .attempts = s->tries,
        .tls = s->to.tls ? str_of(s->to.tls->version) : STR_NONE,
    };

    if (s->entered_us[STREAM_ROUTE]) {
        e.method = head_span(&s->req, s->req.method_text);
        e.host = s->host;
        e.path = head_path(&s->req);
        e.referer = head_get(&s->req, FIELD_REFERER);
        e.user_agent = head_get(&s->req, FIELD_USER_AGENT);
    }
    if (s->tables)
        e.generation = s->tables->generation;
    if (s->service) {
        e.service = s->service->conf->name;
        e.rollout = s->service->conf->rollout;
    }
    if (s->version)
        e.version = s->version->conf->name;
    access_log_add(&s->plane->log, &e);
}

static void on_grave(void *arg)
{
    struct stream *s = CAST(stream, STREAM_MAGIC, arg);

    s->magic = 0;
    slab_put(&s->plane->streams, s);
}

void stream_finish(struct stream *s, enum ending why)
{
    struct downstream to = s->to;

    if (s->state == STREAM_DONE)
        return;
    if (!s->status && why == END_CLIENT_ABORT)
        s->status = 499;
    s->why = rpc_finish(s, why);
    stream_enter(s, STREAM_DONE);
    deadline_stop(&s->expect);
    deadline_stop(&s->delay);
    admit_end(s);
    pending_leave(s);
    mirror_leave(s);
    ofrep_events_leave(s);
    deadline_stop(&s->total);
    retry_end(s);
    drop_attempts(s);
    metrics_end(s);
    log_end(s);
    tables_unref(s->tables);
    arena_release(&s->arena);
    loop_bury(s->plane->loop, &s->grave, on_grave, s);
    to.over(to.self, s);
}

void stream_fail(struct stream *s, enum ending why, int status, struct str what)
{
    const struct ending_row *row = ending_row(why);

    if (s->state == STREAM_DONE)
        return;
    status = status ? status : row->status;
    if (s->state == STREAM_READ) { /* the head is not to be trusted */
        head_reset(&s->req);
        forward_ids(s);
    }
    if (why == END_CLIENT_ABORT)
        rpc_abandoned(s);
    drop_attempts(s);
    if (s->down == HALF_IDLE && status && s->rpc.on) {
        stream_enter(s, STREAM_ANSWER);
        rpc_refuse(s, why, status, what.n ? what : row->text);
    } else if (s->down == HALF_IDLE && status) {
        s->status = status;
        stream_enter(s, STREAM_ANSWER);
        reply_send(s, status, what.n ? what : row->text,
                   why == END_BAD_REQUEST || why == END_BAD_METHOD || why == END_BODY_TIMEOUT ||
                       why == END_OVERLOADED);
    } else if (!rpc_break(s, why)) {
        s->to.ops->abort(s->to.self, CODEC_RESET);
    }
    stream_finish(s, why);
}

void stream_reply(struct stream *s, enum ending why, int status, struct str extra,
                  struct str body)
{
    s->status = status;
    stream_enter(s, STREAM_ANSWER);
    reply_fixed(s, status, extra, body);
    stream_finish(s, why);
}

void stream_open_answer(struct stream *s, int status, struct str extra)
{
    s->status = status;
    s->down = HALF_OPEN;
    stream_enter(s, STREAM_ANSWER);
    reply_open(s, status, extra);
}

/* ---- routing ---- */

static bool read_target(struct stream *s)
{
    struct str path, query, authority = head_authority(&s->req);
    struct uri_authority a;
    char *room;

    if (authority.n) {
        if (!uri_authority_parse(authority, &a))
            return false;
        s->host = uri_host_lower(a.host, arena_alloc(&s->arena, HOST_MAX), HOST_MAX);
    }
    uri_split(head_path(&s->req), &path, &query);
    if (str_eq(path, STR("*"))) { /* OPTIONS * belongs to whoever has the root */
        s->path = STR("/");
        return true;
    }
    room = arena_alloc(&s->arena, path.n + 1);
    return uri_path_normalise(path, room, path.n + 1, &s->path) == URI_PATH_OK;
}

/* Not what the split hashes: the keys of a version would all lie in one part of its ring. */
static void note_key(struct stream *s, struct str key)
{
    if (s->service->conf->balance == CONF_BALANCE_RING_HASH)
        s->lb_key = hash64(key, s->service->salt ^ RING_SEED);
}

/* A host may want another proof of who the client is than this connection gave. */
static bool misdirected(const struct stream *s)
{
    const struct io_tls_facts *t = s->to.tls;

    return t && t->policy != tls_server_policy(t->server, s->host);
}

static size_t split(struct stream *s, struct service_row *row)
{
    const struct conf_sticky *sticky = &row->conf->sticky;
    struct str key;

    if (sticky->by == CONF_STICKY_NONE)
        return split_next(&row->split);
    if (!sticky_key(sticky, &s->req, s->client, &key)) {
        uint64_t random[2] = {rng_next(&s->plane->rng), rng_next(&s->plane->rng)};

        if (sticky->by != CONF_STICKY_COOKIE)
            return split_next(&row->split);
        sticky_mint(s->key, random);
        s->minted = true;
        key = (struct str){s->key, STICKY_KEY};
    }
    note_key(s, key);
    judged_key(s, key);
    return split_pick(&row->split, split_point(key, row->salt));
}

/* Override before sticky before weights. False: no version has weight. */
static bool choose_version(struct stream *s)
{
    struct service_row *row = s->service;
    const struct conf_override *o = override_match(row->conf, &s->req);
    size_t i;

    note_key(s, s->client);
    i = o ? o->version : split(s, row);

    if (i == SPLIT_NOBODY)
        return false;
    s->overridden = o != NULL;
    s->version = &row->versions[i];
    metrics_routed(s);
    return true;
}

static void try_endpoints(struct stream *s)
{
    do {
        uint32_t i = retry_pick(s);

        if (i == BALANCE_NONE) {
            stream_fail(s, END_NO_ENDPOINT, 0, STR_NONE);
            return;
        }
        stream_enter(s, STREAM_WAIT);
        switch (pending_start(s, i)) {
        case ATTEMPT_UNDER_WAY:
            if (s->state == STREAM_WAIT)
                hedge_arm(s);
            return;
        case ATTEMPT_FULL:
            stream_enter(s, STREAM_QUEUE);
            pending_wait(s);
            return;
        case ATTEMPT_FAILED:
            break;
        }
    } while (retry_allowed(s, END_CONNECT_FAILED, true, false));
    stream_fail(s, END_CONNECT_FAILED, 0, STR_NONE);
}

void stream_try(struct stream *s)
{
    try_endpoints(s);
    if (s->state == STREAM_WAIT)
        s->to.ops->resume(s->to.self); /* the body was held back */
}

const struct route_row *stream_route_row(const struct stream *s)
{
    return &s->tables->routes[s->route - s->tables->conf->routes];
}

static void enter_service(struct stream *s)
{
    const struct route_row *row = stream_route_row(s);

    s->service = &s->tables->services[s->route->service];
    deadline_start(&s->total, row->timeout ? row->timeout : s->service->request);
    s->flag_lines = flag_context_lines(s);
    forward_strip_flags(s);
    action_strip(&s->route->request, &s->req);
}

/* False: the exchange has ended. */
static bool route(struct stream *s)
{
    flag_context_begin(s);
    s->route = router_match(s->tables->router, s->host, s->path, flag_context_route, s);
    if (!s->route)
        stream_fail(s, END_NO_ROUTE, 0, STR_NONE);
    else if (!action_path(s))
        stream_fail(s, END_BAD_REQUEST, 0, STR("the route does not take this path"));
    else if (s->route->service != CONF_NO_SERVICE)
        enter_service(s);
    return s->state == STREAM_ROUTE;
}

/* It may be answered. */
static void choose(struct stream *s)
{
    if (!s->service) {
        action_answer(s);
        return;
    }
    if (!limits_admit(s)) {
        stream_fail(s, END_MAX_REQUESTS, 0, STR_NONE);
        return;
    }
    retry_budget_ask(&s->service->budget, loop_now_us(s->plane->loop));
    if (!choose_version(s)) {
        stream_fail(s, END_NO_ENDPOINT, 0, STR_NONE);
        return;
    }
    if (s->service->mirror)
        mirror_begin(s);
    s->hold = s->req.expect && s->up == HALF_OPEN && s->req.minor;
    if (s->hold)
        deadline_start(&s->expect, s->plane->expect_queue);
    try_endpoints(s);
}

void stream_proceed(struct stream *s)
{
    choose(s);
    if (s->state != STREAM_DONE)
        s->to.ops->resume(s->to.self);
}

void stream_start(struct stream *s)
{
    stream_enter(s, STREAM_ROUTE);
    metrics_begin(s);
    forward_ids(s);
    forward_client(s);
    rpc_begin(s);
    s->tables = tables_ref(s->plane->tables);
    if (s->req.method == METHOD_CONNECT || s->req.method == METHOD_TRACE) {
        stream_fail(s, END_BAD_METHOD, 0, STR_NONE);
        return;
    }
    if (!read_target(s)) {
        metrics_violation(s->plane, STATS_BAD_TARGET);
        stream_fail(s, END_BAD_REQUEST, 0, STR_NONE);
        return;
    }
    if (misdirected(s)) { /* RFC 9110 15.5.20 */
        stream_fail(s, END_MISDIRECTED, 0, STR_NONE);
        return;
    }
    if (s->plane->overload.over) {
        stat_add(&s->plane->stats->overload_refused, 1);
        stream_fail(s, END_OVERLOADED, 0, STR_NONE);
        return;
    }
    if (!s->tables) {
        stream_fail(s, END_NO_CONFIG, 0, STR_NONE);
        return;
    }
    if (ofrep_call_begin(s)) {
        ofrep_call_start(s);
        return;
    }
    if (!route(s))
        return;
    s->up = s->req.framing == FRAMING_NONE ? HALF_ENDED : HALF_OPEN;
    if (s->route->guarded && !admit_start(s))
        return;
    choose(s);
}

/* ---- the request's body, going up ---- */

bool stream_body_kept(struct stream *s, struct str bytes)
{
    if (!s->kept.n)
        s->kept.p = bytes.p;
    s->kept.n += bytes.n;
    s->bytes_in += bytes.n;
    if (s->bytes_in > s->max_body) {
        stream_fail(s, END_BODY_TOO_LARGE, 0, STR_NONE);
        return true;
    }
    if (s->call)
        return ofrep_call_body(s, bytes);
    mirror_body(s, bytes);
    return !s->attempt || attempt_body_kept(s->attempt, bytes);
}

bool stream_body(struct stream *s, struct block *b)
{
    s->bytes_in += b->end - b->start;
    if (s->bytes_in > s->max_body) {
        block_put(&s->plane->ios.blocks, b);
        stream_fail(s, END_BODY_TOO_LARGE, 0, STR_NONE);
        return true;
    }
    if (s->call) {
        bool more = ofrep_call_body(s, block_str(b));

        block_put(&s->plane->ios.blocks, b);
        return more;
    }
    mirror_body(s, block_str(b));
    if (s->attempt)
        return attempt_body(s->attempt, b);
    block_put(&s->plane->ios.blocks, b);
    return true;
}

void stream_body_end(struct stream *s, struct str trailers)
{
    s->trailers = trailers;
    s->up = HALF_ENDED;
    if (s->call) {
        ofrep_call_body_end(s);
        return;
    }
    mirror_body_end(s);
    if (s->attempt) {
        attempt_body_end(s->attempt);
        if (s->state == STREAM_WAIT)
            hedge_arm(s);
    }
    if (s->tunnel && s->down == HALF_ENDED)
        stream_finish(s, END_TUNNEL);
}

void stream_forget_body(struct stream *s)
{
    if (s->call)
        ofrep_call_keep(s);
    s->replayable = false;
    s->kept = STR_NONE;
}

/* ---- the answer, coming down ---- */

void stream_interim(struct stream *s, const struct message *m)
{
    struct message relayed = *m;

    if (s->req.minor && s->down == HALF_IDLE) {
        forward_answer(s, &relayed);
        s->to.ops->head(s->to.self, &relayed);
    }
    if (m->status == 100)
        stream_release_body(s);
}

void stream_answer(struct stream *s, const struct message *m)
{
    struct message relayed = *m;

    s->status = m->status;
    if (s->tunnel)
        deadline_stop(&s->total); /* the exchange is over, the tunnel begins */
    s->down = HALF_OPEN;
    /* A body that still waits for 100 is not wanted any more (RFC 9110 10.1.1). */
    relayed.last = s->up != HALF_ENDED;
    if (s->tunnel) { /* what follows is no body, and comes from both sides */
        s->max_body = UINT64_MAX;
        s->up = HALF_OPEN;
    }
    stream_enter(s, STREAM_ANSWER);
    rpc_relay(s, &relayed);
    forward_answer(s, &relayed);
    s->to.ops->head(s->to.self, &relayed);
}

bool stream_answer_data(struct stream *s, struct block *b)
{
    s->bytes_out += b->end - b->start;
    return s->to.ops->data(s->to.self, b);
}

void stream_answer_end(struct stream *s, struct str trailers)
{
    s->down = HALF_ENDED;
    s->to.ops->end(s->to.self, trailers);
    if (s->tunnel && s->up == HALF_OPEN)
        return; /* the client may have more to say */
    stream_finish(s, s->tunnel ? END_TUNNEL : END_DONE);
}

void stream_resume(struct stream *s)
{
    if (s->call)
        ofrep_events_resume(s);
    else if (s->attempt)
        attempt_resume(s->attempt);
}

/* The attempt failed and another one may be made. */
static void try_again(struct stream *s, bool at_once)
{
    uint64_t pause = at_once ? 0 : retry_pause_ms(s);

    attempt_finish(s->attempt);
    deadline_stop(&s->delay);
    if (pause == 0) {
        try_endpoints(s);
        return;
    }
    stream_enter(s, STREAM_PAUSE);
    retry_pause(s, pause);
}

void stream_attempt_failed(struct attempt *a, enum ending why, bool nothing_sent, bool stale)
{
    struct stream *s = a->stream;

    if (!attempt_alone(a)) { /* the other one may still be answered */
        attempt_finish(a);
        return;
    }
    if (!retry_allowed(s, why, nothing_sent, stale)) {
        stream_fail(s, why, 0, STR_NONE);
        return;
    }
    s->fresh = stale;
    try_again(s, stale);
}

bool stream_retry_status(struct stream *s, int status)
{
    if (!retry_status_allowed(s, status))
        return false;
    s->fresh = false;
    s->rpc.status = -1;
    try_again(s, false);
    return true;
}
