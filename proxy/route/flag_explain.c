/*
 * flag_explain.c - a rule, node by node. Each node is evaluated by itself, so an explanation
 * takes more work than an evaluation, and evaluations pay nothing for it.
 */
#include "proxy/route/flag_explain.h"

#include "proxy/route/flag_coerce.h"
#include "proxy/route/flag_run.h"

struct explain {
    struct flag_ctx *c;
    const struct flag_def *def;
    flag_step_cb *cb;
    void *arg;
    unsigned left;
};

static const char *const names[FLAG_NOPS] = {[FLAG_OP_CONST] = "literal",
                                             [FLAG_OP_SLOT] = "var",
                                             [FLAG_OP_LOCAL] = "var",
                                             [FLAG_OP_VAR] = "var",
                                             [FLAG_OP_NOW] = "var",
                                             [FLAG_OP_LIST] = "list",
#define X(op, name) [FLAG_OP_##op] = name,
                                             FLAG_OPERATORS(X)
#undef X
};

static struct str name_of(const struct explain *e, const struct flag_node *n)
{
    switch (n->op) {
    case FLAG_OP_SLOT:
        return e->c->set->slots.names[n->slot];
    case FLAG_OP_LOCAL:
        return n->path;
    case FLAG_OP_NOW:
        return STR("$flagd.timestamp");
    default:
        return STR_NONE;
    }
}

static bool truth(struct explain *e, uint32_t at)
{
    struct flag_run r = flag_run_begin(e->c, e->def);
    struct flag_value v = flag_run_node(&r, at);

    return flag_truthy(&v);
}

static void walk(struct explain *e, uint32_t at, unsigned depth);

/* if, else if, else: the conditions up to the first that holds, and what is chosen. */
static void walk_if(struct explain *e, const struct flag_node *n, unsigned depth)
{
    uint32_t i = 0;

    for (; i + 1 < n->nkids; i += 2) {
        walk(e, n->kids + i, depth);
        if (truth(e, n->kids + i)) {
            walk(e, n->kids + i + 1, depth);
            return;
        }
    }
    if (i < n->nkids)
        walk(e, n->kids + i, depth);
}

/* Up to the first child that settles it. */
static void walk_junction(struct explain *e, const struct flag_node *n, unsigned depth)
{
    for (uint32_t i = 0; i < n->nkids; i++) {
        walk(e, n->kids + i, depth);
        if (truth(e, n->kids + i) == (n->op == FLAG_OP_OR))
            return;
    }
}

static void walk_children(struct explain *e, const struct flag_node *n, unsigned depth)
{
    if (n->op == FLAG_OP_SLOT || n->op == FLAG_OP_LOCAL)
        return; /* a default that was not needed, or is the value */
    if (!n->local && (n->op == FLAG_OP_IF || n->op == FLAG_OP_IF_SHORT))
        walk_if(e, n, depth);
    else if (!n->local && (n->op == FLAG_OP_AND || n->op == FLAG_OP_OR))
        walk_junction(e, n, depth);
    else
        for (uint32_t i = 0; i < n->nkids; i++)
            walk(e, n->kids + i, depth);
}

static void tell(struct explain *e, uint32_t at, unsigned depth)
{
    const struct flag_node *n = &e->c->set->nodes[at];
    struct flag_run r = flag_run_begin(e->c, e->def);
    struct flag_step s = {.depth = depth, .op = names[n->op], .name = name_of(e, n)};
    uint32_t first;

    s.each = n->local;
    if (!s.each && n->op == FLAG_OP_FRACTIONAL && n->nkids)
        s.hashed = flag_run_hash(&r, n, &s.hash, &first);
    if (!s.each)
        s.value = flag_run_node(&r, at);
    e->cb(e->arg, &s);
}

static void walk(struct explain *e, uint32_t at, unsigned depth)
{
    if (e->left == 0)
        return;
    e->left--;
    tell(e, at, depth);
    walk_children(e, &e->c->set->nodes[at], depth + 1);
}

void flag_explain(struct flag_ctx *c, int flag, flag_step_cb *cb, void *arg)
{
    const struct flag_def *d = &c->set->flags[flag];
    struct explain e = {c, d, cb, arg, FLAG_EXPLAIN_STEPS};

    if (d->rule != FLAG_NO_NODE && !d->quarantine.n)
        walk(&e, d->rule, 0);
}

const char *flag_decided_by(struct flag_ctx *c, int flag)
{
    const struct flag_def *d = &c->set->flags[flag];
    const struct flag_result *r = flag_eval(c, flag);
    const struct flag_guard *g = d->guard;

    if (d->quarantine.n)
        return "quarantine";
    if (r->override)
        return "override";
    if (!d->enabled)
        return "state";
    if (g && (c->now_unix < g->from || (g->until && c->now_unix >= g->until)))
        return "window";
    if (r->unsatisfied)
        return "needs";
    return r->reason == FLAG_STATIC || r->reason == FLAG_DEFAULT ? "default" : "targeting";
}
