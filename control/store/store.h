/*
 * store.h - what must survive: documents, events, audit.
 *
 * One writer (the controller), one file. What happens between store_begin and store_commit is
 * on disk entirely or not at all, also after a crash or a power cut. A call that fails changes
 * nothing, leaves a message in store_message and the store usable: when a full disk has room
 * again, the next call works. Inside a transaction a failed call dooms it: every later call
 * fails and store_commit rolls back and returns -1, so that half a transition is never stored.
 *
 * Texts are UTF-8; documents are JSON but the store does not look inside.
 */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/base/check.h"

struct store;

#define STORE_MESSAGE_MAX 256

/*
 * PATH is created when missing (mode 0600), ":memory:" lives as long as the handle. NULL with a
 * message in ERR when it cannot be opened, is not a store, is damaged or was written by a newer
 * version.
 */
struct store *store_open(const char *path, char err[STORE_MESSAGE_MAX]);
void store_close(struct store *s); /* NULL is a no-op; an open transaction is rolled back */
const char *store_message(const struct store *s); /* why the latest -1; "" before the first */

/* Transactions do not nest. 0, or -1. Without one, each call is a transaction of its own. */
MUST_CHECK int store_begin(struct store *s);
MUST_CHECK int store_commit(struct store *s);
void store_rollback(struct store *s); /* no transaction: a no-op */

/* Documents: the newest text under (KIND, KEY), for example ("rollout", "r-12"). */
MUST_CHECK int store_put(struct store *s, const char *kind, const char *key, struct str doc);
/* 1 and a copy in A (NUL-terminated), 0 when missing, -1. */
MUST_CHECK int store_get(struct store *s, const char *kind, const char *key, struct arena *a,
                         struct str *doc);
/* 1 deleted, 0 was not there, -1. */
MUST_CHECK int store_delete(struct store *s, const char *kind, const char *key);
/* Slices are valid during the call; return non-zero to stop. No store calls inside. */
typedef int store_doc_cb(void *arg, struct str key, struct str doc);
/* All documents of KIND in the order of their keys. 0, or -1. */
MUST_CHECK int store_list(struct store *s, const char *kind, store_doc_cb *cb, void *arg);

struct store_event {
    uint64_t seq;   /* given by the store, from 1, never used twice */
    uint64_t ts_ms; /* Unix, UTC */
    struct str type, service, rollout, message; /* service, rollout: empty when none */
    struct str data;                            /* JSON text; empty: none */
};
typedef int store_event_cb(void *arg, const struct store_event *ev);

/* Append EV (its seq is ignored). 0 and *SEQ (may be NULL), or -1. */
MUST_CHECK int store_event_append(struct store *s, const struct store_event *ev, uint64_t *seq);
/* Those with seq > SINCE, oldest first, at most LIMIT. 0, or -1. */
MUST_CHECK int store_events(struct store *s, uint64_t since, unsigned limit, store_event_cb *cb,
                            void *arg);
MUST_CHECK int store_events_last(struct store *s, uint64_t *seq); /* 0 when there is none */
/* Keep the newest KEEP. 0, or -1. */
MUST_CHECK int store_events_prune(struct store *s, uint64_t keep);

struct store_audit {
    uint64_t seq, ts_ms;
    struct str who, what, why; /* "uid:1000", "weights.set shop", reason or empty */
    struct str before, after;  /* JSON text or empty */
    struct str hash;           /* SHA-256 over this record and the hash before; hex */
};
typedef int store_audit_cb(void *arg, const struct store_audit *rec);

/* Append REC (seq and hash are ignored). 0, or -1. */
MUST_CHECK int store_audit_append(struct store *s, const struct store_audit *rec);
MUST_CHECK int store_audit_list(struct store *s, uint64_t since, unsigned limit,
                                store_audit_cb *cb, void *arg);
/* 0: the chain holds; *BAD is 0. 1: *BAD is the first record that does not fit. -1. */
MUST_CHECK int store_audit_verify(struct store *s, uint64_t *bad);
