/* flag_split.c - the shares of a flag's users, changed in its definition. */
#include "control/engine/flag_split.h"

#include "proxy/base/mem.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#define WEIGHTS_MAX 2147483647 /* of all buckets together; flagd's own limit */

struct place { /* the "fractional" of a rule */
    json_t *buckets;
    unsigned found;
};

/* Depth was bounded when the flag was compiled. */
static void find(json_t *j, struct place *p)
{
    json_t *v = json_object_get(j, "fractional");
    const char *name;
    size_t i;

    if (v && json_object_size(j) == 1) {
        p->buckets = v;
        p->found++;
    }
    json_object_foreach(j, name, v)
    {
        find(v, p);
    }
    json_array_foreach(j, i, v)
    {
        find(v, p);
    }
}

static const struct flag_share *share_of(const char *name, const struct flag_share *shares,
                                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(shares[i].variant, name) == 0)
            return &shares[i];
    }
    return NULL;
}

/* Is J ["variant"] or ["variant", number]? */
static bool literal(const json_t *j)
{
    return json_is_string(json_array_get(j, 0)) && json_array_size(j) <= 2 &&
           (json_array_size(j) == 1 || json_is_number(json_array_get(j, 1)));
}

static bool has_bucket(const json_t *buckets, const char *name)
{
    json_t *b;
    size_t i;

    json_array_foreach(buckets, i, b)
    {
        const char *is = json_string_value(json_array_get(b, 0));

        if (is && strcmp(is, name) == 0)
            return true;
    }
    return false;
}

/* Set those that are there, add those that are not. NULL, or what is wrong. */
static const char *set_buckets(json_t *buckets, const struct flag_share *shares, size_t n)
{
    json_t *b;
    size_t i;

    json_array_foreach(buckets, i, b)
    {
        const struct flag_share *s;

        if (i == 0 && !json_is_array(b))
            continue; /* the key that users are told apart by */
        if (!literal(b))
            return "the buckets of its fractional are computed";
        s = share_of(json_string_value(json_array_get(b, 0)), shares, n);
        json_array_set_new(buckets, i,
                           json_pack("[O,i]", json_array_get(b, 0), s ? (int)s->weight : 0));
    }
    for (i = 0; i < n; i++) {
        size_t end = json_array_size(buckets);
        bool control = end > 0 && json_is_array(json_array_get(buckets, end - 1));

        if (!has_bucket(buckets, shares[i].variant))
            json_array_insert_new(buckets, control ? end - 1 : end,
                                  json_pack("[s,i]", shares[i].variant, (int)shares[i].weight));
    }
    return NULL;
}

/* A rule for a flag that has none: the shares in their order. */
static const char *add_rule(json_t *flag, const struct flag_share *shares, size_t n)
{
    json_t *buckets = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(buckets,
                              json_pack("[s,i]", shares[i].variant, (int)shares[i].weight));
    json_object_set_new(flag, "targeting", json_pack("{s:o}", "fractional", buckets));
    return NULL;
}

static const char *check(const json_t *flag, const struct flag_share *shares, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (!json_object_get(json_object_get(flag, "variants"), shares[i].variant))
            return "a share names no variant of the flag";
        sum += shares[i].weight;
    }
    return sum > 0 && sum <= WEIGHTS_MAX ? NULL : "the shares must add up to 1 to 2147483647";
}

static const char *set_rule(json_t *flag, const struct flag_share *shares, size_t n)
{
    json_t *rule = json_object_get(flag, "targeting");
    struct place p = {NULL, 0};

    if (json_object_size(rule) == 0)
        return add_rule(flag, shares, n);
    find(rule, &p);
    if (p.found != 1 || !json_is_array(p.buckets))
        return p.found > 1 ? "its rule has several fractionals" : "its rule has no fractional";
    return set_buckets(p.buckets, shares, n);
}

json_t *flag_split(const json_t *flag, const struct flag_share *shares, size_t n, char **why)
{
    json_t *copy = json_deep_copy(flag);
    const char *bad = check(flag, shares, n);

    if (!bad)
        bad = set_rule(copy, shares, n);
    if (!bad)
        return copy;
    *why = xstrdup(bad);
    json_decref(copy);
    return NULL;
}
