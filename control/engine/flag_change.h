/*
 * flag_change.h - changes of flags that are under way: from asked for to live everywhere.
 *
 * A change is written (to Redis or the store), served (a set contains it) and live (the workers
 * have that set), or it fails on the way. Whoever asked is told exactly once, on a later turn
 * of the loop.
 */
#pragma once
#include "control/engine/flagsync.h"
#include "proxy/event/loop.h"

enum flag_change_state {
    CHANGE_WRITING,  /* Redis has not answered yet */
    CHANGE_COLLIDED, /* the set was another one: look whether the flags are */
    CHANGE_WRITTEN,  /* waits for a set of at least `version` */
    CHANGE_SERVED,   /* waits until `sequence` is live */
    CHANGE_OVER      /* outcome is known: tell it on a later turn */
};

struct flag_change { /* owned by its list until it is told */
    STAILQ_ENTRY(flag_change) link;
    struct flag_changes *list;
    enum flag_change_state state;
    uint64_t version, sequence;
    enum flagsync_outcome outcome;
    char why[256];
    flagsync_cb *done;
    void *arg;
    struct json_t *flags;  /* key -> definition, or null: delete; NULL: an override */
    struct json_t *before; /* those of them that were served at the start */
    unsigned collisions;
    char *by, *reason;
};

struct flag_changes { /* owned by flagsync */
    struct loop *loop;
    struct post tell;
    void *owner;
    STAILQ_HEAD(, flag_change) list;
};

void flag_changes_init(struct flag_changes *l, struct loop *loop, void *owner);
void flag_changes_release(struct flag_changes *l); /* nobody is told */

struct flag_change *flag_change_new(struct flag_changes *l, struct flagsync_who who,
                                    flagsync_cb *done, void *arg);
/* The only ending. WHY: NULL for none. */
void flag_change_end(struct flag_change *c, enum flagsync_outcome o, const char *why);
/* The set of SEQUENCE has everything up to VERSION of the source. */
void flag_changes_served(struct flag_changes *l, uint64_t version, uint64_t sequence);
/* All workers have SEQUENCE, or not (ERROR). */
void flag_changes_live(struct flag_changes *l, uint64_t sequence, const char *error);
/* What is in no set yet, FROM this state on, will not be in one. */
void flag_changes_give_up(struct flag_changes *l, enum flag_change_state from, const char *why);
