/* flag_walk.c - one walk over the nodes of a rule: what each operator gives. */
#include "proxy/route/flag_fractional.h"
#include "proxy/route/flag_ops.h"
#include "proxy/route/flag_run.h"

#include <math.h>

typedef const struct flag_node node;

/* ---- budget, children, attributes ---- */

static bool spend(struct flag_run *r, size_t steps)
{
    r->over |= r->scratch.full || r->steps < steps;
    r->steps -= r->over ? 0 : (unsigned)steps;
    return !r->over;
}

static struct flag_value eval(struct flag_run *r, uint32_t at);

/* Literals, half of all nodes, cost no step: a rule has as many as it was compiled with. */
static inline struct flag_value kid(struct flag_run *r, node *n, uint32_t i)
{
    node *k = &r->nodes[n->kids + i];

    if (i >= n->nkids)
        return FLAG_VALUE_NULL;
    return k->op == FLAG_OP_CONST ? k->value : eval(r, n->kids + i);
}

static const struct flag_slot *slot_of(struct flag_run *r, uint32_t number)
{
    struct flag_ctx *c = r->c;
    struct flag_slot *s = &c->slots[number];

    if (s->epoch != c->epoch) {
        s->epoch = c->epoch;
        s->found = c->get(c->arg, c->set->slots.names[number], &s->value);
    }
    return s;
}

static bool lookup(struct flag_run *r, bool local, struct str path, struct flag_value *out)
{
    if (local)
        return r->element && flag_value_at(r->element, path, out);
    if (str_eq(path, STR("$flagd.flagKey"))) {
        *out = flag_text(r->def->key);
        return true;
    }
    if (str_eq(path, STR("$flagd.timestamp"))) {
        *out = flag_number((double)r->c->now_unix);
        return true;
    }
    return r->c->get(r->c->arg, path, out);
}

static struct flag_value eval_slot(struct flag_run *r, node *n)
{
    const struct flag_slot *s = slot_of(r, n->slot);

    return s->found ? s->value : kid(r, n, 0);
}

static struct flag_value eval_local(struct flag_run *r, node *n)
{
    struct flag_value v;

    return lookup(r, true, n->path, &v) ? v : kid(r, n, 0);
}

static struct flag_value eval_var(struct flag_run *r, node *n)
{
    struct flag_value path = kid(r, n, 0), v;
    struct str text = flag_to_text(&r->scratch, &path, true);

    return lookup(r, n->local, text, &v) ? v : kid(r, n, 1);
}

/* All children, as an array in the scratch room. */
static struct flag_value eval_list(struct flag_run *r, node *n)
{
    struct flag_value *items = flag_scratch_take(&r->scratch, n->nkids * sizeof(*items));

    if (!items)
        return FLAG_VALUE_NULL;
    for (uint32_t i = 0; i < n->nkids; i++)
        items[i] = kid(r, n, i);
    return (struct flag_value){.kind = FLAG_ARRAY, .n = n->nkids, .items = items};
}

/* ---- control ---- */

static struct flag_value eval_if(struct flag_run *r, node *n)
{
    uint32_t i = 0;

    for (; i + 1 < n->nkids && !r->over; i += 2) {
        struct flag_value test = kid(r, n, i);

        if (flag_truthy(&test))
            return kid(r, n, i + 1);
    }
    return kid(r, n, i); /* the else, or null */
}

/* The first value whose truth is STOP, else the last one. */
static struct flag_value eval_junction(struct flag_run *r, node *n, bool stop)
{
    struct flag_value v = FLAG_VALUE_NULL;

    for (uint32_t i = 0; i < n->nkids && !r->over; i++) {
        v = kid(r, n, i);
        if (flag_truthy(&v) == stop)
            break;
    }
    return v;
}

/* ---- comparison ---- */

static struct flag_value eval_equal(struct flag_run *r, node *n)
{
    struct flag_value a = kid(r, n, 0), b = kid(r, n, 1);

    switch (n->op) {
    case FLAG_OP_EQ:
        return flag_bool(flag_loose_equal(&r->scratch, &a, &b));
    case FLAG_OP_NE:
        return flag_bool(!flag_loose_equal(&r->scratch, &a, &b));
    case FLAG_OP_STRICT_EQ:
        return flag_bool(flag_strict_equal(&a, &b));
    default:
        return flag_bool(!flag_strict_equal(&a, &b));
    }
}

static struct flag_value eval_order(struct flag_run *r, node *n)
{
    bool or_equal = n->op == FLAG_OP_LE || n->op == FLAG_OP_GE;
    bool down = n->op == FLAG_OP_GT || n->op == FLAG_OP_GE;
    struct flag_value a = kid(r, n, 0);
    bool holds = n->nkids > 1;

    for (uint32_t i = 1; i < n->nkids && i < 3 && holds; i++) { /* a < b < c */
        struct flag_value b = kid(r, n, i);

        holds = flag_less(&r->scratch, down ? &b : &a, down ? &a : &b, or_equal);
        a = b;
    }
    return flag_bool(holds);
}

static struct flag_value eval_in(struct flag_run *r, node *n)
{
    struct flag_value needle = kid(r, n, 0), haystack = kid(r, n, 1);
    size_t size = haystack.kind == FLAG_STRING  ? haystack.text.n
                  : haystack.kind == FLAG_ARRAY ? haystack.n
                                                : 0;

    return spend(r, size / 64) ? flag_bool(flag_op_in(&r->scratch, &needle, &haystack))
                               : FLAG_VALUE_NULL;
}

/* ---- arithmetic ---- */

static struct flag_value eval_sum(struct flag_run *r, node *n)
{
    double sum = 0;

    for (uint32_t i = 0; i < n->nkids; i++) {
        struct flag_value v = kid(r, n, i);

        sum += flag_parse_float(&r->scratch, &v);
    }
    return flag_number(sum);
}

static struct flag_value eval_product(struct flag_run *r, node *n)
{
    struct flag_value first = kid(r, n, 0);
    double product;

    if (n->nkids < 2)
        return first;
    product = flag_parse_float(&r->scratch, &first);
    for (uint32_t i = 1; i < n->nkids; i++) {
        struct flag_value v = kid(r, n, i);

        product *= flag_parse_float(&r->scratch, &v);
    }
    return flag_number(product);
}

static struct flag_value eval_binary(struct flag_run *r, node *n)
{
    struct flag_value x = kid(r, n, 0), y = kid(r, n, 1);
    double a = flag_to_number(&r->scratch, &x), b = flag_to_number(&r->scratch, &y);

    if (n->nkids < 2)
        return flag_number(n->op == FLAG_OP_SUB && n->nkids == 1 ? -a : NAN);
    switch (n->op) {
    case FLAG_OP_SUB:
        return flag_number(a - b);
    case FLAG_OP_DIV:
        return flag_number(a / b);
    default:
        return flag_number(fmod(a, b));
    }
}

static struct flag_value eval_extreme(struct flag_run *r, node *n, bool max)
{
    double best = max ? -INFINITY : INFINITY;

    for (uint32_t i = 0; i < n->nkids; i++) {
        struct flag_value v = kid(r, n, i);
        double x = flag_to_number(&r->scratch, &v);

        if (isnan(x) || isnan(best))
            best = NAN;
        else if (max ? x > best : x < best)
            best = x;
    }
    return flag_number(best);
}

/* ---- text ---- */

static struct flag_value eval_cat(struct flag_run *r, node *n)
{
    struct str *parts = flag_scratch_take(&r->scratch, n->nkids * sizeof(*parts));

    if (!parts)
        return FLAG_VALUE_NULL;
    for (uint32_t i = 0; i < n->nkids; i++) {
        struct flag_value v = kid(r, n, i);

        parts[i] = flag_to_text(&r->scratch, &v, true);
    }
    return flag_text(flag_concat(&r->scratch, parts, n->nkids, STR_NONE));
}

static struct flag_value eval_substr(struct flag_run *r, node *n)
{
    struct flag_value text = kid(r, n, 0), start = kid(r, n, 1), length = kid(r, n, 2);
    struct str s = flag_to_text(&r->scratch, &text, false);
    double from = flag_to_number(&r->scratch, &start);
    double count = n->nkids > 2 ? flag_to_number(&r->scratch, &length) : 0;

    if (!spend(r, s.n / 64))
        return FLAG_VALUE_NULL;
    return flag_op_substr(s, from, n->nkids > 2 ? &count : NULL);
}

/* ---- arrays ---- */

static struct flag_value eval_merge(struct flag_run *r, node *n)
{
    struct flag_value parts = eval_list(r, n), *items;
    uint32_t total = 0, at = 0;

    for (uint32_t i = 0; i < parts.n; i++)
        total += parts.items[i].kind == FLAG_ARRAY ? parts.items[i].n : 1;
    items = flag_scratch_take(&r->scratch, (size_t)total * sizeof(*items));
    if (!items)
        return FLAG_VALUE_NULL;
    for (uint32_t i = 0; i < parts.n; i++) {
        const struct flag_value *p = &parts.items[i];
        uint32_t many = p->kind == FLAG_ARRAY ? p->n : 1;

        if (many)
            memcpy(&items[at], p->kind == FLAG_ARRAY ? p->items : p, many * sizeof(*items));
        at += many;
    }
    return (struct flag_value){.kind = FLAG_ARRAY, .n = total, .items = items};
}

static bool is_missing(struct flag_run *r, bool local, const struct flag_value *name)
{
    struct str path = flag_to_text(&r->scratch, name, true);
    struct flag_value v;

    if (!spend(r, 1) || !lookup(r, local, path, &v))
        return true;
    return v.kind == FLAG_NULL || (v.kind == FLAG_STRING && v.text.n == 0);
}

/* Those of NAMES that the context does not have. */
static struct flag_value missing_of(struct flag_run *r, bool local, struct flag_value names)
{
    struct flag_value *items = flag_scratch_take(&r->scratch, names.n * sizeof(*items));
    uint32_t n = 0;

    if (!items)
        return FLAG_VALUE_NULL;
    for (uint32_t i = 0; i < names.n && !r->over; i++) {
        if (is_missing(r, local, &names.items[i]))
            items[n++] = names.items[i];
    }
    return (struct flag_value){.kind = FLAG_ARRAY, .n = n, .items = items};
}

static struct flag_value eval_missing(struct flag_run *r, node *n)
{
    struct flag_value names = eval_list(r, n);

    if (names.n && names.items[0].kind == FLAG_ARRAY)
        names = names.items[0];
    return missing_of(r, n->local, names);
}

static struct flag_value eval_missing_some(struct flag_run *r, node *n)
{
    struct flag_value need = kid(r, n, 0), names = kid(r, n, 1), gone;

    if (names.kind != FLAG_ARRAY)
        return (struct flag_value){.kind = FLAG_ARRAY};
    gone = missing_of(r, n->local, names);
    if ((double)names.n - gone.n >= flag_to_number(&r->scratch, &need))
        gone.n = 0;
    return gone;
}

/* The body of an iteration, with ELEMENT as what its paths start from. */
static struct flag_value eval_body(struct flag_run *r, node *n,
                                   const struct flag_value *element)
{
    const struct flag_value *outer = r->element;
    struct flag_value v;

    r->element = element;
    v = eval(r, n->kids + 1); /* a step for each element, whatever the body is */
    r->element = outer;
    return v;
}

static struct flag_value eval_map(struct flag_run *r, node *n, bool filter)
{
    struct flag_value in = kid(r, n, 0), *out;
    uint32_t kept = 0;

    if (in.kind != FLAG_ARRAY)
        return (struct flag_value){.kind = FLAG_ARRAY};
    out = flag_scratch_take(&r->scratch, in.n * sizeof(*out));
    for (uint32_t i = 0; out && i < in.n && !r->over; i++) {
        struct flag_value v = eval_body(r, n, &in.items[i]);

        if (!filter || flag_truthy(&v))
            out[kept++] = filter ? in.items[i] : v;
    }
    return (struct flag_value){.kind = FLAG_ARRAY, .n = out ? kept : 0, .items = out};
}

static struct flag_value eval_quantifier(struct flag_run *r, node *n)
{
    struct flag_value in = kid(r, n, 0);
    bool want = n->op != FLAG_OP_ALL; /* the truth of an element that decides */

    if (in.kind != FLAG_ARRAY || in.n == 0)
        return flag_bool(n->op == FLAG_OP_NONE);
    for (uint32_t i = 0; i < in.n && !r->over; i++) {
        struct flag_value v = eval_body(r, n, &in.items[i]);

        if (flag_truthy(&v) == want)
            return flag_bool(n->op == FLAG_OP_SOME);
    }
    return flag_bool(n->op != FLAG_OP_SOME);
}

static struct flag_value eval_reduce(struct flag_run *r, node *n)
{
    struct flag_value in = kid(r, n, 0), sum = kid(r, n, 2);

    if (in.kind != FLAG_ARRAY)
        return sum;
    for (uint32_t i = 0; i < in.n && !r->over; i++) {
        struct flag_member members[] = {{STR("current"), in.items[i]},
                                        {STR("accumulator"), sum}};
        struct flag_value pair = {.kind = FLAG_OBJECT, .n = 2, .members = members};

        sum = eval_body(r, n, &pair);
        if (sum.kind == FLAG_OBJECT && sum.members == members)
            return FLAG_VALUE_NULL; /* {"var":""} would outlive this turn */
    }
    return sum;
}

/* ---- flagd ---- */

static struct flag_value eval_two_texts(struct flag_run *r, node *n)
{
    struct flag_value s = kid(r, n, 0), part = kid(r, n, 1);

    if (n->nkids != 2)
        return FLAG_VALUE_NULL;
    return n->op == FLAG_OP_STARTS_WITH ? flag_op_starts_with(&s, &part)
                                        : flag_op_ends_with(&s, &part);
}

static struct flag_value eval_sem_ver(struct flag_run *r, node *n)
{
    struct flag_value a = kid(r, n, 0), op = kid(r, n, 1), b = kid(r, n, 2);

    return n->nkids == 3 ? flag_op_sem_ver(&r->scratch, &a, &op, &b) : FLAG_VALUE_NULL;
}

/* The hash of who asks without a key of its own: flag key and targeting key. False: nobody. */
static bool implicit_hash(struct flag_run *r, uint32_t *hash)
{
    const struct flag_slot *s = slot_of(r, FLAG_SLOT_KEY);
    struct flag_value pair[2], both = {.kind = FLAG_ARRAY, .n = 2, .items = pair};
    struct str parts[2] = {r->def->key, {NULL, 0}};

    if (!s->found || s->value.kind != FLAG_STRING || s->value.text.n == 0)
        return false;
    if (r->c->set->bucketing == FLAG_BUCKETING_V3) {
        pair[0] = flag_text(r->def->key);
        pair[1] = s->value;
        *hash = flag_hash_value(&r->scratch, &both);
        return true;
    }
    parts[1] = s->value.text;
    *hash = flag_hash_text(flag_concat(&r->scratch, parts, 2, STR_NONE));
    return true;
}

/* The hash of who asks; *FIRST is the first bucket. False: the whole is null. */
bool flag_run_hash(struct flag_run *r, node *n, uint32_t *hash, uint32_t *first)
{
    node *key = &r->nodes[n->kids];
    struct flag_value v;

    *first = 0;
    if (key->op == FLAG_OP_LIST || (key->op == FLAG_OP_CONST && key->value.kind == FLAG_ARRAY))
        return implicit_hash(r, hash);
    v = eval(r, n->kids);
    if (r->c->set->bucketing == FLAG_BUCKETING_V3) { /* whatever it is */
        *first = 1;
        if (v.kind != FLAG_NULL)
            *hash = flag_hash_value(&r->scratch, &v);
        return v.kind != FLAG_NULL;
    }
    *first = v.kind == FLAG_STRING || v.kind == FLAG_NULL; /* null: as if not written */
    if (v.kind != FLAG_STRING)
        return implicit_hash(r, hash);
    *hash = flag_hash_text(v.text);
    return true;
}

/* A bucket is a list of a variant and a weight, or whatever gives such an array. */
static bool eval_bucket(struct flag_run *r, uint32_t at, struct flag_bucket *b)
{
    node *n = &r->nodes[at];
    struct flag_value v, weight;

    if (n->op == FLAG_OP_LIST) {
        v = kid(r, n, 0);
        weight = kid(r, n, 1);
        return flag_bucket_read(b, &v, &weight);
    }
    v = eval(r, at);
    return flag_bucket_read_pair(b, &v);
}

static struct flag_value eval_fractional(struct flag_run *r, node *n)
{
    enum flag_bucketing gen = r->c->set->bucketing;
    struct flag_bucket *buckets;
    uint32_t first, count, hash;

    if (n->nkids == 0 || !flag_run_hash(r, n, &hash, &first))
        return FLAG_VALUE_NULL;
    if (n->buckets && n->buckets->first == first)
        return flag_fractional_pick(gen, hash, n->buckets->b, n->buckets->n);
    count = n->nkids - first;
    buckets = flag_scratch_take(&r->scratch, count * sizeof(*buckets));
    for (uint32_t i = 0; i < count; i++) {
        if (!buckets || !eval_bucket(r, n->kids + first + i, &buckets[i]))
            return FLAG_VALUE_NULL;
    }
    return flag_fractional_pick(gen, hash, buckets, count);
}

/* ---- the walk ---- */

static struct flag_value eval_not(struct flag_run *r, node *n)
{
    struct flag_value v = kid(r, n, 0);

    return flag_bool(flag_truthy(&v) == (n->op == FLAG_OP_TRUTHY));
}

static struct flag_value eval(struct flag_run *r, uint32_t at)
{
    node *n = &r->nodes[at];

    if (!spend(r, 1))
        return FLAG_VALUE_NULL;
    switch ((enum flag_op)n->op) {
    case FLAG_OP_CONST:
        return n->value;
    case FLAG_OP_SLOT:
        return eval_slot(r, n);
    case FLAG_OP_LOCAL:
        return eval_local(r, n);
    case FLAG_OP_VAR:
        return eval_var(r, n);
    case FLAG_OP_NOW:
        return flag_number((double)r->c->now_unix);
    case FLAG_OP_LIST:
        return eval_list(r, n);
    case FLAG_OP_IF:
    case FLAG_OP_IF_SHORT:
        return eval_if(r, n);
    case FLAG_OP_AND:
    case FLAG_OP_OR:
        return eval_junction(r, n, n->op == FLAG_OP_OR);
    case FLAG_OP_NOT:
    case FLAG_OP_TRUTHY:
        return eval_not(r, n);
    case FLAG_OP_EQ:
    case FLAG_OP_NE:
    case FLAG_OP_STRICT_EQ:
    case FLAG_OP_STRICT_NE:
        return eval_equal(r, n);
    case FLAG_OP_LT:
    case FLAG_OP_LE:
    case FLAG_OP_GT:
    case FLAG_OP_GE:
        return eval_order(r, n);
    case FLAG_OP_IN:
        return eval_in(r, n);
    case FLAG_OP_ADD:
        return eval_sum(r, n);
    case FLAG_OP_MUL:
        return eval_product(r, n);
    case FLAG_OP_SUB:
    case FLAG_OP_DIV:
    case FLAG_OP_MOD:
        return eval_binary(r, n);
    case FLAG_OP_MIN:
    case FLAG_OP_MAX:
        return eval_extreme(r, n, n->op == FLAG_OP_MAX);
    case FLAG_OP_CAT:
        return eval_cat(r, n);
    case FLAG_OP_SUBSTR:
        return eval_substr(r, n);
    case FLAG_OP_MERGE:
        return eval_merge(r, n);
    case FLAG_OP_MISSING:
        return eval_missing(r, n);
    case FLAG_OP_MISSING_SOME:
        return eval_missing_some(r, n);
    case FLAG_OP_MAP:
    case FLAG_OP_FILTER:
        return eval_map(r, n, n->op == FLAG_OP_FILTER);
    case FLAG_OP_REDUCE:
        return eval_reduce(r, n);
    case FLAG_OP_ALL:
    case FLAG_OP_SOME:
    case FLAG_OP_NONE:
        return eval_quantifier(r, n);
    case FLAG_OP_STARTS_WITH:
    case FLAG_OP_ENDS_WITH:
        return eval_two_texts(r, n);
    case FLAG_OP_SEM_VER:
        return eval_sem_ver(r, n);
    case FLAG_OP_FRACTIONAL:
        return eval_fractional(r, n);
    case FLAG_NOPS:
        break;
    }
    ASSERT(!"an operator of the compiler that the evaluator does not know");
    return FLAG_VALUE_NULL;
}

struct flag_value flag_run_node(struct flag_run *r, uint32_t at)
{
    return eval(r, at);
}
