/*
 * outlier.c - endpoints that fail or lag get a pause.
 *
 * Invariant: what an endpoint does during its pause is the end of what began before, or help in
 * an emergency, and counts neither way.
 */
#include "proxy/upstream/outlier.h"

#include "proxy/upstream/pool.h"

/* May one more of those that are up be ejected? */
static bool room(const struct balance *b, uint32_t max_share, uint64_t now_us)
{
    uint32_t up = 0, ejected = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        up += b->targets[i].up;
        ejected += b->targets[i].up && b->targets[i].ep->ejected_until_us > now_us;
    }
    return (ejected + 1) * 100 <= max_share * up;
}

static uint64_t window_us(const struct conf_outlier *c)
{
    return c->window_ms * 1000;
}

/* Has EP been back so long that its last pause no longer matters? */
static bool forgotten(const struct conf_outlier *c, const struct endpoint *ep, uint64_t now_us)
{
    return now_us > ep->ejected_until_us + OUTLIER_GROWTH_MAX * c->eject_ms * 1000;
}

static bool eject(const struct balance *b, const struct conf_outlier *c, struct endpoint *ep,
                  enum stats_ejection why, uint64_t now_us)
{
    struct standing *s = &ep->standing;
    uint32_t pauses = forgotten(c, ep, now_us) ? 0 : s->pauses;

    if (!room(b, c->max_ejected, now_us))
        return false;
    *s = (struct standing){.pauses = pauses, .on_trial = true};
    if (pauses < OUTLIER_GROWTH_MAX)
        s->pauses++;
    pool_eject(ep, now_us + s->pauses * c->eject_ms * 1000, why);
    return true;
}

static bool share_reached(const struct conf_outlier *c, struct endpoint *ep, uint64_t now_us)
{
    struct record_view v;

    if (!c->failure_share)
        return false;
    record_failure(&ep->standing.record, window_us(c), now_us);
    v = record_read(&ep->standing.record, window_us(c), now_us);
    return v.answers + v.failures >= c->min_requests &&
           (uint64_t)v.failures * 100 >= (uint64_t)c->failure_share * (v.answers + v.failures);
}

bool outlier_failed(const struct balance *b, const struct conf_outlier *c, struct endpoint *ep,
                    uint64_t now_us)
{
    struct standing *s = &ep->standing;
    bool share;

    if (ep->ejected_until_us > now_us)
        return false;
    share = share_reached(c, ep, now_us);
    s->failed_in_row++;
    if (s->on_trial && !forgotten(c, ep, now_us))
        return eject(b, c, ep, STATS_EJECTED_RELAPSE, now_us);
    if (c->consecutive_errors && s->failed_in_row >= c->consecutive_errors)
        return eject(b, c, ep, STATS_EJECTED_ROW, now_us);
    return share && eject(b, c, ep, STATS_EJECTED_SHARE, now_us);
}

/* The typical time of those who answered often enough, EP left out: the mean of theirs, each
 * counted alike. False: too few to say. */
static bool usual_log(const struct balance *b, const struct conf_outlier *c,
                      const struct endpoint *ep, uint64_t now_us, uint32_t *log)
{
    uint64_t sum = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        struct endpoint *other = b->targets[i].ep;
        struct record_view v;

        if (other == ep || !b->targets[i].up || other->ejected_until_us > now_us)
            continue;
        v = record_read(&other->standing.record, window_us(c), now_us);
        if (v.answers < c->min_requests)
            continue;
        sum += v.log_mean;
        n++;
    }
    *log = n ? (uint32_t)(sum / n) : 0;
    return n >= OUTLIER_OTHERS;
}

static bool lags(const struct balance *b, const struct conf_outlier *c, struct endpoint *ep,
                 uint64_t now_us)
{
    struct record_view v = record_read(&ep->standing.record, window_us(c), now_us);
    uint32_t usual;
    uint64_t mine, theirs;

    if (v.answers < c->min_requests || !usual_log(b, c, ep, now_us, &usual))
        return false;
    mine = record_unlog(v.log_mean);
    theirs = record_unlog(usual);
    return mine > theirs * c->latency_factor && mine >= theirs + OUTLIER_SLOW_US;
}

bool outlier_outrun(const struct balance *b, const struct conf_outlier *c, struct endpoint *ep,
                    uint64_t took_us, uint64_t now_us)
{
    struct standing *s = &ep->standing;

    if (ep->ejected_until_us > now_us)
        return false;
    if (c->failure_share || c->latency_factor)
        record_answer(&s->record, window_us(c), took_us, now_us);
    if (!c->latency_factor || ++s->unjudged < c->min_requests)
        return false;
    s->unjudged = 0; /* looking at all endpoints is for now and then */
    return lags(b, c, ep, now_us) && eject(b, c, ep, STATS_EJECTED_SLOW, now_us);
}

bool outlier_answered(const struct balance *b, const struct conf_outlier *c,
                      struct endpoint *ep, uint64_t took_us, uint64_t now_us)
{
    if (ep->ejected_until_us > now_us)
        return false;
    ep->standing.failed_in_row = 0;
    ep->standing.on_trial = false;
    return outlier_outrun(b, c, ep, took_us, now_us);
}
