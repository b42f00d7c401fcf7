/*
 * flagset.h - the flag-set snapshot and the compiled form of its flags.
 *
 *   {"format":1,"sequence":7,"env":"prod","source":"redis|bootstrap|disk|api",
 *    "epoch":"…","version":12,
 *    "flags":{…flagd flags by key…},"evaluators":{…},"metadata":{…},
 *    "overrides":{"key":{"variant":"off","until":1764000000,"by":"ann","why":"INC-12"}},
 *    "cells":{"key":{"on":3,"off":4}}}
 *
 * Written by the controller, relayed to every worker, stored in state_dir/flags-<env>.json.
 * flagset_compile turns the document into flat programs (config/ has jansson), flag_eval
 * (proxy/route/flag_eval.h) runs them on the request path without allocating. A flag whose
 * definition is bad is quarantined: it stays in the set with its reason and never matches.
 *
 * A flag is named by its index in the set: 0..flagset_count-1, in document order, valid for
 * this set only. Text that is handed out lives as long as the set.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

#define FLAGSET_FORMAT   1
#define FLAGSET_MAX      10000 /* flags of a set */
#define FLAGSET_UPSTREAM 64    /* flags that are handed to upstreams, at most */

struct flagset; /* immutable after compile, reference-counted by its users */

/* Compile DOC. NULL and a malloc'd reason (xfree) only if DOC is not a flag-set snapshot;
 * single bad flags are quarantined. The caller owns one reference. DOC may go afterwards. */
struct flagset *flagset_compile(struct str doc, char **why) MUST_CHECK;
struct flagset *flagset_ref(struct flagset *f); /* returns F; not thread-safe */
void flagset_unref(struct flagset *f);          /* the last one frees; NULL is a no-op */

size_t flagset_count(const struct flagset *f);
uint64_t flagset_sequence(const struct flagset *f);
int flagset_find(const struct flagset *f, struct str key); /* -1: no such flag */
struct str flagset_key(const struct flagset *f, int flag);
/* Why FLAG is quarantined; empty: it is fine. */
struct str flagset_quarantine(const struct flagset *f, int flag);
/* The metadata of an answer (set overlaid by flag) as a JSON object; empty: none. */
struct str flagset_metadata(const struct flagset *f, int flag);

/*
 * What is handed to upstreams as a field "X-Flag-<key>: <variant>": flags with metadata
 * "proxy.upstream" true, or with "proxy.header" naming the field, which must begin with X-Flag-
 * (these are taken off what clients send, so nobody can forge one); and in a set of at most 32
 * flags all the others too, unless their "proxy.upstream" is false. Keys that are not
 * field-name tokens are left out, quarantined and DISABLED flags as well; at most
 * FLAGSET_UPSTREAM are handed on, the first of the document.
 */
struct flag_upstream {
    int flag;
    struct str field; /* as sent: "X-Flag-new-checkout" */
};
const struct flag_upstream *flagset_upstream(const struct flagset *f, size_t *n);
