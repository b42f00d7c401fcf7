/*
 * flag_trial.c - flags on trial: validated, simulated, explained. Nothing here changes what is
 * served; sets are compiled and evaluated by the code of the workers.
 */
#include "control/engine/flag_trial.h"

#include "config/flag_time.h"
#include "control/engine/flag_lint.h"
#include "proxy/base/mem.h"
#include "proxy/route/flag_explain.h"

#include <jansson.h>
#include <stdio.h>

/* ---- sets ---- */

static struct flagset *compile(const json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT), *why = NULL;
    struct flagset *set = text ? flagset_compile(str_of(text), &why) : NULL;

    xfree(why);
    xfree(text);
    return set;
}

struct flagset *flag_trial_set(const struct flagsync *f, const char *key, const json_t *flag)
{
    const json_t *served = flagsync_document(f);
    json_t *doc, *flags;
    struct flagset *set;

    if (!served)
        return NULL;
    doc = json_copy((json_t *)served);
    flags = json_copy(json_object_get(doc, "flags"));
    if (flag)
        json_object_set(flags, key, (json_t *)flag);
    json_object_set_new(doc, "flags", flags);
    set = compile(doc);
    json_decref(doc);
    return set;
}

/* ---- validate ---- */

static void warn(json_t *list, const char *flag, const char *code, const char *message)
{
    json_array_append_new(
        list, json_pack("{s:s,s:s,s:s}", "flag", flag, "code", code, "message", message));
}

/* The first list of fractional buckets below J, or NULL. Depth is bounded by the parser. */
static const json_t *find_fractional(const json_t *j)
{
    const json_t *found = json_object_get(j, "fractional");
    const char *name;
    json_t *v;
    size_t i;

    if (found)
        return found;
    json_object_foreach((json_t *)j, name, v)
    {
        if ((found = find_fractional(v)) != NULL)
            return found;
    }
    json_array_foreach(j, i, v)
    {
        if ((found = find_fractional(v)) != NULL)
            return found;
    }
    return NULL;
}

/* Names of literal buckets, in order; what is none is skipped. */
static json_t *bucket_names(const json_t *flag)
{
    const json_t *buckets = find_fractional(json_object_get(flag, "targeting"));
    json_t *names = json_array(), *b;
    size_t i;

    json_array_foreach(buckets, i, b)
    {
        const char *name = json_string_value(json_array_get(b, 0));

        if (name)
            json_array_append_new(names, json_string(name));
    }
    return names;
}

/* Are those of A that B has as well in the same order there? */
static bool same_order(const json_t *a, const json_t *b)
{
    size_t at = 0, n = json_array_size(b);

    for (size_t i = 0; i < json_array_size(a); i++) {
        const json_t *name = json_array_get(a, i);
        size_t j = 0;

        while (j < n && !json_equal(name, json_array_get(b, j)))
            j++;
        if (j == n)
            continue;
        if (j < at)
            return false;
        at = j;
    }
    return true;
}

static void warn_order(json_t *list, const char *key, const json_t *old, const json_t *flag)
{
    json_t *before = bucket_names(old), *after = bucket_names(flag);

    if (!same_order(before, after))
        warn(list, key, "reordered",
             "the buckets of fractional are in another order: users move who need not");
    json_decref(before);
    json_decref(after);
}

static int kind_of(const json_t *variant)
{
    if (json_is_boolean(variant))
        return JSON_TRUE;
    return json_is_number(variant) ? JSON_REAL : (int)json_typeof(variant);
}

static void warn_variants(json_t *list, const char *key, const json_t *old, const json_t *flag)
{
    json_t *now = json_object_get(flag, "variants"), *value;
    bool changed = false;
    const char *name;

    json_object_foreach(json_object_get(old, "variants"), name, value)
    {
        const json_t *other = json_object_get(now, name);

        if (!other)
            warn(list, key, "variant_removed",
                 "a variant is gone that is served: overrides, routes and needs may name it");
        else
            changed |= kind_of(other) != kind_of(value);
    }
    if (changed)
        warn(list, key, "type_changed", "a variant has another type than the one served");
}

static void warn_metadata(json_t *list, const char *key, const json_t *flag,
                          const struct flagset *set, uint64_t now_unix)
{
    const json_t *metadata = json_object_get(flag, "metadata");
    const char *expires = json_string_value(json_object_get(metadata, "proxy.expires"));
    const struct flag_guard *g = set->flags[flagset_find(set, str_of(key))].guard;
    uint64_t at;

    if (expires && flag_time_parse(str_of(expires), &at) && at <= now_unix)
        warn(list, key, "expired", "the flag has outlived its proxy.expires");
    for (size_t i = 0; g && i < g->nneeds; i++) {
        if (g->needs[i].flag < 0)
            warn(list, key, "needs_unknown", "proxy.needs names a flag that is not there");
    }
}

/* DOC as it would be among the flags that are served. */
static json_t *among_served(const struct flagsync *f, const json_t *doc)
{
    const json_t *served = flagsync_document(f);
    json_t *all = json_copy((json_t *)doc), *flags, *evaluators;

    flags = json_copy(json_object_get(served, "flags"));
    evaluators = json_copy(json_object_get(served, "evaluators"));
    flags = flags ? flags : json_object();
    evaluators = evaluators ? evaluators : json_object();
    json_object_update(flags, json_object_get(doc, "flags"));
    json_object_update(evaluators, json_object_get(doc, "evaluators"));
    json_object_set_new(all, "flags", flags);
    json_object_set_new(all, "evaluators", evaluators);
    return all;
}

struct odd { /* where odd things are written down */
    json_t *warnings;
    const char *key;
};

static void on_odd(void *arg, const char *message)
{
    const struct odd *o = arg;

    warn(o->warnings, o->key, "schema", message);
}

static void check(const struct flagsync *f, const struct flagset *set, const char *key,
                  const json_t *flag, json_t *errors, json_t *warnings, uint64_t now_unix)
{
    const json_t *old = flagsync_flag(f, key);
    struct str bad = flagset_quarantine(set, flagset_find(set, str_of(key)));

    if (bad.n) {
        json_array_append_new(errors,
                              json_pack("{s:s,s:s%}", "flag", key, "message", bad.p, bad.n));
        return;
    }
    if (old) {
        warn_order(warnings, key, old, flag);
        warn_variants(warnings, key, old, flag);
    }
    warn_metadata(warnings, key, flag, set, now_unix);
    flag_lint(flag, on_odd, &(struct odd){warnings, key});
}

json_t *flag_trial_validate(const struct flagsync *f, const json_t *doc, uint64_t now_unix)
{
    json_t *errors = json_array(), *warnings = json_array(), *flag;
    json_t *all = among_served(f, doc);
    struct flagset *set = compile(all);
    const char *key;

    if (!set)
        json_array_append_new(errors, json_pack("{s:s,s:s}", "flag", "", "message",
                                                "not a set of at most 10000 flags"));
    json_object_foreach(json_object_get(doc, "flags"), key, flag)
    {
        if (set)
            check(f, set, key, flag, errors, warnings, now_unix);
    }
    flag_lint_metadata(json_object_get(doc, "metadata"), on_odd, &(struct odd){warnings, ""});
    flagset_unref(set);
    json_decref(all);
    return json_pack("{s:b,s:o,s:o}", "valid", json_array_size(errors) == 0, "errors", errors,
                     "warnings", warnings);
}

/* ---- simulate ---- */

struct user { /* who is evaluated: a context, and a key that changes */
    const struct flag_value *context;
    struct str key;
};

static bool get_user(void *arg, struct str path, struct flag_value *out)
{
    const struct user *u = arg;

    if (!str_eq(path, STR("targetingKey")))
        return flag_value_at(u->context, path, out);
    *out = flag_text(u->key);
    return true;
}

static void add(json_t *counts, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(counts, name));

    json_object_set_new(counts, name, json_integer(n + 1));
}

/* The variant's name, NUL-terminated as all text of a set; "" for none. */
static const char *variant_of(struct flag_ctx *c, const struct flagset *set, const char *key,
                              struct user *u, uint64_t now_unix)
{
    int flag = set ? flagset_find(set, str_of(key)) : -1;
    const struct flag_result *r;

    if (flag < 0)
        return "";
    flag_ctx_begin(c, set, get_user, u, now_unix);
    r = flag_eval(c, flag);
    return r->variant ? r->variant->name.p : "";
}

/* {from:{to:n}} to rows. */
static json_t *rows_of(const json_t *moves)
{
    json_t *rows = json_array(), *from, *n;
    const char *name, *to;

    json_object_foreach((json_t *)moves, name, from)
    {
        json_object_foreach(from, to, n)
        {
            json_array_append_new(
                rows, json_pack("{s:s,s:s,s:O}", "from", name, "to", to, "users", n));
        }
    }
    return rows;
}

static void add_move(json_t *moves, const char *from, const char *to)
{
    json_t *row = json_object_get(moves, from);

    if (!row)
        json_object_set_new(moves, from, row = json_object());
    add(row, to);
}

json_t *flag_trial_simulate(const struct flagset *before, const struct flagset *after,
                            const char *key, const json_t *context, unsigned users,
                            uint64_t now_unix)
{
    struct flag_ctx *old = flag_ctx_new(), *new = flag_ctx_new();
    json_t *then = json_object(), *now = json_object(), *moves = json_object(), *rows;
    struct flag_value root = {.kind = FLAG_OBJECT};
    struct user u = {.context = &root};
    struct arena a;
    unsigned moved = 0;
    char name[32];

    arena_init(&a, NULL, 0);
    if (context && !flag_value_from_json(&a, context, &root))
        root = (struct flag_value){.kind = FLAG_OBJECT};
    for (unsigned i = 0; i < users; i++) {
        const char *from, *to;

        snprintf(name, sizeof(name), "user-%u", i);
        u.key = str_of(name);
        from = variant_of(old, before, key, &u, now_unix);
        to = variant_of(new, after, key, &u, now_unix);
        add(then, from);
        add(now, to);
        if (strcmp(from, to) != 0) {
            add_move(moves, from, to);
            moved++;
        }
    }
    rows = rows_of(moves);
    json_decref(moves);
    flag_ctx_free(old);
    flag_ctx_free(new);
    arena_release(&a);
    return json_pack("{s:i,s:o,s:o,s:i,s:o}", "users", (int)users, "before", then, "after", now,
                     "moved", (int)moved, "moves", rows);
}

/* ---- explain ---- */

static json_t *json_of(const struct flag_value *v)
{
    json_t *j;

    switch (v->kind) {
    case FLAG_BOOL:
        return json_boolean(v->boolean);
    case FLAG_NUMBER:
        if (v->number < 1e15 && v->number > -1e15 && v->number == (double)(json_int_t)v->number)
            return json_integer((json_int_t)v->number);
        return json_real(v->number);
    case FLAG_STRING:
        return json_stringn_nocheck(v->text.n ? v->text.p : "", v->text.n);
    case FLAG_ARRAY:
        j = json_array();
        for (uint32_t i = 0; i < v->n; i++)
            json_array_append_new(j, json_of(&v->items[i]));
        return j;
    case FLAG_OBJECT:
        j = json_object();
        for (uint32_t i = 0; i < v->n; i++) {
            char *name = xstrndup(v->members[i].name.p, v->members[i].name.n);

            json_object_set_new_nocheck(j, name, json_of(&v->members[i].value));
            xfree(name);
        }
        return j;
    case FLAG_NULL:
        break;
    }
    return json_null();
}

static void on_step(void *arg, const struct flag_step *s)
{
    json_t *row = json_pack("{s:i,s:s}", "depth", (int)s->depth, "op", s->op);

    if (s->name.n)
        json_object_set_new(row, "name", json_stringn_nocheck(s->name.p, s->name.n));
    if (s->hashed)
        json_object_set_new(row, "hash", json_integer(s->hash));
    if (s->each)
        json_object_set_new(row, "each", json_true());
    else
        json_object_set_new(row, "value", json_of(&s->value));
    json_array_append_new(arg, row);
}

static bool get_attribute(void *arg, struct str path, struct flag_value *out)
{
    return flag_value_at(arg, path, out);
}

static json_t *needs_of(struct flag_ctx *c, const struct flagset *set, int flag)
{
    const struct flag_guard *g = set->flags[flag].guard;
    json_t *rows = json_array();

    for (size_t i = 0; g && i < g->nneeds; i++) {
        const struct flag_need *n = &g->needs[i];
        const struct flag_result *r = flag_eval(c, n->flag);
        struct str is = r->variant ? r->variant->name : STR("");

        json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:b}", "flag", n->key.p,
                                              n->differs ? "not" : "wants", n->variant.p,
                                              "gets", is.p, "there", n->flag >= 0));
    }
    return rows;
}

json_t *flag_trial_explain(struct flagset *set, int flag, const json_t *context,
                           uint64_t now_unix)
{
    struct flag_value root = {.kind = FLAG_OBJECT};
    struct flag_ctx *c = flag_ctx_new();
    json_t *steps = json_array(), *out = NULL;
    const struct flag_result *r;
    struct arena a;

    arena_init(&a, NULL, 0);
    if (!context || flag_value_from_json(&a, context, &root)) {
        flag_ctx_begin(c, set, get_attribute, &root, now_unix);
        r = flag_eval(c, flag);
        flag_explain(c, flag, on_step, steps);
        out = json_pack(
            "{s:s,s:s?,s:s,s:s?,s:s,s:o,s:O}", "key", flagset_key(set, flag).p, "variant",
            r->variant ? r->variant->name.p : NULL, "reason", flag_reason_name(r->reason),
            "errorCode", r->error == FLAG_OK ? NULL : flag_error_name(r->error), "decided_by",
            flag_decided_by(c, flag), "needs", needs_of(c, set, flag), "steps", steps);
    }
    json_decref(steps);
    flag_ctx_free(c);
    arena_release(&a);
    return out;
}
