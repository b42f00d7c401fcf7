/*
 * flag_explain.h - why a flag gave what it gave: every node of its rule that was looked at.
 */
#pragma once
#include "proxy/route/flag_eval.h"

#define FLAG_EXPLAIN_STEPS 500 /* that are told, of one flag */

struct flag_step {   /* borrowed during the call */
    unsigned depth;  /* 0: the rule itself; a step's children follow it, one deeper */
    const char *op;  /* as in rules; "var", "literal", "list" */
    struct str name; /* of "var", unless it is computed: the attribute */
    bool each;       /* inside map, filter, …: there is no one value */
    bool hashed;     /* of "fractional": somebody asks, and falls on HASH */
    uint32_t hash;
    struct flag_value value;
};
typedef void flag_step_cb(void *arg, const struct flag_step *step);

/* Tell the steps of FLAG's rule for the request of C. Of "if", "and" and "or" only what was
 * needed is told. */
void flag_explain(struct flag_ctx *c, int flag, flag_step_cb *cb, void *arg);
/* Who decided: "quarantine", "override", "state", "window", "needs", "targeting", "default". */
const char *flag_decided_by(struct flag_ctx *c, int flag);
