/*
 * publish.c - one snapshot a turn, numbered, confirmed, saved.
 *
 * A batch is one generation: created by the first request of a turn, sent at the turn's end,
 * freed when the workers have answered. Several may be under way at once; they are answered in
 * order, because a worker that acked a number has all before it.
 */
#include "control/engine/publish.h"
#include "config/snapshot.h"
#include "control/engine/desired.h"
#include "control/link/workers.h"
#include "control/store/store.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/base/vec.h"

#include <errno.h>

struct waiter {
    publish_cb *cb;
    void *arg;
};

struct batch { /* owned by the publish it belongs to */
    STAILQ_ENTRY(batch) link;
    struct publish *owner;
    uint64_t generation;
    char *doc; /* from sending on */
    VEC(struct waiter) waiters;
};

struct publish {
    struct loop *loop;
    struct workers *workers;
    struct desired *desired;
    struct store *store;
    char *path;
    publish_cb *applied_cb;
    void *arg;
    uint64_t generation, applied;
    struct batch *next; /* requested, not sent */
    STAILQ_HEAD(, batch) sent;
    struct post post;
    struct timer retry;
    char *trouble;
    bool save_failed;
};

static void on_retry(void *arg)
{
    publish_request(arg, NULL, NULL);
}

struct publish *publish_new(const struct publish_options *o)
{
    struct publish *p = xcalloc(1, sizeof(*p));

    p->loop = o->loop;
    p->workers = o->workers;
    p->desired = o->desired;
    p->store = o->store;
    p->path = xasprintf("%.*s/snapshot.json", STR_ARG(o->state_dir));
    p->generation = o->generation;
    p->applied_cb = o->applied;
    p->arg = o->arg;
    STAILQ_INIT(&p->sent);
    timer_init(&p->retry, p->loop, on_retry, p);
    return p;
}

static void batch_free(struct batch *b)
{
    if (!b)
        return;
    xfree(b->doc);
    vec_release(&b->waiters);
    xfree(b);
}

void publish_free(struct publish *p)
{
    struct batch *b;

    if (!p)
        return;
    while ((b = STAILQ_FIRST(&p->sent))) {
        STAILQ_REMOVE_HEAD(&p->sent, link);
        batch_free(b);
    }
    batch_free(p->next);
    loop_unpost(p->loop, &p->post);
    timer_stop(&p->retry);
    xfree(p->path);
    xfree(p->trouble);
    xfree(p);
}

/* --- after the workers' answer --- */

static void save(struct publish *p, const struct batch *b)
{
    int rc = sys_write_file(p->path, str_of(b->doc), 0600);

    if (rc != 0 && !p->save_failed)
        log_error("cannot save %s: %s; a restart of everything would begin with an older state",
                  p->path, strerror(errno));
    p->save_failed = rc != 0;
    if (rc != 0)
        timer_start(&p->retry, PUBLISH_SAVE_MS);
}

static void note_trouble(struct publish *p, const char *error)
{
    xfree(p->trouble);
    p->trouble = error ? xstrdup(error) : NULL;
    if (!error) {
        timer_stop(&p->retry);
        return;
    }
    log_error("routing snapshot is not live everywhere: %s", error);
    timer_start(&p->retry, PUBLISH_RETRY_MS);
}

static void on_answer(void *arg, const char *error)
{
    struct batch *b = arg;
    struct publish *p = b->owner;
    struct publish_result r = {b->generation, clock_mono_us(), clock_wall_ms(), error};

    STAILQ_REMOVE(&p->sent, b, batch, link);
    note_trouble(p, error);
    if (!error) {
        p->applied = b->generation > p->applied ? b->generation : p->applied;
        if (STAILQ_EMPTY(&p->sent))
            save(p, b);
    }
    if (p->applied_cb)
        p->applied_cb(p->arg, &r);
    for (size_t i = 0; i < b->waiters.n; i++)
        if (b->waiters.v[i].cb)
            b->waiters.v[i].cb(b->waiters.v[i].arg, &r);
    batch_free(b);
}

/* --- sending --- */

/* Names that came with this snapshot keep their counters across a restart. */
static void store_cells(struct publish *p)
{
    if (!desired_cells_changed(p->desired))
        return;
    json_t *doc = desired_cells(p->desired);
    char *text = json_dumps(doc, JSON_COMPACT);
    if (store_put(p->store, "cells", "all", str_of(text)) != 0)
        log_warn("cannot store the numbering of counters: %s", store_message(p->store));
    xfree(text);
    json_decref(doc);
}

void publish_flush(struct publish *p)
{
    struct batch *b = p->next;

    loop_unpost(p->loop, &p->post);
    if (!b)
        return;
    p->next = NULL;
    b->doc = snapshot_write(desired_conf(p->desired), b->generation);
    STAILQ_INSERT_TAIL(&p->sent, b, link);
    workers_publish_snapshot(p->workers, b->generation, str_of(b->doc), on_answer, b);
    store_cells(p);
}

static void on_turn_end(void *arg)
{
    publish_flush(arg);
}

uint64_t publish_request(struct publish *p, publish_cb *cb, void *arg)
{
    if (!p->next) {
        p->next = xcalloc(1, sizeof(*p->next));
        p->next->owner = p;
        p->next->generation = ++p->generation;
        loop_post(p->loop, &p->post, on_turn_end, p);
    }
    if (cb)
        *vec_add(&p->next->waiters) = (struct waiter){cb, arg};
    return p->next->generation;
}

static void forget_in(struct batch *b, publish_cb *cb, void *arg)
{
    for (size_t i = 0; i < b->waiters.n; i++)
        if (b->waiters.v[i].cb == cb && b->waiters.v[i].arg == arg)
            b->waiters.v[i].cb = NULL;
}

void publish_forget(struct publish *p, publish_cb *cb, void *arg)
{
    struct batch *b;

    if (p->next)
        forget_in(p->next, cb, arg);
    STAILQ_FOREACH (b, &p->sent, link)
        forget_in(b, cb, arg);
}

uint64_t publish_applied(const struct publish *p)
{
    return p->applied;
}

const char *publish_trouble(const struct publish *p)
{
    return p->trouble ? p->trouble : p->save_failed ? "snapshot.json cannot be saved" : NULL;
}
