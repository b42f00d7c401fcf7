/*
 * admit.c - limits and faults of a route.
 *
 * Answering a request is the last statement of a function, as everywhere.
 */
#include "proxy/stream/admit.h"

#include "proxy/base/hash.h"
#include "proxy/base/limits.h"
#include "proxy/http/cookie.h"
#include "proxy/http/head_write.h"
#include "proxy/route/predicate.h"

#include <arpa/inet.h>

#define NS_PER_SECOND 1000000000u
#define FIELDS_ROOM   160

/* ---- rates ---- */

/* Whoever has an IPv6 address has at least 2^64 of them: they count by /64. */
static struct str client_network(struct stream *s)
{
    struct in6_addr *a;

    if (!memchr(s->client.p, ':', s->client.n))
        return s->client;
    a = arena_alloc(&s->arena, sizeof(*a));
    return inet_pton(AF_INET6, s->client.p, a) == 1 ? (struct str){(const char *)a, 8}
                                                    : s->client;
}

/* Without the field or cookie that tells requests apart, the address does. */
static struct str rate_key(struct stream *s, const struct conf_key *k)
{
    const struct field *f;
    struct str value;

    switch (k->source) {
    case CONF_KEY_NONE:
        return STR_NONE;
    case CONF_KEY_HEADER:
        if ((f = head_find(&s->req, k->name, 0)))
            return head_value(&s->req, f);
        break;
    case CONF_KEY_COOKIE:
        if (cookie_find(&s->req, k->name, &value))
            return value;
        break;
    case CONF_KEY_IP:
        break;
    }
    return client_network(s);
}

static uint64_t seconds_up(uint64_t ns)
{
    return (ns + NS_PER_SECOND - 1) / NS_PER_SECOND;
}

/* RateLimit-Policy and RateLimit as in draft-ietf-httpapi-ratelimit-headers-10; RFC 9110
 * 10.2.3 for Retry-After. */
static struct str rate_fields(struct stream *s, const struct conf_rate *c,
                              const struct gcra_verdict *v, uint64_t now_ns)
{
    uint64_t full = v->full_ns > now_ns ? v->full_ns - now_ns : 0;
    struct out o = out_init(arena_alloc(&s->arena, FIELDS_ROOM), FIELDS_ROOM);

    if (!v->allowed)
        head_write_u64(&o, STR("Retry-After"), seconds_up(v->wait_ns));
    out_put(&o, STR("RateLimit-Policy: \"route\";q="));
    out_u64(&o, c->requests);
    if (c->per_ms % 1000 == 0) {
        out_put(&o, STR(";w="));
        out_u64(&o, c->per_ms / 1000);
    }
    out_put(&o, STR("\r\nRateLimit: \"route\";r="));
    out_u64(&o, v->remaining);
    out_put(&o, STR(";t="));
    out_u64(&o, seconds_up(v->allowed ? full : v->wait_ns));
    out_put(&o, STR("\r\n"));
    ASSERT(!o.full);
    return out_text(&o);
}

bool admit_rate(struct stream *s, const struct conf_rate *c, uint64_t id, const struct gcra *g)
{
    struct limits *l = s->plane->limits;
    uint64_t now = loop_now_us(s->plane->loop) * 1000;
    struct gcra_verdict v;

    if (c->requests == 0 || !l)
        return true;
    v = limits_take(l, limits_key(l, id, rate_key(s, &c->key)), g, now);
    s->limit_fields = rate_fields(s, c, &v, now);
    if (!v.allowed)
        stat_add(&s->plane->stats->rate_limited, 1);
    return v.allowed;
}

/* ---- under way at once ---- */

static bool within_concurrency(struct stream *s)
{
    const struct conf_route *r = s->route;
    struct plane *p = s->plane;

    if (r->max_concurrent == 0 || !p->limits)
        return true;
    s->entered = limits_enter(p->limits, r->gauge, p->opt.slab, r->max_concurrent);
    return s->entered;
}

void admit_end(struct stream *s)
{
    if (s->entered)
        limits_leave(s->plane->limits, s->route->gauge, s->plane->opt.slab);
    s->entered = false;
}

/* ---- faults ---- */

static bool has_fault(struct stream *s)
{
    const struct conf_fault *f = &s->route->fault;

    if ((f->delay_ms == 0 && f->abort == 0) || !predicate_all(f->matches, f->nmatches, &s->req))
        return false;
    return rng_next(&s->plane->rng) % 100 < f->percent;
}

static bool fault_abort(struct stream *s)
{
    uint32_t status = s->route->fault.abort;

    if (status == 0)
        return true;
    stream_fail(s, END_FAULT, (int)status, STR_NONE);
    return false;
}

void admit_delayed(struct stream *s)
{
    s->paused = false;
    if (fault_abort(s))
        stream_proceed(s);
}

static bool fault(struct stream *s)
{
    stat_add(&s->plane->stats->faults, 1);
    if (s->route->fault.delay_ms == 0)
        return fault_abort(s);
    s->paused = true;
    deadline_start(&s->delay, stream_route_row(s)->fault_queue);
    return false;
}

bool admit_start(struct stream *s)
{
    const struct conf_route *r = s->route;

    if (r->max_body) {
        s->max_body = r->max_body;
        if (s->req.framing == FRAMING_LENGTH && s->req.length > r->max_body) {
            stream_fail(s, END_BODY_TOO_LARGE, 0, STR_NONE);
            return false;
        }
    }
    if (!admit_rate(s, &r->rate, r->id, &stream_route_row(s)->rate)) {
        stream_fail(s, END_RATE_LIMITED, 0, STR_NONE);
        return false;
    }
    if (!within_concurrency(s)) {
        stat_add(&s->plane->stats->concurrency_limited, 1);
        stream_fail(s, END_TOO_BUSY, 0, STR_NONE);
        return false;
    }
    return !has_fault(s) || fault(s);
}
