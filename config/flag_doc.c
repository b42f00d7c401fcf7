/*
 * flag_doc.c - flagd documents to flag-set snapshots.
 */
#include "config/flag_doc.h"

#include "config/flagset.h"
#include "proxy/base/mem.h"

#include <jansson.h>

/* Array form: each flag carries its key. Elements without one are not flags. */
static json_t *flags_by_key(const json_t *flags)
{
    json_t *map, *flag;
    size_t i;

    if (json_is_object(flags))
        return json_incref((json_t *)flags);
    if (!json_is_array(flags))
        return NULL;
    map = json_object();
    json_array_foreach(flags, i, flag)
    {
        const char *key = json_string_value(json_object_get(flag, "key"));

        if (key)
            json_object_set(map, key, flag);
    }
    return map;
}

static json_t *object_or_empty(const json_t *j)
{
    return json_is_object(j) ? json_incref((json_t *)j) : json_object();
}

static json_t *snapshot_of(const json_t *doc)
{
    json_t *flags = flags_by_key(json_object_get(doc, "flags"));

    if (!flags)
        return NULL;
    return json_pack("{s:i,s:i,s:s,s:i,s:o,s:o,s:o,s:{},s:{}}", "format", FLAGSET_FORMAT,
                     "sequence", 0, "epoch", "", "version", 0, "flags", flags, "evaluators",
                     object_or_empty(json_object_get(doc, "$evaluators")), "metadata",
                     object_or_empty(json_object_get(doc, "metadata")), "overrides", "cells");
}

struct json_t *flag_doc_parse(struct str text, char **why)
{
    json_error_t error;
    json_t *doc = json_loadb(text.p ? text.p : "", text.n, 0, &error), *snapshot;

    if (!doc) {
        *why = xasprintf("line %d, column %d: %s", error.line, error.column, error.text);
        return NULL;
    }
    if (json_integer_value(json_object_get(doc, "format")) == FLAGSET_FORMAT &&
        json_is_object(json_object_get(doc, "flags")))
        return doc;
    snapshot = snapshot_of(doc);
    json_decref(doc);
    if (!snapshot)
        *why = xstrdup("\"flags\" must be an object or an array");
    return snapshot;
}
