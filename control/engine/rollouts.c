/*
 * rollouts.c - carrying out what the machine decides.
 *
 * Every event goes through step(): it works on a copy, which replaces the entry's state only
 * when the transition is stored. A store that fails therefore stops rollouts where they are;
 * the exception is taking weight away from a version, which happens at once and whatever the
 * store says.
 */
#include "control/engine/rollouts.h"
#include "control/engine/change.h"
#include "control/engine/desired.h"
#include "control/engine/effects.h"
#include "control/engine/engine.h"
#include "control/engine/evidence.h"
#include "control/engine/rollout_entry.h"
#include "control/engine/tasks.h"
#include "control/store/store.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

struct rollouts_watcher { /* owned by its rollouts */
    LIST_ENTRY(rollouts_watcher) link;
    rollouts_cb *cb; /* NULL: has left */
    void *arg;
};

struct rollouts {
    struct engine *engine;
    TAILQ_HEAD(rollout_list, rollout_entry) all; /* newest first */
    LIST_HEAD(, rollouts_watcher) watchers;
    uint64_t last_number;
    struct tasks *tasks;
    struct timer tick;
    bool telling;
};

/* --- watchers --- */

struct rollouts_watcher *rollouts_watch(struct rollouts *rs, rollouts_cb *cb, void *arg)
{
    struct rollouts_watcher *w = xcalloc(1, sizeof(*w));

    w->cb = cb;
    w->arg = arg;
    LIST_INSERT_HEAD(&rs->watchers, w, link);
    return w;
}

static void drop_left(struct rollouts *rs)
{
    struct rollouts_watcher *w = LIST_FIRST(&rs->watchers), *next;

    for (; w; w = next) {
        next = LIST_NEXT(w, link);
        if (w->cb)
            continue;
        LIST_REMOVE(w, link);
        xfree(w);
    }
}

void rollouts_unwatch(struct rollouts *rs, struct rollouts_watcher *w)
{
    w->cb = NULL;
    if (!rs->telling)
        drop_left(rs);
}

static void tell_watchers(struct rollouts *rs, const struct rollout_entry *l)
{
    struct rollouts_watcher *w;

    rs->telling = true;
    LIST_FOREACH (w, &rs->watchers, link)
        if (w->cb)
            w->cb(w->arg, l);
    rs->telling = false;
    drop_left(rs);
}

/* --- effects --- */

static json_t *document_of(struct rollout_entry *l, const struct rollout *next)
{
    struct rollout *was = xmalloc(sizeof(*was));

    *was = l->r;
    l->r = *next;
    json_t *doc = evidence_save(l);
    l->r = *was;
    xfree(was);
    return doc;
}

/* Taking weight away must not wait for a disk. */
static bool is_urgent(const struct rollout *r, const struct rollout_effects *fx)
{
    return fx->set_weight && fx->weight == 0 && r->state == ROLLOUT_ABORTING;
}

struct move { /* one event on its way through an entry */
    struct rollout_event ev;
    uint64_t at_us; /* monotonic: when it came */
    struct requester who;
    json_t *doc; /* overlay prepared by the caller (start), or NULL; owned */
    publish_cb *cb;
    void *arg;
    struct rollout_effects fx; /* out */
    bool published;            /* out: CB will be called */
};

static int carry_out(struct rollouts *rs, struct rollout_entry *l, const struct rollout *next,
                     struct move *m)
{
    json_t *doc = m->doc ? m->doc : effects_overlay(rs->engine->desired, next, &m->fx);
    json_t *data = m->fx.type ? effects_data(l, next) : NULL;
    bool told = evidence_tell(l, next, &m->fx, m->who.actor, m->ev.wall_ms);
    json_t *document = document_of(l, next);
    char *what = m->who.actor
                     ? xasprintf("rollout.%s %s", rollout_event_name(m->ev.type), l->r.id)
                     : NULL;
    struct change c = {.service = next->service,
                       .doc = doc,
                       .fact = {m->fx.type, NULL, next->id, m->fx.message, data},
                       .what = what,
                       .actor = m->who.actor,
                       .reason = m->who.reason,
                       .rollout = next->id,
                       .document = document,
                       .urgent = is_urgent(next, &m->fx)};
    bool publishes = doc != NULL;

    m->doc = NULL;
    if (c.urgent && !l->verdict_us)
        l->verdict_us = m->at_us;
    int rc = change_apply(rs->engine, &c, publishes ? m->cb : NULL, m->arg);
    m->published = publishes && (rc == 0 || c.urgent);
    if (m->fx.set_weight && c.generation)
        l->published = c.generation;
    if (told && rc != 0 && !c.urgent)
        evidence_untell(l);
    json_decref(data);
    json_decref(document);
    xfree(what);
    return rc == 0 || c.urgent ? 0 : -1;
}

static void finish_entry(struct rollouts *rs, struct rollout_entry *l)
{
    l->settling = true;
    l->judged_ms = loop_now_ms(rs->engine->loop);
}

/* Does the result of M have to be on disk now? Evidence alone may wait a second. */
static bool is_transition(const struct move *m)
{
    return m->doc || m->fx.type || m->fx.set_weight || m->fx.run_task || m->fx.drain ||
           m->fx.settle || m->fx.finish || m->who.actor;
}

/* Let M->EV happen to L. 0, or -1: refused or not stored (then fx.message says why). */
static int step(struct rollouts *rs, struct rollout_entry *l, struct move *m)
{
    struct rollout *next = xmalloc(sizeof(*next));
    m->at_us = clock_mono_us();
    uint64_t now_ms = m->at_us / 1000;
    int rc;

    *next = l->r;
    if (m->ev.wall_ms == 0)
        m->ev.wall_ms = clock_wall_ms();
    m->ev.mono_ms = now_ms;
    if (m->who.actor) {
        m->ev.actor = m->who.actor;
        m->ev.why = m->who.reason;
    }
    rc = rollout_apply(next, &m->ev, &m->fx);
    bool store_now =
        is_transition(m) || (m->fx.changed && now_ms - l->saved_ms >= ROLLOUTS_SAVE_MS);
    if (rc == 0 && store_now) {
        rc = carry_out(rs, l, next, m);
        if (rc != 0)
            snprintf(m->fx.message, sizeof(m->fx.message), "the store failed: %s",
                     change_error(rs->engine));
        else
            l->saved_ms = now_ms;
    }
    if (rc == 0) {
        bool seen = next->index != l->r.index;
        l->r = *next;
        if (m->fx.finish)
            finish_entry(rs, l);
        if (m->fx.run_task)
            tasks_run(rs->tasks, next);
        else if (next->check != ROLLOUT_CHECKING)
            tasks_cancel(rs->tasks, next->id);
        if (seen)
            tell_watchers(rs, l);
    }
    json_decref(m->doc);
    m->doc = NULL;
    xfree(next);
    return rc;
}

static void step_fact(struct rollouts *rs, struct rollout_entry *l, struct rollout_event ev)
{
    struct move m = {.ev = ev};

    if (step(rs, l, &m) != 0)
        log_debug("rollout %s: %s: %s", l->r.id, rollout_event_name(ev.type), m.fx.message);
}

static struct rollout_entry *find(const struct rollouts *rs, const char *id)
{
    struct rollout_entry *l;

    TAILQ_FOREACH (l, &rs->all, link)
        if (strcmp(l->r.id, id) == 0)
            return l;
    return NULL;
}

static void on_checked(void *arg, const char *id, uint32_t at, bool ok, const char *why)
{
    struct rollouts *rs = arg;
    struct rollout_entry *l = find(rs, id);
    struct move m = {.ev = {.type = ROLLOUT_CHECKED, .step = at, .ok = ok, .why = why}};

    if (l && step(rs, l, &m) != 0)
        log_warn("rollout %s: the end of a check is not stored: %s", id, m.fx.message);
}

/* --- the workers' answers --- */

/* Weight 0 is live: what can be known about the way back is known now. */
static void note_reverted(struct rollouts *rs, struct rollout_entry *l,
                          const struct publish_result *p)
{
    uint32_t cell = rollout_entry_cell(rs->engine, l->r.service, l->r.spec.version);
    uint64_t last_us = evidence_last_request_us(rs->engine->stats, cell);

    l->reverted_us = p->at_us;
    l->reverted_ms = p->at_ms;
    if (last_us && l->verdict_us)
        l->r.result.last_request_ms = ((int64_t)last_us - (int64_t)l->verdict_us) / 1000;
}

static void applied_one(struct rollouts *rs, struct rollout_entry *l,
                        const struct publish_result *p)
{
    struct rollout_event ev = {.type = p->error ? ROLLOUT_APPLY_FAILED : ROLLOUT_APPLIED,
                               .weight = l->r.weight,
                               .generation = p->generation};

    if (rollout_terminal(l->r.state) || l->r.applied || p->generation < l->published)
        return;
    if (!p->error && l->verdict_us && l->r.weight == 0) {
        if (!l->reverted_us)
            note_reverted(rs, l, p);
        ev.wall_ms = l->reverted_ms;
    }
    step_fact(rs, l, ev);
}

/* The answer came when the store could not take what follows from it: say it again. */
static void retell_applied(struct rollouts *rs, struct rollout_entry *l)
{
    struct publish_result p = {.generation = publish_applied(rs->engine->publish),
                               .at_us = clock_mono_us(),
                               .at_ms = clock_wall_ms()};

    if (!l->r.applied && l->published && p.generation >= l->published)
        applied_one(rs, l, &p);
}

/* --- ticks --- */

static void observe(struct rollouts *rs, struct rollout_entry *l)
{
    struct engine *e = rs->engine;
    struct judge_window *w = xcalloc(1, sizeof(*w));
    struct judge_report *report = xcalloc(1, sizeof(*report));
    enum judge_verdict was = l->r.verdict;
    uint64_t now_ms = clock_mono_us() / 1000, wall_ms = clock_wall_ms();

    evidence_take(l, e->stats, rollout_entry_cell(rs->engine, l->r.service, l->r.stable),
                  rollout_entry_cell(rs->engine, l->r.service, l->r.spec.version), w);
    if (rollout_observe(&l->r, w, wall_ms, report)) {
        if (report->verdict != was || now_ms - l->judged_ms >= 5000) {
            l->judged_ms = now_ms;
            evidence_keep(l, report, wall_ms);
        }
        l->r.result.exposed = l->exposed;
        l->r.result.bad = l->bad;
        step_fact(rs, l, (struct rollout_event){.type = ROLLOUT_VERDICT, .report = report});
    }
    xfree(w);
    xfree(report);
}

static void tell_readiness(struct rollouts *rs, struct rollout_entry *l)
{
    bool ready = rollout_entry_ready(rs->engine, &l->r);

    if (ready != l->r.ready)
        step_fact(rs, l, (struct rollout_event){.type = ROLLOUT_ENDPOINTS, .ready = ready});
}

static void tick_active(struct rollouts *rs, struct rollout_entry *l)
{
    retell_applied(rs, l);
    tell_readiness(rs, l);
    observe(rs, l);
    if (!rollout_terminal(l->r.state))
        step_fact(rs, l, (struct rollout_event){.type = ROLLOUT_TICK});
}

/* Requests that were under way at the end are still counted, then the numbers are final. */
static void tick_settling(struct rollouts *rs, struct rollout_entry *l)
{
    struct judge_window *w = xcalloc(1, sizeof(*w));

    evidence_take(l, rs->engine->stats,
                  rollout_entry_cell(rs->engine, l->r.service, l->r.stable),
                  rollout_entry_cell(rs->engine, l->r.service, l->r.spec.version), w);
    xfree(w);
    if (clock_mono_us() / 1000 - l->judged_ms < ROLLOUTS_SETTLE_MS)
        return;
    l->settling = false;
    l->r.result.exposed = l->exposed;
    l->r.result.bad = l->bad;
    l->r.index++;
    json_t *doc = evidence_save(l);
    struct change c = {.service = l->r.service, .rollout = l->r.id, .document = doc};
    if (change_apply(rs->engine, &c, NULL, NULL) != 0)
        log_warn("rollout %s: final numbers are not stored", l->r.id);
    json_decref(doc);
    tell_watchers(rs, l);
}

static void begin_waiting(struct rollouts *rs, struct rollout_entry *l);

static void on_tick(void *arg)
{
    struct rollouts *rs = arg;
    struct rollout_entry *l;
    bool again = false;

    TAILQ_FOREACH (l, &rs->all, link) {
        if (l->r.state == ROLLOUT_PENDING)
            begin_waiting(rs, l);
        else if (!rollout_terminal(l->r.state))
            tick_active(rs, l);
        else if (l->settling)
            tick_settling(rs, l);
        again |= !rollout_terminal(l->r.state) || l->settling;
    }
    if (again)
        timer_start(&rs->tick, ROLLOUTS_TICK_MS);
}

static void wake(struct rollouts *rs)
{
    if (!timer_pending(&rs->tick))
        timer_start(&rs->tick, ROLLOUTS_TICK_MS);
}

void rollouts_applied(struct rollouts *rs, const struct publish_result *p)
{
    struct rollout_entry *l;

    TAILQ_FOREACH (l, &rs->all, link)
        applied_one(rs, l, p);
}

void rollouts_health(struct rollouts *rs)
{
    struct rollout_entry *l;

    TAILQ_FOREACH (l, &rs->all, link)
        if (!rollout_terminal(l->r.state) && l->r.state != ROLLOUT_PENDING)
            tell_readiness(rs, l);
}

/* --- starting --- */

/* The one that waits for SERVICE; there is at most one. */
static struct rollout_entry *waiting(const struct rollouts *rs, const char *service)
{
    struct rollout_entry *l;

    TAILQ_FOREACH (l, &rs->all, link)
        if (l->r.state == ROLLOUT_PENDING && strcmp(l->r.service, service) == 0)
            return l;
    return NULL;
}

/* The one that has SERVICE, else the one that waits for it, or NULL. */
static struct rollout_entry *in_the_way(const struct rollouts *rs, const char *service)
{
    const struct rollout_entry *active = rollouts_active(rs, service);

    return active ? find(rs, active->r.id) : waiting(rs, service);
}

int rollouts_check(struct rollouts *rs, const char *service, const struct spec *spec,
                   struct refusal *why)
{
    const struct rollout_entry *active = in_the_way(rs, service);

    if (active && spec->supersede == SPEC_REJECT)
        return refuse(why, 409, "rollout_active", "%s is under way on %s (%s to %s)",
                      active->r.id, service, active->r.stable, active->r.spec.version);
    if (rollout_entry_check(rs->engine, service, spec, why) == 0)
        return 0;
    return active && why->status == 409 ? 0 : -1; /* weights will be others by then */
}

/* Old ones that ended are forgotten, here and in the store. */
static void forget_old(struct rollouts *rs)
{
    struct rollout_entry *l, *next;
    unsigned n = 0;

    for (l = TAILQ_FIRST(&rs->all); l; l = next) {
        next = TAILQ_NEXT(l, link);
        if (!rollout_terminal(l->r.state) || l->settling || ++n <= ROLLOUTS_KEPT)
            continue;
        if (store_delete(rs->engine->store, "rollout", l->r.id) < 0)
            return;
        TAILQ_REMOVE(&rs->all, l, link);
        rollout_entry_free(l);
    }
}

/* --- waiting for another one --- */

/* L is to be stopped, since another one takes its place. */
static void supersede(struct rollouts *rs, struct rollout_entry *l, const char *id,
                      const char *actor)
{
    char why[ROLLOUT_ID_MAX + 16];
    struct move m = {.ev = {.type = ROLLOUT_SUPERSEDE}, .who = {actor, why}};

    snprintf(why, sizeof(why), "by %s", id);
    if (rollout_accepts(&l->r, ROLLOUT_SUPERSEDE, clock_wall_ms()) && step(rs, l, &m) != 0)
        log_warn("rollout %s is not superseded: %s", l->r.id, m.fx.message);
}

/* SPEC behind OTHER, which is under way or waits itself. NULL: WHY. */
static struct rollout_entry *wait_behind(struct rollouts *rs, const char *service,
                                         struct rollout_entry *other, const struct spec *spec,
                                         struct requester who, struct refusal *why)
{
    struct rollout_entry *before = waiting(rs, service);
    struct rollout_entry *l =
        rollout_entry_new(rs->engine, rs->last_number + 1, service, spec, who.actor);
    json_t *data = effects_data(l, &l->r), *document = evidence_save(l);
    char *text = xasprintf("%s waits for %s", l->r.spec.version, other->r.id);
    char *what = xasprintf("rollout.queue %s", l->r.id);
    struct change c = {.service = service,
                       .fact = {"rollout.queued", NULL, l->r.id, text, data},
                       .what = what,
                       .actor = who.actor,
                       .reason = who.reason,
                       .rollout = l->r.id,
                       .document = document};
    int rc = change_apply(rs->engine, &c, NULL, NULL);

    json_decref(data);
    json_decref(document);
    xfree(text);
    xfree(what);
    if (rc != 0) {
        refuse(why, 507, "store_failed", "%s", change_error(rs->engine));
        rollout_entry_free(l);
        return NULL;
    }
    rs->last_number = l->number;
    TAILQ_INSERT_HEAD(&rs->all, l, link);
    if (before)
        supersede(rs, before, l->r.id, who.actor);
    if (spec->supersede == SPEC_RESTART && other != before)
        supersede(rs, other, l->r.id, who.actor);
    tell_watchers(rs, l);
    wake(rs);
    return l;
}

/* L has waited; whoever had the service may be gone now. */
static void begin_waiting(struct rollouts *rs, struct rollout_entry *l)
{
    struct refusal why;
    char author[ROLLOUT_AUTHOR_MAX];
    struct move m = {.ev = {.type = ROLLOUT_START}, .who = {author, ""}};

    if (rollouts_active(rs, l->r.service))
        return;
    str_copy(author, sizeof(author), str_of(l->r.author));
    if (rollout_entry_check(rs->engine, l->r.service, &l->r.spec, &why) != 0) {
        m.ev.type = ROLLOUT_ABORT;
        m.who = (struct requester){"controller", why.message};
    } else {
        rollout_entry_renew(rs->engine, l);
        m.doc = effects_at_start(rs->engine->desired, &l->r, l->number);
    }
    if (step(rs, l, &m) != 0)
        log_warn("rollout %s does not begin yet: %s", l->r.id, m.fx.message);
}

const struct rollout_entry *rollouts_start(struct rollouts *rs, const char *service,
                                           const struct spec *spec, struct requester who,
                                           publish_cb *cb, void *arg, struct refusal *why)
{
    if (rollouts_check(rs, service, spec, why) != 0)
        return NULL;
    struct rollout_entry *active = in_the_way(rs, service);
    if (active)
        return wait_behind(rs, service, active, spec, who, why);
    struct rollout_entry *l =
        rollout_entry_new(rs->engine, rs->last_number + 1, service, spec, who.actor);
    struct move m = {.ev = {.type = ROLLOUT_START},
                     .who = who,
                     .doc = effects_at_start(rs->engine->desired, &l->r, l->number),
                     .cb = cb,
                     .arg = arg};
    if (step(rs, l, &m) != 0) {
        refuse(why, 507, "store_failed", "%s", m.fx.message);
        rollout_entry_free(l);
        return NULL;
    }
    rs->last_number = l->number;
    TAILQ_INSERT_HEAD(&rs->all, l, link);
    tell_watchers(rs, l);
    forget_old(rs);
    wake(rs);
    return l;
}

/* --- commands --- */

int rollouts_command(struct rollouts *rs, const char *id, enum rollout_event_type command,
                     struct requester who, publish_cb *cb, void *arg, struct refusal *why)
{
    struct rollout_entry *l = find(rs, id);
    struct move m = {.ev = {.type = command}, .who = who, .cb = cb, .arg = arg};

    if (!l)
        return refuse(why, 404, "not_found", "no rollout \"%s\"", id);
    struct rollout_event asked = {
        .type = command, .actor = who.actor, .wall_ms = clock_wall_ms()};
    const char *no = rollout_refusal(&l->r, &asked);
    if (no)
        return refuse(why, 409, "state", "%s is %s: cannot %s it: %s", id,
                      rollout_state_name(l->r.state), rollout_event_name(command), no);
    if (command == ROLLOUT_RESUME)
        m.doc = effects_at_resume(rs->engine->desired, &l->r);
    if (command == ROLLOUT_UNDO)
        l->verdict_us = l->reverted_us = 0;
    if (step(rs, l, &m) != 0)
        return refuse(why, 507, "store_failed", "%s", m.fx.message);
    wake(rs);
    return m.published ? 1 : 0;
}

/* --- looking --- */

const struct rollout_entry *rollouts_get(const struct rollouts *rs, const char *id)
{
    return find(rs, id);
}

const struct rollout_entry *rollouts_active(const struct rollouts *rs, const char *service)
{
    struct rollout_entry *l;

    TAILQ_FOREACH (l, &rs->all, link)
        if (!rollout_terminal(l->r.state) && l->r.state != ROLLOUT_PENDING &&
            strcmp(l->r.service, service) == 0)
            return l;
    return NULL;
}

const struct rollout_entry *rollouts_undoable(const struct rollouts *rs, const char *service)
{
    struct rollout_entry *l;

    TAILQ_FOREACH (l, &rs->all, link)
        if (strcmp(l->r.service, service) == 0)
            return rollout_accepts(&l->r, ROLLOUT_UNDO, clock_wall_ms()) ? l : NULL;
    return NULL;
}

const struct rollout_entry *rollouts_first(const struct rollouts *rs)
{
    return TAILQ_FIRST(&rs->all);
}

const struct rollout_entry *rollouts_next(const struct rollout_entry *l)
{
    return TAILQ_NEXT(l, link);
}

/* --- beginning and end --- */

struct rollouts *rollouts_new(struct engine *e)
{
    struct rollouts *rs = xcalloc(1, sizeof(*rs));

    rs->engine = e;
    TAILQ_INIT(&rs->all);
    LIST_INIT(&rs->watchers);
    rs->tasks = tasks_new(e, on_checked, rs);
    timer_init(&rs->tick, e->loop, on_tick, rs);
    return rs;
}

void rollouts_free(struct rollouts *rs)
{
    struct rollout_entry *l;

    if (!rs)
        return;
    timer_stop(&rs->tick);
    tasks_free(rs->tasks);
    while ((l = TAILQ_FIRST(&rs->all))) {
        TAILQ_REMOVE(&rs->all, l, link);
        rollout_entry_free(l);
    }
    drop_left(rs);
    xfree(rs);
}

/* Newest first, whatever order the store has. */
static void insert_by_number(struct rollouts *rs, struct rollout_entry *l)
{
    struct rollout_entry *at;

    TAILQ_FOREACH (at, &rs->all, link) {
        if (at->number < l->number) {
            TAILQ_INSERT_BEFORE(at, l, link);
            return;
        }
    }
    TAILQ_INSERT_TAIL(&rs->all, l, link);
}

static int load_one(void *arg, struct str key, struct str doc)
{
    struct rollouts *rs = arg;
    struct rollout_entry *l = xcalloc(1, sizeof(*l));
    json_t *j = json_loadb(doc.p, doc.n, 0, NULL);
    struct spec_error err = {"", "not JSON"};

    if (!j || evidence_load(l, j, rs->engine->boot, &err) != 0) {
        log_error("rollout %.*s in the store is damaged: %s", STR_ARG(key), err.message);
        xfree(l);
    } else {
        str_to_u64(str_skip(str_of(l->r.id), 2), UINT32_MAX, &l->number);
        rs->last_number = l->number > rs->last_number ? l->number : rs->last_number;
        insert_by_number(rs, l);
    }
    json_decref(j);
    return 0;
}

void rollouts_resume(struct rollouts *rs)
{
    struct rollout_entry *l;

    if (store_list(rs->engine->store, "rollout", load_one, rs) != 0)
        log_error("rollouts cannot be read: %s", store_message(rs->engine->store));
    TAILQ_FOREACH (l, &rs->all, link) {
        if (rollout_terminal(l->r.state))
            continue;
        log_info("rollout %s of %s goes on: %s, step %u", l->r.id, l->r.service,
                 rollout_state_name(l->r.state), l->r.step + 1);
        step_fact(rs, l, (struct rollout_event){.type = ROLLOUT_RESTART});
        wake(rs);
    }
}

void rollouts_reloaded(struct rollouts *rs)
{
    struct rollout_entry *l;

    TAILQ_FOREACH (l, &rs->all, link) {
        if (rollout_terminal(l->r.state) || desired_service(rs->engine->desired, l->r.service))
            continue;
        struct move m = {
            .ev = {.type = ROLLOUT_ABORT},
            .who = {"controller", "the service is not in the config file any more"}};
        if (step(rs, l, &m) != 0)
            log_warn("rollout %s: %s", l->r.id, m.fx.message);
    }
}
