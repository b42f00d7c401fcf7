/*
 * flag_local.h - flags without Redis: documents on disk, and what the API changed, in the
 * store.
 *
 * The flags of a node without Redis are those of its bootstrap file with the changes of the
 * store on top. Overrides are stored here in any case, until Redis has them.
 */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/base/check.h"

struct store;
struct json_t;

struct flag_local {
    struct store *store;                  /* borrowed */
    const char *flags, *overrides, *meta; /* kinds of documents in the store */
};

/* The kinds of ENV; their names live in ARENA. */
void flag_local_init(struct flag_local *l, struct store *store, struct str env,
                     struct arena *arena);
/* The flagd or flag-set document at PATH (empty: none), or NULL: not there, or bad and logged.
 */
struct json_t *flag_local_read(struct str path) MUST_CHECK;
/* The set of this node, a new reference; SOURCE says where it is from. */
struct json_t *flag_local_set(const struct flag_local *l, struct str bootstrap,
                              const char **source) MUST_CHECK;
/* Store FLAGS (key -> definition, or null: it is gone) as VERSION: all or nothing. 0, or -1. */
int flag_local_put(const struct flag_local *l, const struct json_t *flags,
                   uint64_t version) MUST_CHECK;

/* key -> override or null, a new reference. */
struct json_t *flag_local_overrides(const struct flag_local *l) MUST_CHECK;
int flag_local_override(const struct flag_local *l, const char *key,
                        const struct json_t *value) MUST_CHECK; /* 0, or -1 */
void flag_local_forget_override(const struct flag_local *l, const char *key);
