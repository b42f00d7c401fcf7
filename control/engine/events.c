/*
 * events.c - the event log's live end.
 *
 * Telling is always later than appending, by a posted call, so that nobody hears of a fact from
 * inside the code that creates it. Subscribers that leave while being told are marked and freed
 * after the round.
 */
#include "control/engine/events.h"
#include "control/store/store.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/vec.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/queue.h>

#define PRUNE_EVERY 1000 /* events between two clean-ups */

struct events_subscriber { /* owned by its events */
    LIST_ENTRY(events_subscriber) link;
    events_cb *cb; /* NULL: has left */
    void *arg;
};

struct events {
    struct loop *loop;
    struct store *store;
    uint64_t last;
    unsigned since_prune;
    VEC(json_t *) untold;
    struct post post;
    LIST_HEAD(, events_subscriber) subscribers;
};

struct events *events_new(struct loop *l, struct store *s)
{
    struct events *e = xcalloc(1, sizeof(*e));

    e->loop = l;
    e->store = s;
    LIST_INIT(&e->subscribers);
    if (store_events_last(s, &e->last) != 0)
        log_error("event log: %s", store_message(s));
    return e;
}

static void drop_left(struct events *e)
{
    struct events_subscriber *s = LIST_FIRST(&e->subscribers), *next;

    for (; s; s = next) {
        next = LIST_NEXT(s, link);
        if (s->cb)
            continue;
        LIST_REMOVE(s, link);
        xfree(s);
    }
}

void events_free(struct events *e)
{
    if (!e)
        return;
    loop_unpost(e->loop, &e->post);
    for (size_t i = 0; i < e->untold.n; i++)
        json_decref(e->untold.v[i]);
    vec_release(&e->untold);
    drop_left(e);
    ASSERT(LIST_EMPTY(&e->subscribers));
    xfree(e);
}

/* --- telling --- */

static void tell_all(struct events *e, const json_t *ev)
{
    bool stored = !json_object_get(ev, "stored");
    json_int_t number = json_integer_value(json_object_get(ev, "seq"));
    uint64_t seq = stored ? (uint64_t)number : 0;
    struct events_subscriber *s;

    LIST_FOREACH (s, &e->subscribers, link)
        if (s->cb)
            s->cb(s->arg, seq, ev);
}

static void on_tell(void *arg)
{
    struct events *e = arg;

    for (size_t i = 0; i < e->untold.n; i++) { /* may grow meanwhile */
        json_t *ev = e->untold.v[i];
        tell_all(e, ev);
        json_decref(ev);
    }
    e->untold.n = 0;
    drop_left(e);
}

void events_tell(struct events *e, json_t *ev)
{
    uint64_t seq = (uint64_t)json_integer_value(json_object_get(ev, "seq"));

    e->last = seq > e->last ? seq : e->last;
    *vec_add(&e->untold) = ev;
    loop_post(e->loop, &e->post, on_tell, e);
}

struct events_subscriber *events_subscribe(struct events *e, events_cb *cb, void *arg)
{
    struct events_subscriber *s = xcalloc(1, sizeof(*s));

    s->cb = cb;
    s->arg = arg;
    LIST_INSERT_HEAD(&e->subscribers, s, link);
    return s;
}

void events_unsubscribe(struct events *e, struct events_subscriber *s)
{
    s->cb = NULL;
    loop_post(e->loop, &e->post, on_tell, e);
}

/* --- making --- */

static json_t *text_or_null(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

static json_t *event_json(uint64_t seq, uint64_t ts_ms, const struct fact *f)
{
    char stamp[CLOCK_STAMP];

    return json_pack("{s:I,s:s,s:s,s:o,s:o,s:s,s:o}", "seq", (json_int_t)seq, "ts",
                     clock_stamp(stamp, ts_ms), "type", f->type, "service",
                     text_or_null(f->service), "rollout", text_or_null(f->rollout), "message",
                     f->message, "data",
                     f->data ? json_incref((json_t *)f->data) : json_object());
}

static struct str str_or_none(const char *text)
{
    return text ? str_of(text) : STR("");
}

static void prune(struct events *e)
{
    if (++e->since_prune < PRUNE_EVERY)
        return;
    e->since_prune = 0;
    if (store_events_prune(e->store, EVENTS_KEPT) != 0)
        log_warn("event log: %s", store_message(e->store));
}

json_t *events_append(struct events *e, struct fact f)
{
    char *data = f.data ? json_dumps(f.data, JSON_COMPACT) : NULL;
    struct store_event rec = {.ts_ms = clock_wall_ms(),
                              .type = str_of(f.type),
                              .service = str_or_none(f.service),
                              .rollout = str_or_none(f.rollout),
                              .message = str_of(f.message),
                              .data = str_or_none(data)};
    uint64_t seq;
    int rc = store_event_append(e->store, &rec, &seq);

    xfree(data);
    return rc == 0 ? event_json(seq, rec.ts_ms, &f) : NULL;
}

json_t *events_unstored(struct events *e, struct fact f)
{
    json_t *ev = event_json(e->last, clock_wall_ms(), &f);

    json_object_set_new(ev, "stored", json_false());
    return ev;
}

void events_emit(struct events *e, struct fact f)
{
    json_t *ev = events_append(e, f);

    if (!ev) {
        log_error("event %s (%s) is not stored: %s", f.type, f.message,
                  store_message(e->store));
        ev = events_unstored(e, f);
    } else {
        prune(e);
    }
    events_tell(e, ev);
}

void events_say(struct events *e, const char *type, const char *service, const char *rollout,
                const char *fmt, ...)
{
    char message[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    events_emit(e, (struct fact){type, service, rollout, message, NULL});
}

/* --- reading --- */

static json_t *slice_or_null(struct str s)
{
    return s.n ? json_stringn(s.p, s.n) : json_null();
}

static int add_row(void *arg, const struct store_event *ev)
{
    char stamp[CLOCK_STAMP];
    json_t *data = ev->data.n ? json_loadb(ev->data.p, ev->data.n, 0, NULL) : NULL;

    json_array_append_new(
        arg,
        json_pack("{s:I,s:s,s:o,s:o,s:o,s:o,s:o}", "seq", (json_int_t)ev->seq, "ts",
                  clock_stamp(stamp, ev->ts_ms), "type", slice_or_null(ev->type), "service",
                  slice_or_null(ev->service), "rollout", slice_or_null(ev->rollout), "message",
                  slice_or_null(ev->message), "data", data ? data : json_object()));
    return 0;
}

json_t *events_page(struct events *e, uint64_t since, unsigned limit)
{
    json_t *rows = json_array();

    if (store_events(e->store, since, limit, add_row, rows) == 0)
        return rows;
    json_decref(rows);
    return NULL;
}

uint64_t events_last(const struct events *e)
{
    return e->last;
}
