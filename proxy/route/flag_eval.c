/*
 * flag_eval.c - which variant a flag gives: override, state, conditions, rule, default.
 *
 * What was decided for a request is remembered until the next one begins.
 */
#include "proxy/route/flag_eval.h"

#include "proxy/base/mem.h"
#include "proxy/route/flag_run.h"

const char *flag_reason_name(enum flag_reason r)
{
    static const char *const names[FLAG_NREASONS] = {
        [FLAG_STATIC] = "STATIC",     [FLAG_DEFAULT] = "DEFAULT",
        [FLAG_DISABLED] = "DISABLED", [FLAG_TARGETING_MATCH] = "TARGETING_MATCH",
        [FLAG_ERROR] = "ERROR",
    };

    return names[r];
}

const char *flag_error_name(enum flag_error e)
{
    static const char *const names[FLAG_NERRORS] = {
        [FLAG_PARSE_ERROR] = "PARSE_ERROR",
        [FLAG_GENERAL] = "GENERAL",
        [FLAG_NOT_FOUND] = "FLAG_NOT_FOUND",
    };

    return names[e];
}

/* ---- results ---- */

static struct flag_result failed(enum flag_error e)
{
    return (struct flag_result){.reason = FLAG_ERROR, .error = e};
}

static struct flag_result answer(const struct flag_def *d, int variant, enum flag_reason why)
{
    if (variant == FLAG_NO_VARIANT)
        return (struct flag_result){.reason = FLAG_DEFAULT};
    return (struct flag_result){.variant = &d->variants[variant], .reason = why};
}

struct flag_run flag_run_begin(struct flag_ctx *c, const struct flag_def *d)
{
    return (struct flag_run){.c = c,
                             .nodes = c->set->nodes,
                             .def = d,
                             .scratch = {c->scratch, c->scratch + FLAG_SCRATCH, false},
                             .steps = FLAG_STEPS};
}

static struct flag_result follow_rule(struct flag_ctx *c, const struct flag_def *d)
{
    struct flag_run r = flag_run_begin(c, d);
    struct flag_value v = flag_run_node(&r, d->rule);
    struct str name = flag_to_text(&r.scratch, &v, false);

    if (r.over || r.scratch.full)
        return failed(FLAG_GENERAL);
    if (v.kind == FLAG_NULL)
        return answer(d, d->default_variant, FLAG_DEFAULT);
    for (int i = 0; i < d->nvariants; i++) {
        if (str_eq(d->variants[i].name, name))
            return answer(d, i, FLAG_TARGETING_MATCH);
    }
    return failed(FLAG_GENERAL);
}

static bool overridden(struct flag_ctx *c, const struct flag_def *d)
{
    const struct flag_override *o = &d->override;
    struct flag_value v;
    struct flag_run r;

    if (o->variant == FLAG_NO_VARIANT || (o->until && c->now_unix >= o->until))
        return false;
    if (o->target == FLAG_NO_NODE)
        return true;
    r = flag_run_begin(c, d);
    v = flag_run_node(&r, o->target);
    return !r.over && flag_truthy(&v);
}

/* The same request gets the variant that NEED wants. */
static bool satisfied(struct flag_ctx *c, const struct flag_need *need)
{
    const struct flag_result *r = flag_eval(c, need->flag);
    bool has = r->variant && str_eq(r->variant->name, need->variant);

    return r->error == FLAG_OK && has != need->differs;
}

/* True: the window is open and all needs are met; else OUT is the answer. */
static bool guard_open(struct flag_ctx *c, const struct flag_def *d, struct flag_result *out)
{
    const struct flag_guard *g = d->guard;

    *out = answer(d, d->default_variant, FLAG_DEFAULT);
    if (c->now_unix < g->from || (g->until && c->now_unix >= g->until))
        return false;
    for (size_t i = 0; i < g->nneeds; i++) {
        if (!satisfied(c, &g->needs[i])) {
            out->unsatisfied = true;
            return false;
        }
    }
    return true;
}

static struct flag_result decide(struct flag_ctx *c, const struct flag_def *d)
{
    struct flag_result r;

    if (d->quarantine.n)
        return failed(FLAG_PARSE_ERROR);
    if (overridden(c, d)) {
        r = answer(d, d->override.variant,
                   d->override.target == FLAG_NO_NODE ? FLAG_STATIC : FLAG_TARGETING_MATCH);
        r.override = true;
        return r;
    }
    if (!d->enabled)
        return (struct flag_result){.reason = FLAG_DISABLED};
    if (d->guard && !guard_open(c, d, &r))
        return r;
    if (d->rule == FLAG_NO_NODE)
        return answer(d, d->default_variant, FLAG_STATIC);
    return follow_rule(c, d);
}

struct flag_ctx *flag_ctx_new(void)
{
    struct flag_ctx *c = xcalloc(1, sizeof(*c));

    c->scratch = xmalloc(FLAG_SCRATCH);
    return c;
}

void flag_ctx_free(struct flag_ctx *c)
{
    if (!c)
        return;
    xfree(c->slots);
    xfree(c->memos);
    xfree(c->scratch);
    xfree(c);
}

/* Room for SET; what was remembered goes with the old arrays. */
static void fit(struct flag_ctx *c, const struct flagset *set)
{
    if (c->nslots < set->slots.n) {
        xfree(c->slots);
        c->nslots = set->slots.n;
        c->slots = xcalloc(c->nslots, sizeof(*c->slots));
    }
    if (c->nmemos < set->keys.n) {
        xfree(c->memos);
        c->nmemos = set->keys.n;
        c->memos = xcalloc(c->nmemos, sizeof(*c->memos));
    }
}

void flag_ctx_begin(struct flag_ctx *c, const struct flagset *set, flag_get *get, void *arg,
                    uint64_t now_unix)
{
    fit(c, set);
    c->set = set;
    c->get = get;
    c->arg = arg;
    c->now_unix = now_unix;
    if (++c->epoch == 0) { /* wrapped: old marks would look new */
        memset(c->slots, 0, c->nslots * sizeof(*c->slots));
        memset(c->memos, 0, c->nmemos * sizeof(*c->memos));
        c->epoch = 1;
    }
}

bool flag_known(const struct flag_ctx *c, int flag)
{
    return flag >= 0 && (uint32_t)flag < c->set->keys.n && c->memos[flag].epoch == c->epoch;
}

bool flag_first(struct flag_ctx *c, int flag)
{
    struct flag_memo *m = &c->memos[flag];
    bool first = m->told != c->epoch;

    m->told = c->epoch;
    return first;
}

const struct flag_result *flag_eval(struct flag_ctx *c, int flag)
{
    static const struct flag_result not_found = {.reason = FLAG_ERROR, .error = FLAG_NOT_FOUND};
    struct flag_memo *m;

    if (flag < 0 || (uint32_t)flag >= c->set->keys.n)
        return &not_found;
    m = &c->memos[flag];
    if (m->epoch != c->epoch) {
        m->result = decide(c, &c->set->flags[flag]);
        m->epoch = c->epoch;
    }
    return &m->result;
}
