/*
 * flag_run.h - inside of an evaluation: for flag_eval.c, flag_walk.c and flag_explain.c.
 *
 * Work is bounded by a budget of steps, intermediate values by the scratch room; depth was
 * bounded at compile. When either is used up `over` is set, every loop ends, and what has been
 * computed so far is thrown away.
 */
#pragma once
#include "proxy/route/flag_coerce.h"
#include "proxy/route/flag_eval.h"

struct flag_slot { /* an attribute of this request; valid when EPOCH is the context's */
    uint32_t epoch;
    bool found;
    struct flag_value value;
};

struct flag_memo {
    uint32_t epoch, told; /* told: when flag_first said so */
    struct flag_result result;
};

struct flag_ctx {
    const struct flagset *set;
    flag_get *get;
    void *arg;
    uint64_t now_unix;
    uint32_t epoch; /* number of this request; 0 is never used */
    struct flag_slot *slots;
    struct flag_memo *memos;
    size_t nslots, nmemos;
    char *scratch;
};

struct flag_run { /* one evaluation */
    struct flag_ctx *c;
    const struct flag_node *nodes;
    const struct flag_def *def;
    const struct flag_value *element; /* what `local` paths start from */
    struct flag_scratch scratch;
    unsigned steps;
    bool over;
};

/* A fresh budget for D's rule. What the run computes is valid until the next run begins. */
struct flag_run flag_run_begin(struct flag_ctx *c, const struct flag_def *d);
/* The value of node AT. */
struct flag_value flag_run_node(struct flag_run *r, uint32_t at);
/* N is FRACTIONAL with arguments: the hash of who asks, and which argument is the first bucket.
 * False: nobody asks, and the whole is null. */
bool flag_run_hash(struct flag_run *r, const struct flag_node *n, uint32_t *hash,
                   uint32_t *first);
