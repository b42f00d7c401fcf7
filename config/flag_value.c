/*
 * flag_value.c - JSON values without jansson: copies in an arena, and paths into them.
 *
 * Copies keep the order of members. Depth is bounded here, so that whoever walks a value may
 * recurse.
 */
#include "config/flag_value.h"

#include "proxy/base/check.h"

#include <jansson.h>

#define MAX_DEPTH 64

static const struct flag_value *member_of(const struct flag_value *v, struct str name)
{
    for (uint32_t i = 0; i < v->n; i++) {
        if (str_eq(v->members[i].name, name))
            return &v->members[i].value;
    }
    return NULL;
}

static const struct flag_value *element_of(const struct flag_value *v, struct str name)
{
    uint64_t i;

    if (v->n == 0 || (name.n > 1 && name.p[0] == '0') || !str_to_u64(name, v->n - 1, &i))
        return NULL;
    return &v->items[i];
}

static const struct flag_value *step(const struct flag_value *v, struct str name)
{
    switch (v->kind) {
    case FLAG_OBJECT:
        return member_of(v, name);
    case FLAG_ARRAY:
        return element_of(v, name);
    default:
        return NULL;
    }
}

bool flag_value_at(const struct flag_value *root, struct str path, struct flag_value *out)
{
    const struct flag_value *at = root;
    struct str rest = path;
    bool more = path.n > 0;

    while (more && at) {
        struct str name = str_cut(&rest, '.');

        /* "a." has an empty last name: str_cut leaves REST empty before and after it. */
        more = name.p + name.n < path.p + path.n;
        at = step(at, name);
    }
    if (!at && root->kind == FLAG_OBJECT)
        at = member_of(root, path);
    if (at)
        *out = *at;
    return at != NULL;
}

static bool from_json(struct arena *a, const json_t *j, struct flag_value *out, int depth);

static bool from_array(struct arena *a, const json_t *j, struct flag_value *out, int depth)
{
    size_t n = json_array_size(j);
    struct flag_value *items = arena_alloc(a, (n + 1) * sizeof(*items));

    for (size_t i = 0; i < n; i++) {
        if (!from_json(a, json_array_get(j, i), &items[i], depth))
            return false;
    }
    *out = (struct flag_value){.kind = FLAG_ARRAY, .n = (uint32_t)n, .items = items};
    return true;
}

static bool from_object(struct arena *a, const json_t *j, struct flag_value *out, int depth)
{
    size_t n = json_object_size(j), i = 0;
    struct flag_member *members = arena_alloc(a, (n + 1) * sizeof(*members));
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)j, name, value)
    {
        members[i].name = arena_str(a, str_of(name));
        if (!from_json(a, value, &members[i].value, depth))
            return false;
        i++;
    }
    *out = (struct flag_value){.kind = FLAG_OBJECT, .n = (uint32_t)n, .members = members};
    return true;
}

static bool from_json(struct arena *a, const json_t *j, struct flag_value *out, int depth)
{
    if (depth >= MAX_DEPTH)
        return false;
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return from_object(a, j, out, depth + 1);
    case JSON_ARRAY:
        return from_array(a, j, out, depth + 1);
    case JSON_STRING:
        *out =
            flag_text(arena_str(a, (struct str){json_string_value(j), json_string_length(j)}));
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        *out = flag_number(json_number_value(j));
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = flag_bool(json_is_true(j));
        return true;
    case JSON_NULL:
        *out = FLAG_VALUE_NULL;
        return true;
    }
    return false;
}

bool flag_value_from_json(struct arena *a, const struct json_t *j, struct flag_value *out)
{
    return from_json(a, j, out, 0);
}

bool flag_value_parse(struct arena *a, struct str text, struct flag_value *out)
{
    json_t *j = json_loadb(text.p ? text.p : "", text.n, JSON_DECODE_ANY, NULL);
    bool ok = j && from_json(a, j, out, 0);

    json_decref(j);
    return ok;
}
