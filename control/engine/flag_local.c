/* flag_local.c - flags without Redis. The version counts the changes that the store has seen.
 */
#include "control/engine/flag_local.h"

#include "config/flag_doc.h"
#include "control/store/store.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <jansson.h>

#define FILE_MAX (64u << 20)

void flag_local_init(struct flag_local *l, struct store *store, struct str env,
                     struct arena *arena)
{
    l->store = store;
    l->flags = arena_printf(arena, "flag.%.*s", STR_ARG(env)).p;
    l->overrides = arena_printf(arena, "flag_override.%.*s", STR_ARG(env)).p;
    l->meta = arena_printf(arena, "flag_meta.%.*s", STR_ARG(env)).p;
}

json_t *flag_local_read(struct str path)
{
    struct arena a;
    struct str text;
    json_t *doc = NULL;
    char *why = NULL;

    arena_init(&a, NULL, 0);
    if (path.n && sys_read_file(&a, path.p, FILE_MAX, &text) == 0) {
        doc = flag_doc_parse(text, &why);
        if (!doc)
            log_warn("flags: %.*s: %s", STR_ARG(path), why);
    } else if (path.n && errno != ENOENT) {
        log_warn("flags: %.*s: %s", STR_ARG(path), strerror(errno));
    }
    xfree(why);
    arena_release(&a);
    return doc;
}

static int on_stored(void *arg, struct str key, struct str doc)
{
    json_t *value = json_loadb(doc.p, doc.n, JSON_DECODE_ANY, NULL);
    char *name = xstrndup(key.p, key.n);

    if (value)
        json_object_set_new(arg, name, value);
    xfree(name);
    return 0;
}

static json_t *stored(const struct flag_local *l, const char *kind)
{
    json_t *all = json_object();

    if (store_list(l->store, kind, on_stored, all) != 0)
        log_error("flags: %s", store_message(l->store));
    return all;
}

json_t *flag_local_set(const struct flag_local *l, struct str bootstrap, const char **source)
{
    json_t *set = flag_local_read(bootstrap), *changed = stored(l, l->flags), *value;
    json_t *meta = stored(l, l->meta), *flags;
    const char *key;

    *source = set ? "bootstrap" : "none";
    if (!set)
        set = json_pack("{s:{},s:{},s:{},s:{},s:s}", "flags", "evaluators", "metadata",
                        "overrides", "epoch", "");
    flags = json_object_get(set, "flags");
    json_object_foreach(changed, key, value)
    {
        if (json_is_null(value))
            json_object_del(flags, key);
        else
            json_object_set(flags, key, value);
        *source = "api";
    }
    value = json_object_get(meta, "version");
    json_object_set_new(set, "version", json_integer(json_integer_value(value)));
    json_decref(changed);
    json_decref(meta);
    return set;
}

static MUST_CHECK int put_json(const struct flag_local *l, const char *kind, const char *key,
                               const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    int rc = store_put(l->store, kind, key, str_of(text));

    xfree(text);
    return rc;
}

static MUST_CHECK int put_all(const struct flag_local *l, const json_t *flags, json_t *version)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)flags, key, value)
    {
        if (put_json(l, l->flags, key, value) != 0)
            return -1;
    }
    return put_json(l, l->meta, "version", version);
}

int flag_local_put(const struct flag_local *l, const json_t *flags, uint64_t version)
{
    json_t *number = json_integer((json_int_t)version);
    int rc = -1;

    if (store_begin(l->store) == 0) {
        if (put_all(l, flags, number) == 0 && store_commit(l->store) == 0)
            rc = 0;
        else
            store_rollback(l->store);
    }
    json_decref(number);
    return rc;
}

json_t *flag_local_overrides(const struct flag_local *l)
{
    return stored(l, l->overrides);
}

int flag_local_override(const struct flag_local *l, const char *key, const json_t *value)
{
    return put_json(l, l->overrides, key, value);
}

void flag_local_forget_override(const struct flag_local *l, const char *key)
{
    if (store_delete(l->store, l->overrides, key) < 0)
        log_error("flags: %s", store_message(l->store));
}
