/*
 * flag_served.c - the set of flags that is served.
 *
 * A bad flag never fails a set: the definition that was served before takes its place, or the
 * flag stays in the set, quarantined. A variant keeps its cell for as long as the shared memory
 * may live.
 */
#include "control/engine/flag_served.h"

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/stats.h"

#include <jansson.h>

void flag_served_init(struct flag_served *s, uint64_t sequence)
{
    *s = (struct flag_served){.sequence = sequence, .bad = json_object()};
}

void flag_served_release(struct flag_served *s)
{
    json_decref(s->doc);
    json_decref(s->cells);
    json_decref(s->bad);
    flagset_unref(s->set);
}

void flag_served_adopt_cells(struct flag_served *s, const json_t *cells)
{
    if (!s->cells)
        s->cells = json_deep_copy(cells);
    if (!s->cells)
        s->cells = json_object();
}

/* ---- its document ---- */

static json_t *overrides_of(const json_t *truth, const json_t *local)
{
    json_t *all = json_copy(json_object_get(truth, "overrides"));
    const char *key;
    json_t *value;

    if (!json_is_object(all)) {
        json_decref(all);
        all = json_object();
    }
    json_object_foreach((json_t *)local, key, value)
    {
        if (json_is_null(value))
            json_object_del(all, key);
        else
            json_object_set(all, key, value);
    }
    return all;
}

static json_int_t highest_cell(const json_t *cells)
{
    json_int_t highest = 0;
    const char *key, *name;
    json_t *flag, *value;

    json_object_foreach((json_t *)cells, key, flag)
    {
        json_object_foreach(flag, name, value)
        {
            highest = json_integer_value(value) > highest ? json_integer_value(value) : highest;
        }
    }
    return highest;
}

/* When the cells are used up, what is new is not counted. */
static void number_cells(struct flag_served *s, const json_t *flags)
{
    json_int_t next = highest_cell(s->cells) + 1;
    const char *key, *name;
    json_t *flag, *value;

    json_object_foreach((json_t *)flags, key, flag)
    {
        json_t *mine = json_object_get(s->cells, key);

        if (!mine)
            json_object_set_new(s->cells, key, mine = json_object());
        if (next < STATS_FLAG_CELLS &&
            !json_object_get(mine, "")) /* no variant: code default */
            json_object_set_new(mine, "", json_integer(next++));
        json_object_foreach(json_object_get(flag, "variants"), name, value)
        {
            if (next < STATS_FLAG_CELLS && !json_object_get(mine, name))
                json_object_set_new(mine, name, json_integer(next++));
        }
    }
}

/* FLAGS (stolen) into DOC, with cells for all of their variants. */
static void set_flags(struct flag_served *s, json_t *doc, json_t *flags)
{
    number_cells(s, flags);
    json_object_set_new(doc, "cells", json_deep_copy(s->cells));
    json_object_set_new(doc, "flags", flags);
}

static json_t *document_of(struct flag_served *s, const json_t *truth, const json_t *local,
                           struct str env)
{
    json_t *doc = json_copy((json_t *)truth);

    json_object_del(doc, "bad");
    json_object_set_new(doc, "format", json_integer(FLAGSET_FORMAT));
    json_object_set_new(doc, "sequence", json_integer((json_int_t)s->sequence + 1));
    json_object_set_new(doc, "env", json_stringn_nocheck(env.p, env.n));
    json_object_set_new(doc, "overrides", overrides_of(truth, local));
    set_flags(s, doc, json_incref(json_object_get(truth, "flags")));
    return doc;
}

/* DOC's flags; NULL (never for what we wrote) with the reason in the log. */
static struct flagset *compile(const json_t *doc, char **text)
{
    char *why = NULL;
    struct flagset *set;

    *text = json_dumps(doc, JSON_COMPACT);
    set = *text ? flagset_compile(str_of(*text), &why) : NULL;
    if (!set)
        log_error("flags: a set cannot be served: %s", why ? why : "no text");
    xfree(why);
    return set;
}

/* ---- bad flags ---- */

/* The definition of KEY that is served now, if it is a good one. */
static json_t *last_good(const struct flag_served *s, const char *key)
{
    int i = s->set ? flagset_find(s->set, str_of(key)) : -1;

    if (i < 0 || flagset_quarantine(s->set, i).n)
        return NULL;
    return json_object_get(json_object_get(s->doc, "flags"), key);
}

/* Reasons of all bad flags of SET and of those that could not be read. */
static json_t *quarantine_of(const json_t *truth, const struct flagset *set)
{
    json_t *all = json_copy(json_object_get(truth, "bad"));

    if (!all)
        all = json_object();
    for (size_t i = 0; i < flagset_count(set); i++) {
        struct str why = flagset_quarantine(set, (int)i);

        if (why.n)
            json_object_set_new(all, flagset_key(set, (int)i).p,
                                json_stringn_nocheck(why.p, why.n));
    }
    return all;
}

/* Put last good definitions in place of BAD ones. True: the set is another one now. */
static bool mend(struct flag_served *s, const json_t *bad, json_t *doc)
{
    json_t *flags = json_copy(json_object_get(doc, "flags")), *reason;
    bool changed = false;
    const char *key;

    json_object_foreach((json_t *)bad, key, reason)
    {
        json_t *good = last_good(s, key);

        if (!json_equal(json_object_get(s->bad, key), reason)) /* say it once */
            log_warn("flags: %s is quarantined: %s%s", key, json_string_value(reason),
                     good ? "; the last good definition stays" : "");
        if (good)
            json_object_set(flags, key, good);
        else if (!json_object_get(flags, key))
            json_object_set_new(flags, key, json_null());
        changed = true;
    }
    set_flags(s, doc, flags);
    return changed;
}

/* ---- the next set ---- */

static void take(struct flag_served *s, json_t *doc, json_t *bad, struct flagset *set)
{
    json_decref(s->bad);
    json_decref(s->doc);
    flagset_unref(s->set);
    s->bad = bad;
    s->doc = doc;
    s->set = set;
    s->sequence++;
}

char *flag_served_build(struct flag_served *s, const json_t *truth, const json_t *local,
                        struct str env)
{
    json_t *doc = document_of(s, truth, local, env), *bad;
    char *text;
    struct flagset *set = compile(doc, &text);

    if (!set) {
        xfree(text);
        json_decref(doc);
        return NULL;
    }
    bad = quarantine_of(truth, set);
    if (mend(s, bad, doc)) {
        flagset_unref(set);
        xfree(text);
        set = compile(doc, &text);
    }
    ASSERT(set); /* single flags do not fail a set */
    take(s, doc, bad, set);
    return text;
}

/* The flags that are served with FLAGS instead of those of the same key; null: gone. */
static json_t *with(const struct flag_served *s, const json_t *flags)
{
    json_t *all = json_copy(json_object_get(s->doc, "flags")), *value;
    const char *key;

    all = all ? all : json_object();
    json_object_foreach((json_t *)flags, key, value)
    {
        if (json_is_null(value))
            json_object_del(all, key);
        else
            json_object_set(all, key, value);
    }
    return all;
}

/* The first flag of SET that is bad, unless it was before and is none of FLAGS. */
static char *first_bad(const struct flag_served *s, const struct flagset *set,
                       const json_t *flags)
{
    for (size_t i = 0; i < flagset_count(set); i++) {
        const char *key = flagset_key(set, (int)i).p;
        struct str why = flagset_quarantine(set, (int)i);

        if (!why.n || (json_object_get(s->bad, key) && !json_object_get(flags, key)))
            continue;
        if (json_object_size(flags) == 1 && json_object_get(flags, key))
            return xstrndup(why.p, why.n);
        return xasprintf("%s: %.*s", key, STR_ARG(why));
    }
    return NULL;
}

char *flag_served_objection(const struct flag_served *s, const json_t *flags,
                            const json_t *evaluators)
{
    json_t *doc = json_pack("{s:i,s:o,s:O?}", "format", FLAGSET_FORMAT, "flags", with(s, flags),
                            "evaluators", evaluators);
    struct flagset *set;
    char *text, *why;

    if (!doc)
        return xstrdup("not a flag");
    set = compile(doc, &text);
    why = set ? first_bad(s, set, flags) : xstrdup("not a flag, or more than 10000");
    flagset_unref(set);
    xfree(text);
    json_decref(doc);
    return why;
}
