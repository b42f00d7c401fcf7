/*
 * judged.c - clients told apart and warm-ups left out.
 *
 * An override sends its requests to one version whoever they are of: they are no part of a
 * comparison between clients.
 */
#include "proxy/stream/judged.h"

#include "proxy/base/hash.h"

#define CLIENT_SEED 0x6a75646765ull

void judged_key(struct stream *s, struct str key)
{
    if (s->service->conf->judging.table)
        s->client_key = hash64(key, s->service->salt ^ CLIENT_SEED) | 1;
}

void judged_answer(struct stream *s, const struct endpoint *ep)
{
    const struct conf_judging *j = &s->service->conf->judging;

    if (j->on)
        s->warming = ep->up_since_us &&
                     loop_now_us(s->plane->loop) < ep->up_since_us + j->warmup_ms * 1000;
}

static void note_client(struct stream *s, struct stats_version *v, bool error)
{
    const struct conf_judging *j = &s->service->conf->judging;
    struct stats_clients *c = stats_clients(s->plane->opt.stats, j->table, j->epoch);
    unsigned nth = 0;

    if (clients_event(&c->seen, s->client_key) == 1)
        stat_add(&v->judged_clients, 1);
    if (error)
        nth = clients_event(&c->errors, s->client_key);
    if (nth == 1 || (nth && !j->once))
        stat_add(&v->judged_events, 1);
}

void judged_note(struct stream *s, struct stats_version *v, bool error)
{
    const struct conf_judging *j = &s->service->conf->judging;

    if (!j->on)
        return;
    if (s->upstream_us && !s->warming)
        stat_add(&v->judged_time[hist_bucket(s->upstream_us)], 1);
    if (j->table == 0 || s->overridden)
        return;
    if (s->client_key)
        note_client(s, v, error);
    else if (error) /* without a key requests are dealt out */
        stat_add(&v->judged_events, 1);
}
