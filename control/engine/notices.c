/*
 * notices.c - a queue in the store, emptied by requests.
 *
 * The events of a rollout are the source: which of them were looked at is a cursor, stored in
 * the transaction that stores their notices. After a crash the events behind it are looked at
 * again, and as a notice's key is made of its event's number nothing is there twice.
 */
#include "control/engine/notices.h"
#include "control/engine/engine.h"
#include "control/engine/events.h"
#include "control/engine/notice_text.h"
#include "control/engine/rollouts.h"
#include "control/link/fetch.h"
#include "control/rollout/spec_notify.h"
#include "control/store/store.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/queue.h>

#define PAGE 500 /* events read at once */

struct notice {
    TAILQ_ENTRY(notice) link;
    struct notices *notices;
    char *key, *target;
    json_t *doc; /* as stored: see notice_text.h */
    uint32_t tries;
    struct fetch *fetch;
    struct timer timer;
};

struct notices {
    struct engine *engine;
    struct events_subscriber *subscriber;
    uint64_t cursor; /* events up to this one were looked at */
    unsigned n;
    TAILQ_HEAD(, notice) all; /* in the order of their events */
};

static void notice_free(struct notice *x)
{
    timer_stop(&x->timer);
    fetch_cancel(x->fetch);
    TAILQ_REMOVE(&x->notices->all, x, link);
    x->notices->n--;
    json_decref(x->doc);
    xfree(x->key);
    xfree(x->target);
    xfree(x);
}

/* --- sending --- */

/* The oldest one for TARGET is the one that is sent. */
static void send_next(struct notices *ns, const char *target)
{
    struct notice *x;

    TAILQ_FOREACH (x, &ns->all, link) {
        if (strcmp(x->target, target) != 0)
            continue;
        if (!x->fetch && !timer_pending(&x->timer))
            timer_start(&x->timer, 0);
        return;
    }
}

/* The only ending of a notice but for the process's. */
static void finish(struct notice *x)
{
    struct notices *ns = x->notices;
    char *target = x->target;

    x->target = NULL;
    if (store_delete(ns->engine->store, "notice", x->key) < 0)
        log_warn("notice %s is done, but the store keeps it: %s", x->key,
                 store_message(ns->engine->store));
    notice_free(x);
    send_next(ns, target);
    xfree(target);
}

static void give_up(struct notice *x, const char *why)
{
    const char *rollout = json_string_value(json_object_get(x->doc, "rollout"));
    const char *service = json_string_value(json_object_get(x->doc, "service"));

    events_say(x->notices->engine->events, "notify.failed", service, rollout,
               "%.200s was not told of event %.24s after %u tries: %.120s", x->target, x->key,
               x->tries, why);
    finish(x);
}

/* It will not like this one better later. Of a mail server 5xx is that (RFC 5321 4.2.1). */
static bool is_refusal(const struct notice *x, int status)
{
    if (json_object_get(x->doc, "mail"))
        return status >= 500;
    return status >= 300 && status < 500 && status != 408 && status != 425 && status != 429;
}

static uint64_t wait_ms(uint32_t tries)
{
    uint64_t ms = tries < 16 ? (uint64_t)NOTICES_FROM_MS << (tries - 1) : NOTICES_MOST_MS;

    return ms < NOTICES_MOST_MS ? ms : NOTICES_MOST_MS;
}

static void on_answer(void *arg, const struct fetch_result *r)
{
    struct notice *x = arg;
    uint64_t born = (uint64_t)json_integer_value(json_object_get(x->doc, "ts_ms"));
    char why[128];

    x->fetch = NULL;
    if (r->status >= 200 && r->status < 300) {
        finish(x);
        return;
    }
    if (r->status)
        snprintf(why, sizeof(why), "status %d", r->status);
    else /* a message of the library's may have the URL in it, which may be a secret */
        snprintf(why, sizeof(why), "%s", x->target[0] == '@' ? "no answer" : r->error);
    if (is_refusal(x, r->status) || clock_wall_ms() - born > NOTICES_LIFE_MS) {
        give_up(x, why);
        return;
    }
    if (x->tries == 1)
        log_warn("%s was not told of event %s yet: %s", x->target, x->key, why);
    timer_start(&x->timer, wait_ms(x->tries));
}

static void try(void *arg)
{
    struct notice *x = arg;
    struct notice_request q;

    x->tries++;
    if (notice_request(x->doc, x->key, clock_wall_ms() / 1000, &q) != 0) {
        char *why = q.why;
        give_up(x, why);
        xfree(why);
        return;
    }
    struct fetch_options o = {.method = q.is_mail ? NULL : "POST",
                              .url = q.url,
                              .headers = (const char *const *)q.headers,
                              .body = str_of(q.body),
                              .body_max = 1024,
                              .mail = q.is_mail ? &q.mail : NULL};
    x->fetch = fetch_start(x->notices->engine->fetcher, &o, on_answer, x);
    notice_request_release(&q);
}

/* --- the queue --- */

/* KEY and DOC are stolen. */
static void queue(struct notices *ns, char *key, json_t *doc)
{
    struct notice *x = xcalloc(1, sizeof(*x));
    const char *target = json_string_value(json_object_get(doc, "target"));

    x->notices = ns;
    x->key = key;
    x->doc = doc;
    x->target = xasprintf("%s", target ? target : "");
    timer_init(&x->timer, ns->engine->loop, try, x);
    TAILQ_INSERT_TAIL(&ns->all, x, link);
    ns->n++;
    send_next(ns, x->target);
}

static int store_one(struct store *s, const char *key, const json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT);
    int rc = store_put(s, "notice", key, str_of(text));

    xfree(text);
    return rc;
}

static int store_cursor(struct store *s, uint64_t seq)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, seq);
    return store_put(s, "notices", "cursor", str_of(text));
}

int notices_add(struct notices *ns, const json_t *entry, const json_t *ev,
                const struct rollout *r, const char *key)
{
    json_t *doc;
    int rc;

    if (!entry)
        return 0;
    if (ns->n >= NOTICES_MAX) {
        log_error("%u notices wait; %s is not sent", ns->n, key);
        return 0;
    }
    doc = notice_doc(entry, ev, r);
    rc = store_one(ns->engine->store, key, doc);
    queue(ns, xasprintf("%s", key), doc);
    return rc;
}

/* What EV makes is one transaction; a store that fails loses no notice but at a restart. */
static void take(struct notices *ns, uint64_t seq, const json_t *ev, const struct rollout *r)
{
    struct store *s = ns->engine->store;
    json_t *list = json_loads(spec_text(&r->spec, r->spec.notify), 0, NULL), *entry;
    const char *type = json_string_value(json_object_get(ev, "type"));
    size_t i;
    int rc = store_begin(s);

    json_array_foreach(list, i, entry)
    {
        char *key = xasprintf("%020" PRIu64 "-%zu", seq, i);

        if (spec_notify_wants(entry, type) && notices_add(ns, entry, ev, r, key) < 0)
            rc = -1;
        xfree(key);
    }
    if (rc == 0 && seq)
        rc = store_cursor(s, seq);
    if (rc != 0 || store_commit(s) != 0) {
        store_rollback(s);
        log_warn("notices of event %" PRIu64 " are not stored: %s", seq, store_message(s));
    }
    json_decref(list);
}

static void on_event(void *arg, uint64_t seq, const json_t *ev)
{
    struct notices *ns = arg;
    const char *id = json_string_value(json_object_get(ev, "rollout"));
    const struct rollout_entry *l = id ? rollouts_get(ns->engine->rollouts, id) : NULL;

    if (seq && seq <= ns->cursor)
        return;
    ns->cursor = seq ? seq : ns->cursor;
    if (l && l->r.spec.notify)
        take(ns, seq, ev, &l->r);
}

/* --- beginning and end --- */

static int load_one(void *arg, struct str key, struct str text)
{
    json_t *doc = json_loadb(text.p, text.n, 0, NULL);

    if (doc)
        queue(arg, xstrndup(key.p, key.n), doc);
    return 0;
}

static bool anybody_listens(const struct notices *ns)
{
    const struct rollout_entry *l = rollouts_first(ns->engine->rollouts);

    while (l && !l->r.spec.notify)
        l = rollouts_next(l);
    return l;
}

static void read_cursor(struct notices *ns)
{
    struct arena a;
    struct str text;

    arena_init(&a, NULL, 0);
    if (store_get(ns->engine->store, "notices", "cursor", &a, &text) == 1 &&
        !str_to_u64(text, INT64_MAX, &ns->cursor))
        log_error("the store's cursor of notices is damaged");
    arena_release(&a);
}

void notices_resume(struct notices *ns)
{
    json_t *page;
    size_t i = PAGE;

    if (store_list(ns->engine->store, "notice", load_one, ns) != 0)
        log_error("notices cannot be read: %s", store_message(ns->engine->store));
    read_cursor(ns);
    while (i == PAGE && anybody_listens(ns) &&
           (page = events_page(ns->engine->events, ns->cursor, PAGE))) {
        json_t *ev;
        json_array_foreach(page, i, ev)
            on_event(ns, (uint64_t)json_integer_value(json_object_get(ev, "seq")), ev);
        json_decref(page);
    }
}

struct notices *notices_new(struct engine *e)
{
    struct notices *ns = xcalloc(1, sizeof(*ns));

    ns->engine = e;
    TAILQ_INIT(&ns->all);
    ns->subscriber = events_subscribe(e->events, on_event, ns);
    return ns;
}

void notices_free(struct notices *ns)
{
    if (!ns)
        return;
    events_unsubscribe(ns->engine->events, ns->subscriber);
    while (!TAILQ_EMPTY(&ns->all))
        notice_free(TAILQ_FIRST(&ns->all));
    xfree(ns);
}
