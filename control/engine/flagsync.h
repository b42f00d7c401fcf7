/*
 * flagsync.h - where flags come from, and how changes of them get there.
 *
 * The source of truth is Redis when it is configured, else the store of this node. What is
 * served is the first of: Redis, the last good set in state_dir/flags-<env>.json, the bootstrap
 * file, nothing. Every new set is published to the workers and then saved. Losing Redis changes
 * no answer; a Redis that was emptied or fell back to an older copy does not either. A flag
 * whose new definition is bad keeps the last good one.
 *
 * Answers (flagsync_cb) come from the loop, never from inside a call made here; the hooks may
 * be called from inside, also of flagsync_new.
 */
#pragma once
#include "config/flagset.h"
#include "config/model.h"
#include "control/engine/flag_split.h"

#define FLAGSYNC_BATCH 2000 /* flags of one change */

struct loop;
struct store;
struct flagsync;
struct flagset;
struct json_t;

typedef void flagsync_published_cb(void *arg, const char *error); /* NULL: live everywhere */

struct tls_upstream_spec;

struct flagsync_hooks {
    /* Hand DOC to all workers and call DONE exactly once, later. As workers_publish_flags. */
    void (*publish)(void *arg, uint64_t sequence, struct str doc, flagsync_published_cb *done,
                    void *done_arg);
    /* For the event log: TYPE "flags.changed", "flag.killed", "flag.restored", "redis.up",
     * "redis.down"; DATA is an object (borrowed) or NULL. */
    void (*event)(void *arg, const char *type, const char *message, const struct json_t *data);
    void *arg;
};

struct flagsync_options {
    struct loop *loop;
    const struct conf_flags *conf; /* copied */
    struct str state_dir;          /* copied */
    struct store *store;           /* local flags and overrides; borrowed */
    uint64_t sequence;             /* highest relayed so far: the next is higher */
    struct flagsync_hooks hooks;
};

/* Starts at once: publishes what it finds on disk, then asks Redis. */
struct flagsync *flagsync_new(const struct flagsync_options *o);
void flagsync_free(struct flagsync *f); /* pending callbacks are not called */
/* After a reload of the config; a no-op when nothing about flags changed. */
void flagsync_configure(struct flagsync *f, const struct conf_flags *conf);

/* How TLS is spoken to Redis, for rediss; NULL: nothing is said, nothing changes. */
void flagsync_tls(struct flagsync *f, const struct tls_upstream_spec *spec);

enum flagsync_redis { FLAGSYNC_REDIS_OFF, FLAGSYNC_REDIS_UP, FLAGSYNC_REDIS_DOWN };
struct flagsync_status { /* text lives until the next turn of the loop */
    const char *source;  /* "redis", "disk", "bootstrap", "api", "none" */
    struct str env, epoch;
    uint64_t version, sequence;
    enum flagsync_redis redis;
    uint64_t stale_ms;                /* since Redis last confirmed the set; 0 without Redis */
    const struct json_t *quarantined; /* object: key -> reason */
    bool version_regressed;           /* Redis shows an older version of the same epoch */
};
void flagsync_status(const struct flagsync *f, struct flagsync_status *s);

/* What is served: the compiled set (NULL: none yet) and its document (object, borrowed). */
struct flagset *flagsync_set(const struct flagsync *f);
const struct json_t *flagsync_document(const struct flagsync *f);
/* flagd definition of KEY as served, or NULL; its override, or NULL. Borrowed. */
const struct json_t *flagsync_flag(const struct flagsync *f, const char *key);
const struct json_t *flagsync_override(const struct flagsync *f, const char *key);

/* Would FLAGS (key -> definition, or null: delete) be good in the set that is served, and leave
 * the others good? NULL, or a malloc'd reason (xfree). */
char *flagsync_objection(const struct flagsync *f, const struct json_t *flags);

/*
 * Changes. DONE is called exactly once, when the change is live on all workers or has failed.
 * CONFLICT: somebody else changed the set in between; the caller's precondition may not hold.
 * put and delete need Redis when it is configured (FLAGSYNC_UNAVAILABLE while it is away);
 * kill and restore do not: they are live at once and pushed to Redis when it is back.
 */
enum flagsync_outcome {
    FLAGSYNC_DONE,
    FLAGSYNC_CONFLICT,
    FLAGSYNC_REFUSED,     /* the definition is bad, no such flag or variant: WHY says it */
    FLAGSYNC_UNAVAILABLE, /* Redis is away */
    FLAGSYNC_UNAPPLIED    /* stored, but not every worker has confirmed: WHY says which */
};
typedef void flagsync_cb(void *arg, enum flagsync_outcome o, const char *why);
struct flagsync_who { /* copied */
    const char *by, *why;
};
void flagsync_put(struct flagsync *f, const char *key, const struct json_t *flag,
                  struct flagsync_who who, flagsync_cb *done, void *arg);
void flagsync_delete(struct flagsync *f, const char *key, struct flagsync_who who,
                     flagsync_cb *done, void *arg);
/* FLAGS: key -> definition, or null to delete; at most FLAGSYNC_BATCH, all of them or none. */
void flagsync_publish(struct flagsync *f, const struct json_t *flags, struct flagsync_who who,
                      flagsync_cb *done, void *arg);
/*
 * The split of KEY's users becomes SHARES (flag_split.h), all else of the flag stays: what a
 * rollout does at each step. It is a change like any other: in the audit with the definition
 * before and after, refused when it is bad, and taken back by putting the definition that
 * flagsync_flag gave before.
 */
void flagsync_split(struct flagsync *f, const char *key, const struct flag_share *shares,
                    size_t n, struct flagsync_who who, flagsync_cb *done, void *arg);
struct flagsync_kill { /* an override; copied */
    const char *variant;
    uint64_t until;               /* Unix seconds; 0: until restored */
    const struct json_t *targets; /* {"attr":name,"values":[…]}: for these; NULL: everybody */
};
void flagsync_kill(struct flagsync *f, const char *key, const struct flagsync_kill *k,
                   struct flagsync_who who, flagsync_cb *done, void *arg);
void flagsync_restore(struct flagsync *f, const char *key, struct flagsync_who who,
                      flagsync_cb *done, void *arg);
