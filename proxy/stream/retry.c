/* retry.c - whether a request that failed is tried again, and when. */
#include "proxy/stream/retry.h"

#include "proxy/base/mem.h"

/* After connections that turned out dead, and requests that HTTP/2 servers left alone. */
#define FREE_TRIES 8

static const struct conf_retry *conf(const struct stream *s)
{
    return &s->service->conf->retry;
}

static unsigned status_bit(int status)
{
    static const uint16_t listed[] = {
#define X(s) s,
        CONF_RETRY_STATUSES(X)
#undef X
    };

    for (size_t i = 0; i < ARRAY_LEN(listed); i++)
        if (listed[i] == status)
            return CONF_RETRY_STATUS << i;
    return 0;
}

/* Of the status that a call's answer has in its head. */
static unsigned grpc_bit(const struct stream *s)
{
    static const unsigned bits[GRPC_STATUS_COUNT] = {
#define X(id, name) [GRPC_##id] = CONF_RETRY_GRPC_##id,
        CONF_RETRY_GRPC(X)
#undef X
    };

    return s->rpc.status > 0 ? bits[s->rpc.status] : 0;
}

bool retry_status_listed(const struct stream *s, int status)
{
    unsigned on = conf(s)->on;

    return on & grpc_bit(s) || (status >= 400 && (on & status_bit(status) ||
                                                  (status >= 500 && on & CONF_RETRY_5XX)));
}

bool retry_repeatable(const struct stream *s)
{
    static const unsigned bits[METHOD_COUNT] = {
        [METHOD_GET] = CONF_METHOD_GET,         [METHOD_HEAD] = CONF_METHOD_HEAD,
        [METHOD_POST] = CONF_METHOD_POST,       [METHOD_PUT] = CONF_METHOD_PUT,
        [METHOD_PATCH] = CONF_METHOD_PATCH,     [METHOD_DELETE] = CONF_METHOD_DELETE,
        [METHOD_OPTIONS] = CONF_METHOD_OPTIONS,
    };

    return conf(s)->methods & bits[s->req.method];
}

static bool pay(struct stream *s)
{
    return retry_budget_take(&s->service->budget, conf(s)->budget, loop_now_us(s->plane->loop));
}

/* One more may begin; then it is spent. The budget last: what it gave is not given back. */
static bool spend(struct stream *s, bool budget)
{
    if (s->tries - s->extra_tries >= conf(s)->attempts)
        return false;
    if (!s->retrying && !breaker_enter(s->version->breaker, STATS_RETRYING))
        return false;
    if (budget && !pay(s)) {
        if (!s->retrying)
            breaker_leave(s->version->breaker, STATS_RETRYING);
        return false;
    }
    s->retrying = true;
    return true;
}

bool retry_allowed(struct stream *s, enum ending why, bool nothing_sent, bool stale)
{
    unsigned on = conf(s)->on;

    if (s->down != HALF_IDLE || !s->replayable || (!nothing_sent && !retry_repeatable(s)))
        return false;
    if (stale && s->extra_tries < FREE_TRIES) {
        s->extra_tries++;
        return true;
    }
    if (nothing_sent) /* that cost the upstream nothing */
        return on & CONF_RETRY_CONNECT && spend(s, false);
    if (why == END_UPSTREAM_RESET)
        return on & CONF_RETRY_RESET && spend(s, true);
    return (why == END_FIRST_BYTE_TIMEOUT || why == END_TRY_TIMEOUT) &&
           on & CONF_RETRY_TIMEOUT && spend(s, true);
}

bool retry_status_allowed(struct stream *s, int status)
{
    if (!retry_status_listed(s, status) || s->down != HALF_IDLE || !s->replayable ||
        (!retry_repeatable(s) && !(conf(s)->on & grpc_bit(s))))
        return false;
    /* Whoever is asked again at once says the same. */
    return (s->version->balance.nlive > 1 || conf(s)->backoff.base_ms) && spend(s, true);
}

uint64_t retry_pause_ms(struct stream *s)
{
    const struct conf_backoff *c = &conf(s)->backoff;
    unsigned counted = s->tries - s->extra_tries, before = counted ? counted - 1 : 0;
    uint64_t longest = c->base_ms << (before < 16 ? before : 16);

    if (longest > c->max_ms)
        longest = c->max_ms;
    return longest ? rng_next(&s->plane->rng) % (longest + 1) : 0;
}

static void on_timer(void *arg)
{
    struct stream *s = arg;

    s->paused = false;
    stream_try(s);
}

void retry_pause(struct stream *s, uint64_t ms)
{
    s->paused = true;
    if (!s->pause) {
        s->pause = arena_zalloc(&s->arena, sizeof(*s->pause));
        timer_init(s->pause, s->plane->loop, on_timer, s);
    }
    timer_start(s->pause, ms);
}

bool retry_asked(const struct stream *s, const struct endpoint *ep)
{
    for (unsigned i = 0; i < s->tries && i < ARRAY_LEN(s->tried); i++)
        if (s->tried[i] == ep)
            return true;
    return false;
}

/* Instead of I, one that was not asked yet, if there is any. */
static uint32_t elsewhere(const struct stream *s, uint32_t i)
{
    const struct balance *b = &s->version->balance;
    uint32_t at = b->place[i];

    for (uint32_t k = 0; k < b->nlive; k++) {
        uint32_t other = b->live[(at + k) % b->nlive];

        if (!retry_asked(s, b->targets[other].ep))
            return other;
    }
    return i;
}

uint32_t retry_pick(struct stream *s)
{
    struct balance *b = &s->version->balance;
    bool anew = s->tries == 0 || s->fresh;
    struct pick p = {.rng = &s->plane->rng,
                     .now_us = loop_now_us(s->plane->loop),
                     .key = s->lb_key,
                     .avoid = anew ? NULL : s->tried[(s->tries - 1) % ARRAY_LEN(s->tried)]};
    uint32_t cursor = b->cursor, i = balance_pick(b, &p);

    if (i == BALANCE_NONE || s->tries == 0)
        return i;
    b->cursor = cursor; /* or the next request would begin where this one did */
    return anew ? i : elsewhere(s, i);
}

void retry_end(struct stream *s)
{
    if (s->pause)
        timer_stop(s->pause);
    if (s->retrying)
        breaker_leave(s->version->breaker, STATS_RETRYING);
    s->retrying = false;
}
