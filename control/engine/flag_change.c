/* flag_change.c - the list of changes of flags that are under way. */
#include "control/engine/flag_change.h"

#include "proxy/base/mem.h"

#include <jansson.h>

void flag_changes_init(struct flag_changes *l, struct loop *loop, void *owner)
{
    *l = (struct flag_changes){.loop = loop, .owner = owner};
    STAILQ_INIT(&l->list);
}

static void free_change(struct flag_change *c)
{
    json_decref(c->flags);
    json_decref(c->before);
    xfree(c->by);
    xfree(c->reason);
    xfree(c);
}

void flag_changes_release(struct flag_changes *l)
{
    struct flag_change *c;

    while ((c = STAILQ_FIRST(&l->list)) != NULL) {
        STAILQ_REMOVE_HEAD(&l->list, link);
        free_change(c);
    }
    loop_unpost(l->loop, &l->tell);
}

struct flag_change *flag_change_new(struct flag_changes *l, struct flagsync_who who,
                                    flagsync_cb *done, void *arg)
{
    struct flag_change *c = xcalloc(1, sizeof(*c));

    c->list = l;
    c->done = done;
    c->arg = arg;
    c->by = xstrdup(who.by ? who.by : "");
    c->reason = xstrdup(who.why ? who.why : "");
    STAILQ_INSERT_TAIL(&l->list, c, link);
    return c;
}

static void on_tell(void *arg)
{
    struct flag_changes *l = arg;
    struct flag_change *c, *next;

    for (c = STAILQ_FIRST(&l->list); c; c = next) {
        next = STAILQ_NEXT(c, link);
        if (c->state != CHANGE_OVER)
            continue;
        STAILQ_REMOVE(&l->list, c, flag_change, link);
        if (c->done)
            c->done(c->arg, c->outcome, c->why);
        free_change(c);
    }
}

void flag_change_end(struct flag_change *c, enum flagsync_outcome o, const char *why)
{
    c->state = CHANGE_OVER;
    c->outcome = o;
    str_copy(c->why, sizeof(c->why), str_of(why ? why : ""));
    loop_post(c->list->loop, &c->list->tell, on_tell, c->list);
}

void flag_changes_served(struct flag_changes *l, uint64_t version, uint64_t sequence)
{
    struct flag_change *c;

    STAILQ_FOREACH (c, &l->list, link) {
        if (c->state == CHANGE_WRITTEN && c->version <= version) {
            c->state = CHANGE_SERVED;
            c->sequence = sequence;
        }
    }
}

void flag_changes_live(struct flag_changes *l, uint64_t sequence, const char *error)
{
    struct flag_change *c;

    STAILQ_FOREACH (c, &l->list, link) {
        if (c->state == CHANGE_SERVED && c->sequence <= sequence)
            flag_change_end(c, error ? FLAGSYNC_UNAPPLIED : FLAGSYNC_DONE, error);
    }
}

void flag_changes_give_up(struct flag_changes *l, enum flag_change_state from, const char *why)
{
    struct flag_change *c;

    STAILQ_FOREACH (c, &l->list, link) {
        if (c->state >= from && c->state < CHANGE_SERVED)
            flag_change_end(c, FLAGSYNC_UNAVAILABLE, why);
    }
}
