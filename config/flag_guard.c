/* flag_guard.c - windows and prerequisites of flags. */
#include "config/flag_guard.h"

#include "config/flag_time.h"
#include "proxy/base/arena.h"

#include <jansson.h>
#include <stdio.h>

/* Metadata NAME as a time; 0 when it is not there. */
static bool read_time(const json_t *metadata, const char *name, uint64_t *out, char *why,
                      size_t cap)
{
    const json_t *j = json_object_get(metadata, name);

    *out = 0;
    if (!j || flag_time_parse(str_of(json_string_value(j)), out))
        return true;
    snprintf(why, cap, "\"%s\" must be a time like 2026-11-22T21:00:00Z", name);
    return false;
}

/* "key=variant" or "key!=variant". */
static bool read_need(struct arena *a, struct str text, struct flag_need *out)
{
    struct str key = str_cut(&text, '=');

    out->differs = key.n && key.p[key.n - 1] == '!';
    key.n -= out->differs;
    out->key = arena_str(a, str_trim(key));
    out->variant = arena_str(a, str_trim(text));
    return out->key.n && out->variant.n;
}

static bool read_needs(struct arena *a, struct str text, struct flag_guard *g, char *why,
                       size_t cap)
{
    struct flag_need *list = arena_zalloc(a, FLAG_NEEDS_MAX * sizeof(*list));

    g->needs = list;
    while (text.n) {
        if (g->nneeds == FLAG_NEEDS_MAX) {
            snprintf(why, cap, "\"proxy.needs\" names more than %d flags", FLAG_NEEDS_MAX);
            return false;
        }
        if (!read_need(a, str_trim(str_cut(&text, ',')), &list[g->nneeds++])) {
            snprintf(why, cap, "\"proxy.needs\" must be like \"payments=on,region!=off\"");
            return false;
        }
    }
    return true;
}

struct flag_guard *flag_guard_parse(struct arena *a, const json_t *metadata, char *why,
                                    size_t cap)
{
    const json_t *needs = json_object_get(metadata, "proxy.needs");
    struct flag_guard *g;

    why[0] = '\0';
    if (!needs && !json_object_get(metadata, "proxy.from") &&
        !json_object_get(metadata, "proxy.until"))
        return NULL;
    g = arena_zalloc(a, sizeof(*g));
    if (!read_time(metadata, "proxy.from", &g->from, why, cap) ||
        !read_time(metadata, "proxy.until", &g->until, why, cap))
        return NULL;
    if (needs && !json_is_string(needs)) {
        snprintf(why, cap, "\"proxy.needs\" must be a text");
        return NULL;
    }
    return read_needs(a, str_of(json_string_value(needs)), g, why, cap) ? g : NULL;
}

bool flag_guard_link(const struct flagset *set, const struct flag_def *d, char *why, size_t cap)
{
    for (size_t i = 0; d->guard && i < d->guard->nneeds; i++) {
        struct flag_need *need = &d->guard->needs[i];

        need->flag = flagset_find(set, need->key);
        if (need->flag >= 0 && set->flags[need->flag].guard &&
            set->flags[need->flag].guard->nneeds) {
            snprintf(why, cap, "\"proxy.needs\": %.*s has needs itself",
                     (int)(need->key.n < 200 ? need->key.n : 200), need->key.p);
            return false;
        }
    }
    return true;
}
