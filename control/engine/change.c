/* change.c - the one write path of the controller. */
#include "control/engine/change.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/store/store.h"
#include "proxy/base/clock.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

static int put_json(struct store *s, const char *kind, const char *key, const json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT);
    int rc = store_put(s, kind, key, str_of(text));

    xfree(text);
    return rc;
}

static int append_audit(struct engine *e, const struct change *c, const json_t *before)
{
    char *what = xasprintf("%s %s", c->what, c->service);
    char *was = before ? json_dumps(before, JSON_COMPACT) : NULL;
    char *is = c->doc ? json_dumps(c->doc, JSON_COMPACT) : NULL;
    struct store_audit rec = {.ts_ms = clock_wall_ms(),
                              .who = str_of(c->actor ? c->actor : "controller"),
                              .what = str_of(what),
                              .why = c->reason ? str_of(c->reason) : STR(""),
                              .before = was ? str_of(was) : STR(""),
                              .after = is ? str_of(is) : STR("")};
    int rc = store_audit_append(e->store, &rec);

    xfree(what);
    xfree(was);
    xfree(is);
    return rc;
}

/* Everything about C in one transaction. 0 and the event to tell (or NULL), or -1. */
static int store_change(struct engine *e, const struct change *c, const json_t *before,
                        json_t **event)
{
    struct store *s = e->store;

    *event = NULL;
    if (store_begin(s) != 0)
        return -1;
    if (c->doc && put_json(s, "overlay", c->service, c->doc) != 0)
        goto fail;
    if (c->rollout && put_json(s, "rollout", c->rollout, c->document) != 0)
        goto fail;
    if (c->what && append_audit(e, c, before) != 0)
        goto fail;
    if (c->fact.type && !(*event = events_append(e->events, c->fact)))
        goto fail;
    if (store_commit(s) == 0)
        return 0;
fail:
    store_rollback(s);
    json_decref(*event);
    *event = NULL;
    return -1;
}

static void note_outcome(struct engine *e, int rc)
{
    if (rc == 0 && !e->store_failing)
        return;
    if (rc == 0)
        log_info("the store works again");
    else if (!e->store_failing)
        log_error("the store fails: %s; nothing but reverts will change",
                  store_message(e->store));
    e->store_failing = rc != 0;
}

static void publish_change(struct engine *e, struct change *c, publish_cb *cb, void *arg)
{
    desired_commit(e->desired, c->service, json_incref(c->doc));
    engine_retrack(e);
    c->generation = publish_request(e->publish, cb, arg);
    if (c->urgent)
        publish_flush(e->publish);
}

int change_apply(struct engine *e, struct change *c, publish_cb *cb, void *arg)
{
    json_t *before = json_incref((json_t *)desired_overlay(e->desired, c->service)), *event;

    c->fact.service = c->service;
    if (c->urgent && c->doc)
        publish_change(e, c, cb, arg);
    int rc = store_change(e, c, before, &event);
    note_outcome(e, rc);
    if (rc != 0 && c->urgent && c->fact.type)
        event = events_unstored(e->events, c->fact);
    if (rc == 0 && c->doc && !c->urgent)
        publish_change(e, c, cb, arg);
    if (event)
        events_tell(e->events, event);
    json_decref(before);
    json_decref(c->doc);
    c->doc = NULL;
    return rc;
}

const char *change_error(const struct engine *e)
{
    return store_message(e->store);
}
