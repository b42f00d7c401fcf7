/*
 * flag_compile.c - JSONLogic to nodes: literals, attributes, references, operators.
 *
 * An object with one member is an operation, any other object is data. What a rule cannot mean
 * - an unknown operator, a reference to nothing or to itself, too deep, too large - is an error
 * here, at load, and never at a request.
 */
#include "config/flag_compile.h"

#include "proxy/base/hash.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#define EXACT_MAX 9007199254740991 /* 2^53 - 1 */

struct rule { /* the rule being compiled */
    struct flag_builder *b;
    struct str key;
    size_t base; /* nodes that were there before */
};

static const char *const op_names[FLAG_NOPS] = {
#define X(op, name) [FLAG_OP_##op] = name,
    FLAG_OPERATORS(X)
#undef X
};

/* ---- names ---- */

static uint32_t *probe(const struct flag_index *x, struct str name)
{
    uint32_t i = (uint32_t)hash64(name, 0) & x->mask;

    while (x->bucket[i] && !str_eq(x->names[x->bucket[i] - 1], name))
        i = (i + 1) & x->mask;
    return &x->bucket[i];
}

uint32_t flag_index_find(const struct flag_index *x, struct str name)
{
    return x->n ? *probe(x, name) - 1 : UINT32_MAX; /* a free bucket is 0: UINT32_MAX */
}

static void grow(struct flag_index *x)
{
    uint32_t size = x->mask ? (x->mask + 1) * 2 : 16;

    xfree(x->bucket);
    x->bucket = xcalloc(size, sizeof(*x->bucket));
    x->names = xrealloc(x->names, size / 2 * sizeof(*x->names));
    x->mask = size - 1;
    for (uint32_t i = 0; i < x->n; i++)
        *probe(x, x->names[i]) = i + 1;
}

uint32_t flag_index_add(struct flag_index *x, struct arena *a, struct str name)
{
    uint32_t have = flag_index_find(x, name);

    if (have != UINT32_MAX)
        return have;
    if (x->n >= (x->mask + 1) / 2) /* at most half full; an empty index has no room */
        grow(x);
    x->names[x->n] = arena_str(a, name);
    *probe(x, name) = x->n + 1;
    return x->n++;
}

void flag_index_freeze(struct flag_index *x, struct arena *a)
{
    size_t buckets = x->n ? ((size_t)x->mask + 1) * sizeof(*x->bucket) : 0;
    uint32_t *bucket = arena_alloc(a, buckets + 1);
    struct str *names = arena_alloc(a, x->n * sizeof(*names) + 1);

    if (x->n) {
        memcpy(bucket, x->bucket, buckets);
        memcpy(names, x->names, x->n * sizeof(*names));
    }
    xfree(x->bucket);
    xfree(x->names);
    x->bucket = bucket;
    x->names = names;
}

void flag_builder_init(struct flag_builder *b, struct arena *a)
{
    *b = (struct flag_builder){.arena = a};
    flag_index_add(&b->slots, a, STR("targetingKey"));
}

void flag_builder_release(struct flag_builder *b)
{
    vec_release(&b->nodes);
}

/* ---- rules ---- */

PRINTF_LIKE(2, 3) static bool fail(struct flag_builder *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(b->why, sizeof(b->why), fmt, ap);
    va_end(ap);
    return false;
}

/* How much a value copies: elements, and 64 bytes of text count as one. */
struct weight {
    size_t units;
    bool deep, inexact;
};

static void weigh(const json_t *j, int depth, struct weight *w)
{
    const char *name;
    json_t *v;
    size_t i;

    w->units += 1 + json_string_length(j) / 64;
    if (json_is_integer(j))
        w->inexact |= json_integer_value(j) > EXACT_MAX || json_integer_value(j) < -EXACT_MAX;
    if (depth >= FLAG_DEPTH) {
        w->deep = true;
        return;
    }
    json_array_foreach(j, i, v)
    {
        weigh(v, depth + 1, w);
    }
    json_object_foreach((json_t *)j, name, v)
    {
        w->units += 1 + strlen(name) / 64;
        weigh(v, depth + 1, w);
    }
}

bool flag_compile_value(struct flag_builder *b, const json_t *j, struct flag_value *out)
{
    struct weight w = {0};

    weigh(j, 1, &w);
    b->copied += w.units;
    if (w.deep)
        return fail(b, "a value is nested deeper than %d levels", FLAG_DEPTH);
    if (w.inexact)
        return fail(b, "an integer is beyond 2^53-1");
    if (b->copied > FLAG_MAX_CONSTANTS)
        return fail(b, "the rule has more than %d constants", FLAG_MAX_CONSTANTS);
    return flag_value_from_json(b->arena, j, out) || fail(b, "a value is nested too deep");
}

/* N nodes side by side; *AT is the index of the first. */
static bool add_nodes(struct rule *r, size_t n, uint32_t *at)
{
    struct flag_builder *b = r->b;

    if (b->nodes.n + n - r->base > FLAG_MAX_NODES)
        return fail(b, "the rule has more than %d operations and values", FLAG_MAX_NODES);
    *at = (uint32_t)b->nodes.n;
    vec_reserve(&b->nodes, b->nodes.n + n);
    b->nodes.n += n;
    memset(&b->nodes.v[*at], 0, n * sizeof(struct flag_node));
    return true;
}

struct place {   /* where a part of the rule stands */
    uint32_t at; /* node to fill */
    int depth;   /* of nodes */
    int refs;    /* references on the way here */
    bool local;  /* an iteration is around it */
};

static bool compile(struct rule *r, const json_t *j, struct place p);

/* ARGS as the children of the node at P: an array's elements, or one value. */
static bool compile_kids(struct rule *r, const json_t *args, struct place p)
{
    bool list = json_is_array(args);
    size_t n = list ? json_array_size(args) : 1;
    uint32_t kids;

    if (!add_nodes(r, n, &kids))
        return false;
    r->b->nodes.v[p.at].kids = kids;
    r->b->nodes.v[p.at].nkids = (uint16_t)n;
    for (size_t i = 0; i < n; i++) {
        struct place kid = {kids + (uint32_t)i, p.depth + 1, p.refs, p.local};

        if (!compile(r, list ? json_array_get(args, i) : args, kid))
            return false;
    }
    return true;
}

static bool set_const(struct rule *r, struct place p, const json_t *j)
{
    struct flag_node *n = &r->b->nodes.v[p.at];

    n->op = FLAG_OP_CONST;
    return flag_compile_value(r->b, j, &n->value);
}

static bool has_operation(const json_t *j, int depth)
{
    json_t *v;
    size_t i;

    if (json_is_object(j))
        return json_object_size(j) == 1;
    if (depth >= FLAG_DEPTH)
        return true;
    json_array_foreach(j, i, v)
    {
        if (has_operation(v, depth + 1))
            return true;
    }
    return false;
}

static bool compile_array(struct rule *r, const json_t *j, struct place p)
{
    if (!has_operation(j, 0))
        return set_const(r, p, j);
    r->b->nodes.v[p.at].op = FLAG_OP_LIST;
    return compile_kids(r, j, p);
}

/* A path that is known now: an attribute, something of $flagd, or part of an element. */
static bool compile_path(struct rule *r, struct str path, struct place p)
{
    struct flag_node *n = &r->b->nodes.v[p.at];

    if (p.local) {
        n->op = FLAG_OP_LOCAL;
        n->path = arena_str(r->b->arena, path);
    } else if (str_eq(path, STR("$flagd.flagKey"))) {
        n->op = FLAG_OP_CONST;
        n->value = flag_text(r->key);
    } else if (str_eq(path, STR("$flagd.timestamp"))) {
        n->op = FLAG_OP_NOW;
    } else {
        n->op = FLAG_OP_SLOT;
        n->slot = flag_index_add(&r->b->slots, r->b->arena, path);
    }
    return true;
}

static bool compile_default(struct rule *r, const json_t *fallback, struct place p)
{
    uint32_t kid;

    if (!add_nodes(r, 1, &kid))
        return false;
    r->b->nodes.v[p.at].kids = kid;
    r->b->nodes.v[p.at].nkids = 1;
    return compile(r, fallback, (struct place){kid, p.depth + 1, p.refs, p.local});
}

static bool compile_var(struct rule *r, const json_t *args, struct place p)
{
    bool list = json_is_array(args);
    const json_t *path = list ? json_array_get(args, 0) : args;
    const json_t *fallback = list ? json_array_get(args, 1) : NULL;
    char number[32];
    struct str text = STR("");

    if (json_is_object(path) || json_is_array(path) || json_is_boolean(path) ||
        json_is_real(path)) {
        r->b->nodes.v[p.at].op = FLAG_OP_VAR;
        r->b->nodes.v[p.at].local = p.local;
        return compile_kids(r, args, p);
    }
    if (json_is_string(path))
        text = (struct str){json_string_value(path), json_string_length(path)};
    if (json_is_integer(path)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(path));
        text = str_of(number);
    }
    return compile_path(r, text, p) && (!fallback || compile_default(r, fallback, p));
}

static bool compile_ref(struct rule *r, const json_t *name, struct place p)
{
    const json_t *e = json_is_string(name)
                          ? json_object_get(r->b->evaluators, json_string_value(name))
                          : NULL;

    if (!e)
        return fail(r->b, "$ref to \"%.80s\", which is no evaluator of the set",
                    json_is_string(name) ? json_string_value(name) : "(not a name)");
    /* A way through more references than there are evaluators comes back to one of them. */
    if ((size_t)p.refs >= json_object_size(r->b->evaluators) || p.refs >= FLAG_DEPTH)
        return fail(r->b, "$ref \"%.80s\" leads back to itself", json_string_value(name));
    p.refs++;
    return compile(r, e, p);
}

/* The element is visible in the body only, which is the second child. */
static bool compile_iteration(struct rule *r, const json_t *args, struct place p)
{
    static const bool body[] = {false, true, false};
    uint32_t kids;

    if (!json_is_array(args) || json_array_size(args) < 2 || json_array_size(args) > 3)
        return fail(r->b, "%s wants an array and a rule", op_names[r->b->nodes.v[p.at].op]);
    if (!add_nodes(r, 3, &kids))
        return false;
    r->b->nodes.v[p.at].kids = kids;
    r->b->nodes.v[p.at].nkids = 3; /* a third child that is not there stays a const null */
    for (size_t i = 0; i < json_array_size(args); i++) {
        struct place kid = {kids + (uint32_t)i, p.depth + 1, p.refs, p.local || body[i]};

        if (!compile(r, json_array_get(args, i), kid))
            return false;
    }
    return true;
}

/* Buckets that are all literals are read now, the others when they are computed. */
static void fold_buckets(struct rule *r, struct flag_node *n)
{
    const struct flag_node *kids = &r->b->nodes.v[n->kids];
    uint32_t first = kids[0].op == FLAG_OP_CONST && kids[0].value.kind == FLAG_ARRAY ? 0 : 1;
    struct flag_buckets *all;

    for (uint32_t i = first; i < n->nkids; i++) {
        if (kids[i].op != FLAG_OP_CONST)
            return;
    }
    all = arena_alloc(r->b->arena, sizeof(*all) + n->nkids * sizeof(all->b[0]));
    all->first = first;
    all->n = n->nkids - first;
    for (uint32_t i = 0; i < all->n; i++) {
        if (!flag_bucket_read_pair(&all->b[i], &kids[first + i].value))
            return; /* the whole is null, whoever asks */
    }
    n->buckets = all;
}

static bool compile_fractional(struct rule *r, const json_t *args, struct place p)
{
    if (r->b->bucketing == FLAG_BUCKETING_UNKNOWN)
        return fail(r->b, "the set's \"bucketing\" is none of v1, v2 and v3");
    if (!compile_kids(r, args, p))
        return false;
    r->b->nodes.v[p.at].local = p.local;
    if (r->b->nodes.v[p.at].nkids > 0)
        fold_buckets(r, &r->b->nodes.v[p.at]);
    return true;
}

static bool compile_operation(struct rule *r, const char *name, const json_t *args,
                              struct place p)
{
    if (!strcmp(name, "var"))
        return compile_var(r, args, p);
    if (!strcmp(name, "$ref"))
        return compile_ref(r, args, p);
    for (int op = 0; op < FLAG_NOPS; op++) {
        if (!op_names[op] || strcmp(op_names[op], name) != 0)
            continue;
        r->b->nodes.v[p.at].op = (uint8_t)op;
        if (op >= FLAG_OP_MAP && op <= FLAG_OP_NONE)
            return compile_iteration(r, args, p);
        if (op == FLAG_OP_FRACTIONAL)
            return compile_fractional(r, args, p);
        r->b->nodes.v[p.at].local = p.local;
        return compile_kids(r, args, p);
    }
    return fail(r->b, "unknown operator \"%.80s\"", name);
}

static bool compile(struct rule *r, const json_t *j, struct place p)
{
    if (p.depth >= FLAG_DEPTH)
        return fail(r->b, "the rule is nested deeper than %d levels", FLAG_DEPTH);
    if (json_is_array(j))
        return compile_array(r, j, p);
    if (json_is_object(j) && json_object_size(j) == 1) {
        void *it = json_object_iter((json_t *)j);

        return compile_operation(r, json_object_iter_key(it), json_object_iter_value(it), p);
    }
    return set_const(r, p, j);
}

uint32_t flag_compile_rule(struct flag_builder *b, struct str key, const json_t *rule)
{
    struct rule r = {b, key, b->nodes.n};
    struct place root = {0};

    b->copied = 0;
    if (add_nodes(&r, 1, &root.at) && compile(&r, rule, root))
        return root.at;
    b->nodes.n = r.base;
    return FLAG_NO_NODE;
}
