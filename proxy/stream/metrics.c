/* metrics.c - what an exchange leaves behind in the worker's slab. */
#include "proxy/stream/metrics.h"

#include "proxy/stream/judged.h"

static const uint8_t methods[METHOD_COUNT] = {
    [METHOD_OTHER] = STATS_METHOD_OTHER,   [METHOD_GET] = STATS_METHOD_GET,
    [METHOD_HEAD] = STATS_METHOD_HEAD,     [METHOD_POST] = STATS_METHOD_POST,
    [METHOD_PUT] = STATS_METHOD_PUT,       [METHOD_PATCH] = STATS_METHOD_PATCH,
    [METHOD_DELETE] = STATS_METHOD_DELETE, [METHOD_OPTIONS] = STATS_METHOD_OPTIONS,
    [METHOD_TRACE] = STATS_METHOD_OTHER,   [METHOD_CONNECT] = STATS_METHOD_OTHER,
};

/* The slab row of the stream's version; row 0 is "no version". */
static struct stats_version *row(struct stream *s)
{
    uint32_t cell = s->version ? s->version->conf->cell : 0;

    return &s->plane->stats->versions[cell < STATS_VERSIONS ? cell : 0];
}

void metrics_begin(struct stream *s)
{
    stat_add(&s->plane->stats->requests_total, 1);
    stat_add(&s->plane->stats->requests_in_flight, 1);
}

void metrics_routed(struct stream *s)
{
    struct stats_version *v = row(s);

    stat_add(s->overridden ? &v->overridden : &v->routed, 1);
    stat_add(&v->in_flight, 1);
    stat_set(&v->last_routed_us, loop_now_us(s->plane->loop));
}

void metrics_connect_failed(struct stream *s)
{
    stat_add(&row(s)->connect_failed, 1);
}

void metrics_pending(struct stream *s, enum ending why)
{
    struct stats_version *v = row(s);

    stat_add(why == END_PENDING_FULL ? &v->pending_overflows : &v->pending_timeouts, 1);
}

void metrics_hedge(struct stream *s, bool won)
{
    struct stats_version *v = row(s);

    stat_add(won ? &v->hedges_won : &v->hedges, 1);
}

static bool judged(const struct stream *s)
{
    bool refused = s->why == END_NO_ENDPOINT || s->why == END_PENDING_FULL ||
                   s->why == END_PENDING_TIMEOUT;

    return s->version && (s->tries > 0 || refused) &&
           (ending_row(s->why)->blame != BLAME_CLIENT || s->down != HALF_IDLE);
}

static void observe_judge(struct stream *s, struct stats_version *v)
{
    bool error =
        s->status >= 500 || rpc_failed(s) || ending_row(s->why)->blame == BLAME_VERSION;

    if (!judged(s))
        return;
    stat_add(&v->judged, 1);
    if (error)
        stat_add(&v->errors, 1);
    judged_note(s, v, error);
}

static void observe_time(struct stream *s, struct stats_version *v)
{
    uint64_t end = s->entered_us[s->tunnel ? STREAM_ANSWER : STREAM_DONE];
    uint64_t took = end - s->entered_us[STREAM_ROUTE]; /* a tunnel's life is no latency */

    stat_add(&v->duration_sum_us, took);
    stat_add(&v->duration[hist_bucket(took)], 1);
    exemplar_note(v->exemplars, s->trace_id, took, loop_wall_ms(s->plane->loop));
    if (!s->upstream_us)
        return;
    stat_add(&v->first_byte_sum_us, s->upstream_us);
    stat_add(&v->first_byte[hist_bucket(s->upstream_us)], 1);
}

static void observe_plane(struct stream *s)
{
    struct stats_slab *slab = s->plane->stats;

    if (s->why == END_NO_ROUTE)
        stat_add(&slab->no_route, 1);
    else if (s->why == END_NO_ENDPOINT)
        stat_add(&slab->no_endpoint, 1);
    else if (s->why == END_BAD_REQUEST || s->why == END_BAD_METHOD ||
             s->why == END_HEAD_TIMEOUT)
        stat_add(&slab->rejected, 1);
    if (s->entered_us[STREAM_ROUTE])
        stat_sub(&slab->requests_in_flight, 1);
}

void metrics_end(struct stream *s)
{
    struct stats_version *v = row(s);

    observe_plane(s);
    if (s->version)
        stat_sub(&v->in_flight, 1);
    if (s->status)
        stat_add(&v->requests[stats_code_index(s->status)][methods[s->req.method]], 1);
    if (s->rpc.on)
        stat_add(&v->grpc[s->rpc.status], 1);
    if (s->why == END_CLIENT_ABORT)
        stat_add(&v->client_aborts, 1);
    if (s->tries > 1 + s->hedges)
        stat_add(&v->retries, s->tries - 1 - s->hedges);
    stat_add(&v->bytes_in, s->bytes_in);
    stat_add(&v->bytes_out, s->bytes_out);
    observe_judge(s, v);
    if (s->version && s->status)
        observe_time(s, v);
}

void metrics_violation(struct plane *p, unsigned k)
{
    if (k < STATS_NBAD)
        stat_add(&p->stats->violations[k], 1);
}

void metrics_forgiven(struct plane *p, uint32_t kinds)
{
    for (; kinds; kinds &= kinds - 1)
        stat_add(&p->stats->forgiven[__builtin_ctz(kinds)], 1);
}
