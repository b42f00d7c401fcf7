/*
 * flag_redis.h - the flag set of one environment in Redis: reading, watching, changing.
 *
 * Keys share a hash tag: {ff:ENV}:meta (epoch, version, metadata, evaluators), {ff:ENV}:flags
 * and {ff:ENV}:ovr (flagd flags and overrides by flag key), {ff:ENV}:log (stream of changes),
 * channel {ff:ENV}:changed. A snapshot is read in one transaction; a message on the channel is
 * a hint to look, a poll of epoch and version every two seconds is the truth. Changes are one
 * script that checks everything, then writes: readers see all of it or nothing.
 *
 * Call-backs come from the loop, never from inside a call made here.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

struct flag_redis;
struct json_t;
struct loop;
struct tls_client;

struct flag_redis_events {
    void (*up)(void *arg);
    void (*down)(void *arg, const char *why); /* only after up, or on the first failure */
    /*
     * A newer set, or one of another epoch: {"epoch","version","flags":{key:definition},
     * "bad":{key:reason},"evaluators","metadata","overrides"}, borrowed. What cannot be parsed
     * is in "bad" and not in "flags".
     */
    void (*snapshot)(void *arg, struct json_t *set);
    void (*confirmed)(void *arg); /* Redis still has the set that is known */
    void (*regressed)(void *arg); /* it has an older version of the same epoch */
    void (*empty)(void *arg);     /* it has no set at all */
};

/* TLS is for rediss and outlives this. NULL: a bad URL, and WHY says so. */
struct flag_redis *flag_redis_open(struct loop *l, struct str url, struct str env,
                                   struct tls_client *tls,
                                   const struct flag_redis_events *events, void *arg,
                                   char **why) MUST_CHECK;
void flag_redis_close(struct flag_redis *f);
/* TLS is spoken otherwise from now on: connections are made anew. */
void flag_redis_reconnect(struct flag_redis *f);
bool flag_redis_is_up(const struct flag_redis *f);
/* What is served now; polls compare with it. EPOCH "" is nothing. */
void flag_redis_known(struct flag_redis *f, const char *epoch, uint64_t version);
void flag_redis_refresh(struct flag_redis *f); /* look now, do not wait for the poll */

enum flag_redis_outcome {
    FLAG_REDIS_DONE,
    FLAG_REDIS_CONFLICT, /* the set has another version or epoch */
    FLAG_REDIS_EMPTY,    /* there is no set, and SEED was not given */
    FLAG_REDIS_FAILED    /* no answer, or an error; WHY */
};
typedef void flag_redis_cb(void *arg, enum flag_redis_outcome o, uint64_t version,
                           const char *why);

struct flag_redis_change {
    const struct json_t *flags;     /* key -> definition, or null: delete; or NULL */
    const struct json_t *overrides; /* key -> override, or null: lift; or NULL */
    bool any_version;               /* else the known epoch and version must be there */
    const struct json_t *seed; /* a flag-set document to begin an empty Redis with: Redis must
                                  be empty then, else CONFLICT; NULL: it must not be */
    const char *by, *why;
};
/* CB is called exactly once, unless the connection is closed by flag_redis_close. */
void flag_redis_change(struct flag_redis *f, const struct flag_redis_change *c,
                       flag_redis_cb *cb, void *arg);
