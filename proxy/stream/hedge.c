/* hedge.c - a second attempt beside a slow one. */
#include "proxy/stream/hedge.h"

#include "proxy/stream/metrics.h"
#include "proxy/stream/retry.h"

#define TIMES_HALF_US  10000000u
#define TIMES_FRESH_US 1000000u
#define TIMES_ENOUGH   100 /* first attempts, before they say anything */

static const struct conf_hedge *conf(const struct stream *s)
{
    return &s->service->conf->hedge;
}

void hedge_observe(const struct attempt *a)
{
    struct hedge_times *t = a->stream->service->hedge_times;

    if (t && !a->hedge && a->forwarded_us)
        t->counts[hist_bucket(loop_now_us(a->plane->loop) - a->forwarded_us)]++;
}

static void fade(struct hedge_times *t, uint64_t now)
{
    if (now - t->faded_us < TIMES_HALF_US)
        return;
    t->faded_us = now;
    for (int i = 0; i < HIST_BUCKETS; i++)
        t->counts[i] /= 2;
}

/* How long to wait for an answer. Durations are those of the histogram's buckets, so there are
 * few queues. */
static struct deadline_queue *after(struct stream *s)
{
    struct hedge_times *t = s->service->hedge_times;
    uint64_t now = loop_now_us(s->plane->loop), ms;

    if (!t)
        return s->service->hedge;
    if (now - t->looked_us >= TIMES_FRESH_US) {
        t->looked_us = now;
        fade(t, now);
        t->after = NULL;
        if (hist_total(t->counts) >= TIMES_ENOUGH) {
            ms = hist_upper_us(hist_quantile(t->counts, conf(s)->percentile / 100.0)) / 1000;
            if (ms > conf(s)->after_ms)
                t->after = deadline_queue(s->plane->deadlines, ms);
        }
    }
    return t->after ? t->after : s->service->hedge;
}

void hedge_arm(struct stream *s)
{
    if (!s->service->hedge || s->hedges >= conf(s)->max || s->up != HALF_ENDED || s->hold ||
        !s->replayable || s->req.upgrade || !retry_repeatable(s))
        return;
    if (s->tries == 1)
        retry_budget_ask(&s->service->hedge_budget, loop_now_us(s->plane->loop));
    deadline_start(&s->delay, after(s));
}

void hedge_fire(struct stream *s)
{
    struct balance *b = &s->version->balance;
    uint32_t i = retry_pick(s);

    if (i == BALANCE_NONE || retry_asked(s, b->targets[i].ep) ||
        !retry_budget_take(&s->service->hedge_budget, conf(s)->budget,
                           loop_now_us(s->plane->loop)))
        return;
    s->hedging = true;
    if (attempt_start(s, &b->targets[i]) != ATTEMPT_FULL) {
        s->hedges++;
        s->extra_tries++;
        metrics_hedge(s, false);
    }
    s->hedging = false;
    if (s->state == STREAM_WAIT)
        hedge_arm(s);
}

bool hedge_settle(struct attempt *a, int status)
{
    struct stream *s = a->stream;
    struct attempt *other, *next;

    if (!s->service->hedge)
        return true;
    if (s->hedges && !attempt_alone(a) && retry_status_listed(s, status)) {
        attempt_finish(a);
        return false;
    }
    deadline_stop(&s->delay);
    for (other = LIST_FIRST(&s->attempts); other; other = next) {
        next = LIST_NEXT(other, link);
        if (other != a)
            attempt_lose(other);
    }
    ASSERT(s->attempt == a);
    s->endpoint_name = str_of(a->endpoint->name);
    if (a->hedge)
        metrics_hedge(s, true);
    return true;
}
