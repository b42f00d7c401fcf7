/*
 * flag_lint.c - literal arguments that an operator can only answer with null. Computed ones
 * are nobody's business before there is a request.
 */
#include "control/engine/flag_lint.h"

#include "proxy/base/check.h"
#include "proxy/base/str.h"

#include <jansson.h>

struct lint {
    flag_lint_cb *cb;
    void *arg;
};

static void lint_weight(const struct lint *l, const json_t *w)
{
    if (!w || json_is_object(w) || json_is_null(w) ||
        (json_is_integer(w) && json_integer_value(w) >= 0))
        return;
    l->cb(l->arg, json_is_integer(w) ? "a weight of fractional is negative and counts as 0"
                                     : "a weight of fractional is no integer: it gives null");
}

static void lint_fractional(const struct lint *l, const json_t *args)
{
    const json_t *b;
    size_t i;

    if (json_is_string(json_array_get(args, 0)))
        l->cb(l->arg, "fractional tells users apart by a constant: all get the same");
    json_array_foreach(args, i, b)
    {
        lint_weight(l, json_array_get(b, 1));
    }
}

/* starts_with, ends_with */
static void lint_texts(const struct lint *l, const json_t *args)
{
    const json_t *a;
    size_t i;

    json_array_foreach(args, i, a)
    {
        if (!json_is_string(a) && !json_is_object(a))
            l->cb(l->arg, "starts_with or ends_with of what is no text: it gives null");
    }
}

/* Up to three numbers before what "-" or "+" begins. */
static bool is_version(struct str v)
{
    struct str core = {v.p, strcspn(v.p, "-+")};
    unsigned parts = 0;

    if (core.n && (core.p[0] == 'v' || core.p[0] == 'V'))
        core = str_skip(core, 1);
    while (core.n) {
        struct str part = str_cut(&core, '.');
        uint64_t n;

        if (!str_to_u64(part, UINT64_MAX, &n))
            return false;
        parts++;
    }
    return parts >= 1 && parts <= 3;
}

static void lint_sem_ver(const struct lint *l, const json_t *args)
{
    static const char *const ops[] = {"=", "!=", "<", "<=", ">", ">=", "^", "~"};
    const char *op = json_string_value(json_array_get(args, 1));
    bool known = op == NULL; /* computed */

    for (size_t i = 0; op && i < sizeof(ops) / sizeof(*ops); i++)
        known |= strcmp(op, ops[i]) == 0;
    if (!known)
        l->cb(l->arg, "sem_ver has no such comparison: it gives null");
    for (size_t i = 0; i < 3; i += 2) {
        const char *v = json_string_value(json_array_get(args, i));

        if (v && !is_version(str_of(v)))
            l->cb(l->arg, "sem_ver with what is no version: it gives null");
    }
}

static void lint_var(const struct lint *l, const json_t *args)
{
    const char *path = json_string_value(json_is_array(args) ? json_array_get(args, 0) : args);

    if (path && str_starts(str_of(path), STR("$flagd.")) &&
        strcmp(path, "$flagd.flagKey") != 0 && strcmp(path, "$flagd.timestamp") != 0)
        l->cb(l->arg, "$flagd has flagKey and timestamp, and nothing else");
}

/* Depth was bounded when the flag was compiled. */
static void lint_rule(const struct lint *l, const json_t *rule)
{
    const char *op;
    json_t *args;
    size_t i;

    json_object_foreach((json_t *)rule, op, args)
    {
        if (strcmp(op, "fractional") == 0)
            lint_fractional(l, args);
        else if (strcmp(op, "starts_with") == 0 || strcmp(op, "ends_with") == 0)
            lint_texts(l, args);
        else if (strcmp(op, "sem_ver") == 0)
            lint_sem_ver(l, args);
        else if (strcmp(op, "var") == 0)
            lint_var(l, args);
        lint_rule(l, args);
    }
    json_array_foreach(rule, i, args)
    {
        lint_rule(l, args);
    }
}

static int kind_of(const json_t *v)
{
    if (json_is_boolean(v))
        return JSON_TRUE;
    return json_is_number(v) ? JSON_REAL : (int)json_typeof(v);
}

static void lint_variants(const struct lint *l, json_t *variants)
{
    const char *name;
    json_t *v;
    int kind = -1;
    bool mixed = false;

    json_object_foreach(variants, name, v)
    {
        mixed |= kind >= 0 && kind_of(v) != kind;
        kind = kind_of(v);
    }
    if (mixed)
        l->cb(l->arg, "the variants are of different types");
}

void flag_lint_metadata(const json_t *metadata, flag_lint_cb *cb, void *arg)
{
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)metadata, name, v)
    {
        if (json_is_object(v) || json_is_array(v) || json_is_null(v))
            cb(arg, "metadata holds more than texts, numbers and booleans");
    }
}

void flag_lint(const json_t *flag, flag_lint_cb *cb, void *arg)
{
    struct lint l = {cb, arg};

    lint_variants(&l, json_object_get(flag, "variants"));
    lint_rule(&l, json_object_get(flag, "targeting"));
    flag_lint_metadata(json_object_get(flag, "metadata"), cb, arg);
}
