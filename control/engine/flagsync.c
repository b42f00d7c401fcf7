/*
 * flagsync.c - the set of flags that is served, and changes of it.
 *
 * `truth` is the set as its source has it (Redis, disk, bootstrap file and store). What is
 * served is truth, with the last good definition in place of bad ones and with the overrides
 * that this node has not handed to Redis yet. Every set that is served has a number, and a
 * change is done when the number that contains it is live on all workers.
 */
#include "control/engine/flagsync.h"

#include "config/flag_doc.h"
#include "control/engine/flag_redis.h"
#include "control/store/store.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/stats.h"
#include "proxy/base/sys.h"
#include "proxy/event/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define FLAGSYNC_MAGIC 0x464c5359u /* FLSY */
#define FILE_MAX       (64u << 20)
#define COLLISIONS_MAX 5 /* with changes of other flags, before a change gives up */

enum change_state {
    CHANGE_WRITING,  /* Redis has not answered yet */
    CHANGE_COLLIDED, /* the set was another one: look whether the flag is */
    CHANGE_WRITTEN,  /* waits for a set of at least `version` */
    CHANGE_SERVED,   /* waits until `sequence` is live */
    CHANGE_OVER      /* outcome is known: tell it on a later turn */
};

struct flag_change { /* owned by the list of flagsync until it is told */
    STAILQ_ENTRY(flag_change) link;
    struct flagsync *fs;
    enum change_state state;
    uint64_t version, sequence;
    enum flagsync_outcome outcome;
    char why[256];
    flagsync_cb *done;
    void *arg;
    json_t *flag;   /* to be put; NULL: delete */
    json_t *before; /* the flag as it was served at the start, or NULL */
    unsigned collisions;
    char *key, *by, *reason;
};

struct publication { /* lives until the workers have answered; fs NULL: nobody cares */
    LIST_ENTRY(publication) link;
    struct flagsync *fs;
    uint64_t sequence;
};

struct push { /* an override on its way to Redis; owned by the list of flagsync */
    LIST_ENTRY(push) link;
    struct flagsync *fs;
    json_t *value;
    char key[];
};

struct flagsync { /* owned by the engine */
    uint32_t magic;
    struct loop *loop;
    struct store *store; /* borrowed */
    struct flagsync_hooks hooks;
    struct arena arena; /* of the configuration's text */
    struct str env, url, bootstrap, path;
    const char *kind_flag, *kind_override, *kind_meta; /* of documents in the store */

    json_t *truth;       /* a flag-set document without number and cells */
    json_t *local;       /* key -> override or null: not in Redis yet, or no Redis */
    json_t *pushed;      /* key -> version of Redis that has what `local` says */
    json_t *served;      /* document; NULL: nothing yet */
    json_t *quarantined; /* key -> reason */
    json_t *cells;       /* key -> variant -> cell, also of flags that are gone */
    struct flagset *set; /* served, compiled */
    uint64_t sequence;

    struct flag_redis *redis;
    uint64_t confirmed_ms; /* loop time when Redis last had the served set */
    bool regressed;

    STAILQ_HEAD(, flag_change) changes;
    LIST_HEAD(, publication) publications;
    LIST_HEAD(, push) pushes;
    struct post tell;
};

static void push_local(struct flagsync *f);
static void retry_collided(struct flagsync *f);

/* ---- what is told ---- */

static void emit(struct flagsync *f, const char *type, const char *message, const json_t *data)
{
    if (f->hooks.event)
        f->hooks.event(f->hooks.arg, type, message, data);
}

static void free_change(struct flag_change *c)
{
    json_decref(c->flag);
    json_decref(c->before);
    xfree(c->key);
    xfree(c->by);
    xfree(c->reason);
    xfree(c);
}

static void on_tell(void *arg)
{
    struct flagsync *f = CAST(flagsync, FLAGSYNC_MAGIC, arg);
    struct flag_change *c, *next;

    for (c = STAILQ_FIRST(&f->changes); c; c = next) {
        next = STAILQ_NEXT(c, link);
        if (c->state != CHANGE_OVER)
            continue;
        STAILQ_REMOVE(&f->changes, c, flag_change, link);
        c->done(c->arg, c->outcome, c->why);
        free_change(c);
    }
}

static void end_change(struct flag_change *c, enum flagsync_outcome o, const char *why)
{
    c->state = CHANGE_OVER;
    c->outcome = o;
    str_copy(c->why, sizeof(c->why), str_of(why ? why : ""));
    loop_post(c->fs->loop, &c->fs->tell, on_tell, c->fs);
}

static void audit(struct flagsync *f, const struct flag_change *c, const char *what,
                  const json_t *after)
{
    char *text = after ? json_dumps(after, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    char *deed = xasprintf("%s %s", what, c->key);
    struct store_audit rec = {
        .ts_ms = loop_wall_ms(f->loop),
        .who = str_of(c->by),
        .what = str_of(deed),
        .why = str_of(c->reason),
        .after = str_of(text),
    };

    if (store_audit_append(f->store, &rec) != 0)
        log_error("flags: audit: %s", store_message(f->store));
    xfree(deed);
    xfree(text);
}

static struct flag_change *new_change(struct flagsync *f, const char *key,
                                      struct flagsync_who who, flagsync_cb *done, void *arg)
{
    struct flag_change *c = xcalloc(1, sizeof(*c));

    c->fs = f;
    c->done = done;
    c->arg = arg;
    c->key = xstrdup(key);
    c->by = xstrdup(who.by ? who.by : "");
    c->reason = xstrdup(who.why ? who.why : "");
    STAILQ_INSERT_TAIL(&f->changes, c, link);
    return c;
}

/* ---- serving ---- */

static void save(struct flagsync *f)
{
    char *text = json_dumps(f->served, JSON_COMPACT);

    if (sys_write_file(f->path.p, str_of(text), 0600) != 0)
        log_warn("flags: %s: %s", f->path.p, strerror(errno));
    xfree(text);
}

static void on_published(void *arg, const char *error)
{
    struct publication *p = arg;
    struct flagsync *f = p->fs;
    struct flag_change *c;

    if (f) {
        LIST_REMOVE(p, link);
        if (p->sequence == f->sequence)
            save(f);
        STAILQ_FOREACH (c, &f->changes, link) {
            if (c->state == CHANGE_SERVED && c->sequence <= p->sequence)
                end_change(c, error ? FLAGSYNC_UNAPPLIED : FLAGSYNC_DONE, error);
        }
    }
    xfree(p);
}

static void publish(struct flagsync *f, struct str doc)
{
    struct publication *p = xcalloc(1, sizeof(*p));

    p->fs = f;
    p->sequence = f->sequence;
    LIST_INSERT_HEAD(&f->publications, p, link);
    f->hooks.publish(f->hooks.arg, f->sequence, doc, on_published, p);
}

static json_t *overrides_of(const struct flagsync *f)
{
    json_t *all = json_copy(json_object_get(f->truth, "overrides"));
    const char *key;
    json_t *value;

    if (!json_is_object(all)) {
        json_decref(all);
        all = json_object();
    }
    json_object_foreach(f->local, key, value)
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

/*
 * Counters: a variant keeps its cell for as long as the shared memory may live, also while its
 * flag is gone. When the cells are used up, what is new is not counted.
 */
static void number_cells(struct flagsync *f, const json_t *flags)
{
    json_int_t next = highest_cell(f->cells) + 1;
    const char *key, *name;
    json_t *flag, *value;

    json_object_foreach((json_t *)flags, key, flag)
    {
        json_t *mine = json_object_get(f->cells, key);

        if (!mine)
            json_object_set_new(f->cells, key, mine = json_object());
        json_object_foreach(json_object_get(flag, "variants"), name, value)
        {
            if (next < STATS_FLAG_CELLS && !json_object_get(mine, name))
                json_object_set_new(mine, name, json_integer(next++));
        }
    }
}

static json_t *document_of(struct flagsync *f, json_t *flags)
{
    json_t *doc = json_copy(f->truth);

    json_object_del(doc, "bad");
    json_object_set_new(doc, "format", json_integer(FLAGSET_FORMAT));
    json_object_set_new(doc, "sequence", json_integer((json_int_t)f->sequence + 1));
    json_object_set_new(doc, "env", json_stringn_nocheck(f->env.p, f->env.n));
    json_object_set_new(doc, "overrides", overrides_of(f));
    number_cells(f, flags);
    json_object_set_new(doc, "cells", json_deep_copy(f->cells));
    json_object_set_new(doc, "flags", flags);
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

/* The definition of KEY that is served now, if it is a good one. */
static json_t *last_good(const struct flagsync *f, const char *key)
{
    int i = f->set ? flagset_find(f->set, str_of(key)) : -1;

    if (i < 0 || flagset_quarantine(f->set, i).n)
        return NULL;
    return json_object_get(json_object_get(f->served, "flags"), key);
}

/* Reasons of all bad flags of SET and of those that could not be read. */
static json_t *quarantine_of(const struct flagsync *f, const struct flagset *set)
{
    json_t *all = json_copy(json_object_get(f->truth, "bad"));

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
static bool mend(struct flagsync *f, const json_t *bad, json_t *doc)
{
    json_t *flags = json_copy(json_object_get(doc, "flags")), *reason;
    bool changed = false;
    const char *key;

    json_object_foreach((json_t *)bad, key, reason)
    {
        json_t *good = last_good(f, key);

        if (!json_equal(json_object_get(f->quarantined, key), reason)) /* say it once */
            log_warn("flags: %s is quarantined: %s%s", key, json_string_value(reason),
                     good ? "; the last good definition stays" : "");
        if (good)
            json_object_set(flags, key, good);
        else if (!json_object_get(flags, key))
            json_object_set_new(flags, key, json_null());
        changed = true;
    }
    number_cells(f, flags);
    json_object_set_new(doc, "cells", json_deep_copy(f->cells));
    json_object_set_new(doc, "flags", flags);
    return changed;
}

/* Serve what truth and local changes give; changes that are in it wait for its number. */
static void serve(struct flagsync *f)
{
    uint64_t version = (uint64_t)json_integer_value(json_object_get(f->truth, "version"));
    json_t *doc = document_of(f, json_incref(json_object_get(f->truth, "flags"))), *bad;
    struct flagset *set;
    struct flag_change *c;
    char *text;

    set = compile(doc, &text);
    if (!set) {
        xfree(text);
        json_decref(doc);
        return;
    }
    bad = quarantine_of(f, set);
    if (mend(f, bad, doc)) {
        flagset_unref(set);
        xfree(text);
        set = compile(doc, &text);
    }
    ASSERT(set); /* single flags do not fail a set */
    json_decref(f->quarantined);
    json_decref(f->served);
    flagset_unref(f->set);
    f->quarantined = bad;
    f->served = doc;
    f->set = set;
    f->sequence++;
    STAILQ_FOREACH (c, &f->changes, link) {
        if (c->state == CHANGE_WRITTEN && c->version <= version) {
            c->state = CHANGE_SERVED;
            c->sequence = f->sequence;
        }
    }
    publish(f, str_of(text));
    xfree(text);
}

static void set_truth(struct flagsync *f, json_t *truth, const char *source)
{
    json_object_set_new(truth, "source", json_string(source));
    json_decref(f->truth);
    f->truth = truth;
}

static const char *epoch_of(const struct flagsync *f)
{
    const char *epoch = json_string_value(json_object_get(f->truth, "epoch"));

    return epoch ? epoch : "";
}

/* ---- without Redis: files and the store ---- */

/* The document at PATH as a set, or NULL; a file that is not there is no fault. */
static json_t *read_document(struct str path)
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

static json_t *stored(struct flagsync *f, const char *kind)
{
    json_t *all = json_object();

    if (store_list(f->store, kind, on_stored, all) != 0)
        log_error("flags: %s", store_message(f->store));
    return all;
}

/* Bootstrap file, with what was changed through the API on top. */
static void load_local(struct flagsync *f)
{
    json_t *truth = read_document(f->bootstrap), *changed = stored(f, f->kind_flag), *value;
    json_t *meta = stored(f, f->kind_meta), *flags;
    const char *key, *source = truth ? "bootstrap" : "none";

    if (!truth)
        truth = json_pack("{s:{},s:{},s:{},s:{},s:s}", "flags", "evaluators", "metadata",
                          "overrides", "epoch", "");
    flags = json_object_get(truth, "flags");
    json_object_foreach(changed, key, value)
    {
        if (json_is_null(value))
            json_object_del(flags, key);
        else
            json_object_set(flags, key, value);
        source = "api";
    }
    value = json_object_get(meta, "version");
    json_object_set_new(truth, "version", json_integer(json_integer_value(value)));
    set_truth(f, truth, source);
    json_decref(changed);
    json_decref(meta);
}

static MUST_CHECK int store_json(struct flagsync *f, const char *kind, const char *key,
                                 const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    int rc = store_put(f->store, kind, key, str_of(text));

    xfree(text);
    return rc;
}

/* ---- with Redis ---- */

static void on_redis_up(void *arg)
{
    struct flagsync *f = CAST(flagsync, FLAGSYNC_MAGIC, arg);

    emit(f, "redis.up", "Redis is there, flags follow it", NULL);
    push_local(f);
}

static void on_redis_down(void *arg, const char *why)
{
    struct flagsync *f = CAST(flagsync, FLAGSYNC_MAGIC, arg);
    struct flag_change *c;
    char text[256];

    STAILQ_FOREACH (c, &f->changes, link) {
        if (c->state == CHANGE_WRITTEN)
            end_change(c, FLAGSYNC_UNAVAILABLE,
                       "stored, but Redis was lost before it came back");
    }
    snprintf(text, sizeof(text), "Redis is away (%s), the flags stay as they are", why);
    log_warn("flags: %s", text);
    emit(f, "redis.down", text, NULL);
}

static void on_confirmed(void *arg)
{
    struct flagsync *f = CAST(flagsync, FLAGSYNC_MAGIC, arg);

    f->confirmed_ms = loop_now_ms(f->loop);
    f->regressed = false;
    retry_collided(f);
    push_local(f);
}

static void on_regressed(void *arg)
{
    struct flagsync *f = CAST(flagsync, FLAGSYNC_MAGIC, arg);

    if (!f->regressed)
        log_error("flags: Redis has an older version than is served: a replica that fell "
                  "behind? The served set stays");
    f->regressed = true;
    retry_collided(f);
}

/* Flushed, or never written: what is served stays. */
static void on_empty(void *arg)
{
    retry_collided(CAST(flagsync, FLAGSYNC_MAGIC, arg));
}

/* What Redis has is in the set now: this node need not add it any more. */
static void forget_pushed(struct flagsync *f, uint64_t version)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(f->pushed, next, key, value)
    {
        if ((uint64_t)json_integer_value(value) > version)
            continue;
        if (store_delete(f->store, f->kind_override, key) < 0)
            log_error("flags: %s", store_message(f->store));
        json_object_del(f->local, key);
        json_object_del(f->pushed, key);
    }
}

static void on_snapshot(void *arg, json_t *set)
{
    struct flagsync *f = CAST(flagsync, FLAGSYNC_MAGIC, arg);
    const char *epoch = json_string_value(json_object_get(set, "epoch"));
    uint64_t version = (uint64_t)json_integer_value(json_object_get(set, "version"));
    bool other = strcmp(epoch, epoch_of(f)) != 0;

    if (other && epoch_of(f)[0] && json_object_size(json_object_get(set, "flags")) == 0) {
        log_error("flags: Redis has a new and empty set: the served one stays");
        return;
    }
    f->regressed = false;
    f->confirmed_ms = loop_now_ms(f->loop);
    set_truth(f, json_incref(set), "redis");
    flag_redis_known(f->redis, epoch, version);
    forget_pushed(f, version);
    serve(f);
    retry_collided(f);
    emit(f, "flags.changed", "a new set of flags came from Redis", NULL);
}

static const struct flag_redis_events redis_events = {on_redis_up,  on_redis_down, on_snapshot,
                                                      on_confirmed, on_regressed,  on_empty};

static void free_push(struct push *p)
{
    LIST_REMOVE(p, link);
    json_decref(p->value);
    xfree(p);
}

static void on_pushed(void *arg, enum flag_redis_outcome o, uint64_t version, const char *why)
{
    struct push *p = arg;
    struct flagsync *f = p->fs;

    if (o == FLAG_REDIS_DONE && json_object_get(f->local, p->key) == p->value)
        json_object_set_new(f->pushed, p->key, json_integer((json_int_t)version));
    else if (o == FLAG_REDIS_FAILED) {
        json_object_del(f->pushed, p->key);
        log_warn("flags: the override of %s is not in Redis yet: %s", p->key, why);
    } else {
        json_object_del(f->pushed, p->key);
    }
    free_push(p);
}

/* Hand what is local to Redis; what is on its way is marked by a version that never comes. */
static void push_local(struct flagsync *f)
{
    const char *key;
    json_t *value;

    if (!flag_redis_is_up(f->redis))
        return;
    json_object_foreach(f->local, key, value)
    {
        struct flag_redis_change c = {.key = key, .value = value, .any_version = true};
        struct push *p;

        if (json_object_get(f->pushed, key))
            continue;
        p = xcalloc(1, sizeof(*p) + strlen(key) + 1);
        p->fs = f;
        LIST_INSERT_HEAD(&f->pushes, p, link);
        p->value = json_incref(value);
        memcpy(p->key, key, strlen(key));
        c.op = json_is_null(value) ? FLAG_REDIS_UNOVR : FLAG_REDIS_OVR;
        c.by = json_string_value(json_object_get(value, "by"));
        c.why = json_string_value(json_object_get(value, "why"));
        json_object_set_new(f->pushed, key, json_integer(INT64_MAX));
        flag_redis_change(f->redis, &c, on_pushed, p);
    }
}

/* ---- life ---- */

static void open_redis(struct flagsync *f)
{
    char *why = NULL;

    if (!f->url.n)
        return;
    f->redis = flag_redis_open(f->loop, f->url, f->env, &redis_events, f, &why);
    if (!f->redis)
        log_error("flags: %s", why);
    else
        flag_redis_known(f->redis, epoch_of(f),
                         (uint64_t)json_integer_value(json_object_get(f->truth, "version")));
    xfree(why);
}

/* What there is without asking anybody. */
static void begin(struct flagsync *f)
{
    json_t *disk = f->env.n ? read_document(f->path) : NULL;
    bool usable = f->url.n && json_string_length(json_object_get(disk, "epoch")) > 0;

    if (!f->cells)
        f->cells = json_deep_copy(json_object_get(disk, "cells"));
    if (!f->cells)
        f->cells = json_object();
    f->local = stored(f, f->kind_override);
    f->pushed = json_object();
    if (usable)
        set_truth(f, json_incref(disk), "disk");
    else
        load_local(f);
    json_decref(disk);
    if (f->env.n && strcmp(json_string_value(json_object_get(f->truth, "source")), "none"))
        serve(f);
}

static void copy_conf(struct flagsync *f, const struct conf_flags *conf, struct str state_dir)
{
    arena_init(&f->arena, NULL, 0);
    f->env = arena_str(&f->arena, conf->enabled ? conf->env : STR_NONE);
    f->url = arena_str(&f->arena, conf->enabled ? conf->redis : STR_NONE);
    f->bootstrap = arena_str(&f->arena, conf->enabled ? conf->bootstrap : STR_NONE);
    f->path =
        arena_printf(&f->arena, "%.*s/flags-%.*s.json", STR_ARG(state_dir), STR_ARG(f->env));
    f->kind_flag = arena_printf(&f->arena, "flag.%.*s", STR_ARG(f->env)).p;
    f->kind_override = arena_printf(&f->arena, "flag_override.%.*s", STR_ARG(f->env)).p;
    f->kind_meta = arena_printf(&f->arena, "flag_meta.%.*s", STR_ARG(f->env)).p;
}

struct flagsync *flagsync_new(const struct flagsync_options *o)
{
    struct flagsync *f = xcalloc(1, sizeof(*f));

    MAGIC_SET(f, FLAGSYNC_MAGIC);
    f->loop = o->loop;
    f->store = o->store;
    f->hooks = o->hooks;
    f->sequence = o->sequence;
    f->confirmed_ms = loop_now_ms(f->loop);
    f->quarantined = json_object();
    STAILQ_INIT(&f->changes);
    copy_conf(f, o->conf, o->state_dir);
    begin(f);
    open_redis(f);
    return f;
}

/* Before another configuration, or none; the arena is the caller's. */
static void end(struct flagsync *f)
{
    struct flag_change *c;
    struct push *p;

    flag_redis_close(f->redis);
    f->redis = NULL;
    while ((p = LIST_FIRST(&f->pushes)) != NULL)
        free_push(p);
    STAILQ_FOREACH (c, &f->changes, link) {
        if (c->state < CHANGE_SERVED)
            end_change(c, FLAGSYNC_UNAVAILABLE, "the configuration of the flags changed");
    }
    json_decref(f->local);
    json_decref(f->pushed);
}

void flagsync_free(struct flagsync *f)
{
    struct publication *p;
    struct flag_change *c;

    if (!f)
        return;
    end(f);
    arena_release(&f->arena);
    while ((p = LIST_FIRST(&f->publications)) != NULL) {
        LIST_REMOVE(p, link);
        p->fs = NULL;
    }
    while ((c = STAILQ_FIRST(&f->changes)) != NULL) {
        STAILQ_REMOVE_HEAD(&f->changes, link);
        free_change(c);
    }
    loop_unpost(f->loop, &f->tell);
    json_decref(f->truth);
    json_decref(f->served);
    json_decref(f->cells);
    json_decref(f->quarantined);
    flagset_unref(f->set);
    f->magic = 0;
    xfree(f);
}

void flagsync_configure(struct flagsync *f, const struct conf_flags *conf)
{
    struct str none = STR_NONE, dir = f->path;
    const char *slash = memrchr(dir.p, '/', dir.n);
    struct arena old;

    if (str_eq(f->env, conf->enabled ? conf->env : none) &&
        str_eq(f->url, conf->enabled ? conf->redis : none) &&
        str_eq(f->bootstrap, conf->enabled ? conf->bootstrap : none))
        return;
    dir.n = (size_t)(slash - dir.p);
    old = f->arena; /* DIR lives there */
    end(f);
    copy_conf(f, conf, dir);
    arena_release(&old);
    begin(f);
    open_redis(f);
}

void flagsync_status(const struct flagsync *f, struct flagsync_status *s)
{
    const char *source = json_string_value(json_object_get(f->truth, "source"));
    uint64_t now = loop_now_ms(f->loop);

    *s = (struct flagsync_status){
        .source = f->set ? source : "none",
        .env = f->env,
        .epoch = str_of(epoch_of(f)),
        .version = (uint64_t)json_integer_value(json_object_get(f->truth, "version")),
        .sequence = f->sequence,
        .redis = !f->url.n                    ? FLAGSYNC_REDIS_OFF
                 : flag_redis_is_up(f->redis) ? FLAGSYNC_REDIS_UP
                                              : FLAGSYNC_REDIS_DOWN,
        .stale_ms = f->url.n && now > f->confirmed_ms ? now - f->confirmed_ms : 0,
        .quarantined = f->quarantined,
        .version_regressed = f->regressed,
    };
}

struct flagset *flagsync_set(const struct flagsync *f)
{
    return f->set;
}

const struct json_t *flagsync_document(const struct flagsync *f)
{
    return f->served;
}

const struct json_t *flagsync_flag(const struct flagsync *f, const char *key)
{
    return json_object_get(json_object_get(f->served, "flags"), key);
}

const struct json_t *flagsync_override(const struct flagsync *f, const char *key)
{
    return json_object_get(json_object_get(f->served, "overrides"), key);
}

/* ---- changes ---- */

char *flagsync_objection(const struct flagsync *f, const char *key, const json_t *flag)
{
    json_t *doc = json_pack("{s:i,s:{s:O},s:O?}", "format", FLAGSET_FORMAT, "flags", key, flag,
                            "evaluators", json_object_get(f->truth, "evaluators"));
    struct flagset *set;
    struct str bad;
    char *text, *why = NULL;

    if (!doc)
        return xstrdup("not a flag");
    set = compile(doc, &text);
    bad = set ? flagset_quarantine(set, 0) : STR("not a flag");
    if (bad.n)
        why = xstrndup(bad.p, bad.n);
    flagset_unref(set);
    xfree(text);
    json_decref(doc);
    return why;
}

/* The store takes the change, the set is built again. */
static void change_local(struct flag_change *c)
{
    struct flagsync *f = c->fs;
    json_t *value = c->flag ? json_incref(c->flag) : json_null();
    json_int_t version = json_integer_value(json_object_get(f->truth, "version")) + 1;
    json_t *number = json_integer(version);

    if (store_begin(f->store) == 0 && store_json(f, f->kind_flag, c->key, value) == 0 &&
        store_json(f, f->kind_meta, "version", number) == 0 && store_commit(f->store) == 0) {
        load_local(f);
        c->version = (uint64_t)version;
        c->state = CHANGE_WRITTEN;
        serve(f);
        emit(f, "flags.changed", c->flag ? "a flag was put" : "a flag was deleted", NULL);
    } else {
        end_change(c, FLAGSYNC_UNAVAILABLE, store_message(f->store));
        store_rollback(f->store);
    }
    json_decref(number);
    json_decref(value);
}

static void change_redis(struct flag_change *c, bool seed);

static void on_change_written(void *arg, enum flag_redis_outcome o, uint64_t version,
                              const char *why)
{
    struct flag_change *c = arg;

    switch (o) {
    case FLAG_REDIS_DONE:
        c->version = version;
        c->state = CHANGE_WRITTEN;
        flag_redis_refresh(c->fs->redis);
        return;
    case FLAG_REDIS_EMPTY: /* the first change of an environment brings the whole set */
        change_redis(c, true);
        return;
    case FLAG_REDIS_CONFLICT:
        c->state = CHANGE_COLLIDED;
        flag_redis_refresh(c->fs->redis);
        return;
    case FLAG_REDIS_FAILED:
        end_change(c, FLAGSYNC_UNAVAILABLE, why);
    }
}

static void change_redis(struct flag_change *c, bool seed)
{
    struct flag_redis_change change = {
        .op = c->flag ? FLAG_REDIS_SET : FLAG_REDIS_DEL,
        .key = c->key,
        .value = c->flag,
        .seed = !seed           ? NULL
                : c->fs->served ? c->fs->served
                                : c->fs->truth,
        .by = c->by,
        .why = c->reason,
    };

    flag_redis_change(c->fs->redis, &change, on_change_written, c);
}

/*
 * Redis compares the version of the whole set; who changed another flag is no conflict. Called
 * when Redis has been looked at: those whose flag is still the same are sent again.
 */
static void retry_collided(struct flagsync *f)
{
    struct flag_change *c;

    STAILQ_FOREACH (c, &f->changes, link) {
        json_t *now = (json_t *)flagsync_flag(f, c->key);

        if (c->state != CHANGE_COLLIDED)
            continue;
        if (++c->collisions > COLLISIONS_MAX || !now != !c->before ||
            (now && !json_equal(now, c->before))) {
            end_change(c, FLAGSYNC_CONFLICT, "somebody else changed the flag");
        } else {
            c->state = CHANGE_WRITING;
            change_redis(c, false);
        }
    }
}

static void start_change(struct flag_change *c)
{
    c->before = json_incref((json_t *)flagsync_flag(c->fs, c->key));
    audit(c->fs, c, c->flag ? "flag.put" : "flag.delete", c->flag);
    if (!c->fs->env.n)
        end_change(c, FLAGSYNC_UNAVAILABLE, "flags are not configured");
    else if (!c->fs->url.n)
        change_local(c);
    else if (!flag_redis_is_up(c->fs->redis))
        end_change(c, FLAGSYNC_UNAVAILABLE, "Redis is away");
    else
        change_redis(c, false);
}

void flagsync_put(struct flagsync *f, const char *key, const struct json_t *flag,
                  struct flagsync_who who, flagsync_cb *done, void *arg)
{
    struct flag_change *c = new_change(f, key, who, done, arg);
    char *why = flagsync_objection(f, key, flag);

    c->flag = json_incref((json_t *)flag);
    if (why)
        end_change(c, FLAGSYNC_REFUSED, why);
    else
        start_change(c);
    xfree(why);
}

void flagsync_delete(struct flagsync *f, const char *key, struct flagsync_who who,
                     flagsync_cb *done, void *arg)
{
    struct flag_change *c = new_change(f, key, who, done, arg);

    if (!flagsync_flag(f, key))
        end_change(c, FLAGSYNC_REFUSED, "no such flag");
    else
        start_change(c);
}

/* VALUE (stolen): the override, or null. Live at once; Redis learns it when it can. */
static void override(struct flag_change *c, json_t *value, const char *event)
{
    struct flagsync *f = c->fs;
    char text[1200];

    audit(f, c, event, value);
    if (store_json(f, f->kind_override, c->key, value) != 0)
        log_error("flags: the override of %s will not survive a restart: %s", c->key,
                  store_message(f->store));
    snprintf(text, sizeof(text), "%s: %s", c->key,
             json_is_null(value) ? "follows its rule again" : "is overridden");
    json_object_set(f->local, c->key, value);
    json_object_del(f->pushed, c->key);
    c->state = CHANGE_WRITTEN;
    serve(f);
    emit(f, event, text, json_is_null(value) ? NULL : value);
    push_local(f);
    json_decref(value);
}

void flagsync_kill(struct flagsync *f, const char *key, const char *variant, uint64_t until,
                   struct flagsync_who who, flagsync_cb *done, void *arg)
{
    struct flag_change *c = new_change(f, key, who, done, arg);
    const json_t *flag = flagsync_flag(f, key);
    json_t *o;

    if (!flag) {
        end_change(c, FLAGSYNC_REFUSED, "no such flag");
        return;
    }
    if (!json_object_get(json_object_get(flag, "variants"), variant)) {
        end_change(c, FLAGSYNC_REFUSED, "the flag has no such variant");
        return;
    }
    o = json_pack("{s:s,s:s,s:s}", "variant", variant, "by", c->by, "why", c->reason);
    if (until)
        json_object_set_new(o, "until", json_integer((json_int_t)until));
    override(c, o, "flag.killed");
}

void flagsync_restore(struct flagsync *f, const char *key, struct flagsync_who who,
                      flagsync_cb *done, void *arg)
{
    struct flag_change *c = new_change(f, key, who, done, arg);

    if (!flagsync_flag(f, key))
        end_change(c, FLAGSYNC_REFUSED, "no such flag");
    else
        override(c, json_null(), "flag.restored");
}
