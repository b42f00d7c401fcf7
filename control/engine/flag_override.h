/*
 * flag_override.h - overrides that this node has made, until Redis has them.
 *
 * They hold at once and survive a restart (they are in the store); Redis learns them when it is
 * there. An override is forgotten when a set from Redis has it.
 */
#pragma once
#include "control/engine/flag_local.h"
#include "control/engine/flag_redis.h"

#include <sys/queue.h>

struct flag_push;

struct flag_overrides { /* owned by flagsync */
    const struct flag_local *stored;
    struct json_t *local;  /* key -> override, or null: lifted. Read it */
    struct json_t *pushed; /* key -> version of Redis that has what `local` says */
    LIST_HEAD(, flag_push) pushes;
};

void flag_overrides_init(struct flag_overrides *o, const struct flag_local *stored);
void flag_overrides_release(struct flag_overrides *o); /* after flag_redis_close */
/* OVERRIDE is borrowed; null lifts that of KEY. */
void flag_overrides_set(struct flag_overrides *o, const char *key,
                        const struct json_t *override);
/* Hand what is local to REDIS, if it is there. */
void flag_overrides_push(struct flag_overrides *o, struct flag_redis *redis);
/* What Redis has at VERSION is in the set: this node need not add it any more. */
void flag_overrides_arrived(struct flag_overrides *o, uint64_t version);
