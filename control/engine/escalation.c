/* escalation.c - ladders, one a rollout, and a timer for each one's next rung. */
#include "control/engine/escalation.h"

#include "control/engine/engine.h"
#include "control/engine/events.h"
#include "control/engine/notices.h"
#include "control/engine/rollouts.h"
#include "control/rollout/spec_notify.h"
#include "control/store/store.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#define KIND "ladder"

struct ladder {
    LIST_ENTRY(ladder) link;
    struct escalation *escalation;
    char id[ROLLOUT_ID_MAX + 1];
    json_t *event;     /* that began it */
    uint64_t begun_ms; /* wall clock: it outlives the process */
    size_t rung;       /* the next one */
    struct timer timer;
};

struct escalation {
    struct engine *engine;
    struct events_subscriber *subscriber;
    LIST_HEAD(, ladder) all;
};

static bool waits_for_somebody(const struct rollout *r)
{
    return r->state == ROLLOUT_HOLDING || r->state == ROLLOUT_REVERT_STUCK;
}

static struct ladder *find(const struct escalation *x, const char *id)
{
    struct ladder *l;

    LIST_FOREACH (l, &x->all, link)
        if (strcmp(l->id, id) == 0)
            return l;
    return NULL;
}

static void ladder_free(struct ladder *l)
{
    timer_stop(&l->timer);
    LIST_REMOVE(l, link);
    json_decref(l->event);
    xfree(l);
}

static int save(struct ladder *l)
{
    json_t *doc = json_pack("{s:O,s:I,s:I}", "event", l->event, "begun_ms",
                            (json_int_t)l->begun_ms, "rung", (json_int_t)l->rung);
    char *text = json_dumps(doc, JSON_COMPACT);
    int rc = store_put(l->escalation->engine->store, KIND, l->id, str_of(text));

    xfree(text);
    json_decref(doc);
    return rc;
}

/* It stands no longer. */
static void take_down(struct ladder *l)
{
    struct store *s = l->escalation->engine->store;

    if (store_delete(s, KIND, l->id) < 0)
        log_warn("the ladder of %s is down, but the store keeps it: %s", l->id,
                 store_message(s));
    ladder_free(l);
}

/* --- climbing --- */

static uint64_t after_of(const json_t *rung)
{
    uint64_t ms = 0;

    (void)spec_duration(json_string_value(json_object_get(rung, "after")), &ms);
    return ms;
}

/* What began it, with how long that is ago. */
static json_t *unanswered(const struct ladder *l, const json_t *rung)
{
    json_t *ev = json_deep_copy(l->event);
    const char *message = json_string_value(json_object_get(l->event, "message"));

    json_object_set_new(ev, "message",
                        json_sprintf("unanswered for %s: %s",
                                     json_string_value(json_object_get(rung, "after")),
                                     message ? message : ""));
    return ev;
}

/* The rung and its notice are one transaction; one that cannot be stored is climbed all the
 * same: somebody who is called twice is better than nobody. */
static void climb(struct ladder *l, const json_t *rung, const struct rollout *r)
{
    struct engine *e = l->escalation->engine;
    json_t *list = json_loads(spec_text(&r->spec, r->spec.notify), 0, NULL);
    json_t *ev = unanswered(l, rung);
    char *key = xasprintf("%020" JSON_INTEGER_FORMAT "-e%zu",
                          json_integer_value(json_object_get(l->event, "seq")), l->rung);
    int rc = store_begin(e->store);

    l->rung++;
    rc = notices_add(e->notices,
                     spec_notify_named(list, json_string_value(json_object_get(rung, "to"))),
                     ev, r, key) < 0 ||
                 save(l) < 0
             ? -1
             : rc;
    if (rc != 0 || store_commit(e->store) != 0) {
        store_rollback(e->store);
        log_warn("rung %zu of %s is not stored: %s", l->rung, l->id, store_message(e->store));
    }
    xfree(key);
    json_decref(ev);
    json_decref(list);
}

/* Climb what is due; wait for the next one. */
static void go_on(void *arg)
{
    struct ladder *l = arg;
    const struct rollout_entry *e = rollouts_get(l->escalation->engine->rollouts, l->id);
    uint64_t waited = clock_wall_ms() - l->begun_ms;
    json_t *rungs, *rung;

    if (!e || !waits_for_somebody(&e->r)) {
        take_down(l);
        return;
    }
    rungs = json_loads(spec_text(&e->r.spec, e->r.spec.escalation), 0, NULL);
    while ((rung = json_array_get(rungs, l->rung))) {
        uint64_t after = after_of(rung);

        if (after > waited) {
            timer_start(&l->timer, after - waited);
            break;
        }
        climb(l, rung, &e->r);
    }
    json_decref(rungs);
}

/* --- up and down --- */

static struct ladder *ladder_new(struct escalation *x, const char *id, json_t *event)
{
    struct ladder *l = xcalloc(1, sizeof(*l));

    l->escalation = x;
    l->event = event;
    snprintf(l->id, sizeof(l->id), "%s", id);
    timer_init(&l->timer, x->engine->loop, go_on, l);
    LIST_INSERT_HEAD(&x->all, l, link);
    return l;
}

static void put_up(struct escalation *x, const struct rollout *r, const json_t *ev)
{
    struct ladder *l = ladder_new(x, r->id, json_deep_copy(ev));

    l->begun_ms = clock_wall_ms();
    if (save(l) < 0)
        log_warn("the ladder of %s is not stored: %s", l->id, store_message(x->engine->store));
    go_on(l);
}

/* What an event says may be over already; the rollout's own state says what is. */
static void on_event(void *arg, uint64_t seq, const json_t *ev)
{
    struct escalation *x = arg;
    const char *id = json_string_value(json_object_get(ev, "rollout"));
    const char *type = json_string_value(json_object_get(ev, "type"));
    const struct rollout_entry *e = id ? rollouts_get(x->engine->rollouts, id) : NULL;
    struct ladder *l = id ? find(x, id) : NULL;
    bool waits = e && e->r.spec.escalation && waits_for_somebody(&e->r);

    (void)seq;
    if (!type || strncmp(type, "rollout.", 8) != 0)
        return;
    if (l && !waits)
        take_down(l);
    else if (!l && waits)
        put_up(x, &e->r, ev);
}

/* --- beginning and end --- */

static int load_one(void *arg, struct str key, struct str text)
{
    json_t *doc = json_loadb(text.p, text.n, 0, NULL);
    char *id = xstrndup(key.p, key.n);
    struct ladder *l;

    if (doc && json_is_object(json_object_get(doc, "event"))) {
        l = ladder_new(arg, id, json_deep_copy(json_object_get(doc, "event")));
        l->begun_ms = (uint64_t)json_integer_value(json_object_get(doc, "begun_ms"));
        l->rung = (size_t)json_integer_value(json_object_get(doc, "rung"));
        timer_start(&l->timer, 0);
    } else {
        log_error("the store's ladder of %s is damaged", id);
    }
    json_decref(doc);
    xfree(id);
    return 0;
}

/* A rollout that began to wait a moment before the crash has an event that nobody heard. */
static void put_up_missing(struct escalation *x, const struct rollout_entry *e)
{
    json_t *ev;

    if (!e->r.spec.escalation || !waits_for_somebody(&e->r) || find(x, e->r.id))
        return;
    ev = json_pack("{s:I,s:s,s:s,s:s,s:s}", "seq", (json_int_t)events_last(x->engine->events),
                   "type", "rollout.holding", "service", e->r.service, "rollout", e->r.id,
                   "message", "it waits since before a restart");
    put_up(x, &e->r, ev);
    json_decref(ev);
}

void escalation_resume(struct escalation *x)
{
    const struct rollout_entry *e = rollouts_first(x->engine->rollouts);

    if (store_list(x->engine->store, KIND, load_one, x) != 0)
        log_error("ladders cannot be read: %s", store_message(x->engine->store));
    for (; e; e = rollouts_next(e))
        put_up_missing(x, e);
}

struct escalation *escalation_new(struct engine *e)
{
    struct escalation *x = xcalloc(1, sizeof(*x));

    x->engine = e;
    LIST_INIT(&x->all);
    x->subscriber = events_subscribe(e->events, on_event, x);
    return x;
}

void escalation_free(struct escalation *x)
{
    if (!x)
        return;
    events_unsubscribe(x->engine->events, x->subscriber);
    while (!LIST_EMPTY(&x->all))
        ladder_free(LIST_FIRST(&x->all));
    xfree(x);
}
