/*
 * flagsync.c - the set of flags that is served, and changes of it.
 *
 * `truth` is the set as its source has it (Redis, disk, bootstrap file and store). What is
 * served is truth, with the last good definition in place of bad ones and with the overrides
 * that this node has not handed to Redis yet. Every set that is served has a number, and a
 * change is done when the number that contains it is live on all workers.
 */
#include "control/engine/flagsync.h"

#include "control/engine/flag_change.h"
#include "control/engine/flag_override.h"
#include "control/engine/flag_served.h"
#include "control/store/store.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/loop.h"
#include "proxy/event/tls_client.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define FLAGSYNC_MAGIC 0x464c5359u /* FLSY */
#define COLLISIONS_MAX 5           /* with changes of other flags, before a change gives up */

struct publication { /* lives until the workers have answered; fs NULL: nobody cares */
    LIST_ENTRY(publication) link;
    struct flagsync *fs;
    uint64_t sequence;
};

struct flagsync { /* owned by the engine */
    uint32_t magic;
    struct loop *loop;
    struct store *store; /* borrowed */
    struct flagsync_hooks hooks;
    struct arena arena; /* of the configuration's text */
    struct str env, url, bootstrap, path;
    struct flag_local stored; /* the part of the state that is in the store */

    json_t *truth; /* a flag-set document without number and cells */
    struct flag_overrides overrides;
    struct flag_served served;

    struct tls_client *tls; /* outlives redis */
    struct flag_redis *redis;
    uint64_t confirmed_ms; /* loop time when Redis last had the served set */
    bool regressed;

    struct flag_changes changes;
    LIST_HEAD(, publication) publications;
};

static void retry_collided(struct flagsync *f);

/* ---- what is told ---- */

static void emit(struct flagsync *f, const char *type, const char *message, const json_t *data)
{
    if (f->hooks.event)
        f->hooks.event(f->hooks.arg, type, message, data);
}

static uint64_t truth_version(const struct flagsync *f)
{
    return (uint64_t)json_integer_value(json_object_get(f->truth, "version"));
}

static void audit(struct flagsync *f, const struct flag_change *c, const char *what,
                  const char *key, const json_t *after)
{
    char *text = after ? json_dumps(after, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    const json_t *now = flagsync_flag(f, key);
    char *before = now ? json_dumps(now, JSON_COMPACT) : NULL;
    char *deed = xasprintf("%s %s", what, key);
    struct store_audit rec = {
        .ts_ms = loop_wall_ms(f->loop),
        .who = str_of(c->by),
        .what = str_of(deed),
        .why = str_of(c->reason),
        .before = str_of(before),
        .after = str_of(text),
    };

    if (store_audit_append(f->store, &rec) != 0)
        log_error("flags: audit: %s", store_message(f->store));
    xfree(before);
    xfree(deed);
    xfree(text);
}

/* ---- serving ---- */

static void save(struct flagsync *f)
{
    char *text = json_dumps(f->served.doc, JSON_COMPACT);

    if (sys_write_file(f->path.p, str_of(text), 0600) != 0)
        log_warn("flags: %s: %s", f->path.p, strerror(errno));
    xfree(text);
}

static void on_published(void *arg, const char *error)
{
    struct publication *p = arg;
    struct flagsync *f = p->fs;

    if (f) {
        LIST_REMOVE(p, link);
        if (p->sequence == f->served.sequence)
            save(f);
        flag_changes_live(&f->changes, p->sequence, error);
    }
    xfree(p);
}

static void publish(struct flagsync *f, struct str doc)
{
    struct publication *p = xcalloc(1, sizeof(*p));

    p->fs = f;
    p->sequence = f->served.sequence;
    LIST_INSERT_HEAD(&f->publications, p, link);
    f->hooks.publish(f->hooks.arg, f->served.sequence, doc, on_published, p);
}

/* Serve what truth and local changes give; changes that are in it wait for its number. */
static void serve(struct flagsync *f)
{
    char *text = flag_served_build(&f->served, f->truth, f->overrides.local, f->env);

    if (text) {
        flag_changes_served(&f->changes, truth_version(f), f->served.sequence);
        publish(f, str_of(text));
    }
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

/* The set of this node: bootstrap file and store. */
static void load_local(struct flagsync *f)
{
    const char *source;
    json_t *truth = flag_local_set(&f->stored, f->bootstrap, &source);

    set_truth(f, truth, source);
}

/* ---- with Redis ---- */

static void on_redis_up(void *arg)
{
    struct flagsync *f = CAST(flagsync, FLAGSYNC_MAGIC, arg);

    emit(f, "redis.up", "Redis is there, flags follow it", NULL);
    flag_overrides_push(&f->overrides, f->redis);
}

static void on_redis_down(void *arg, const char *why)
{
    struct flagsync *f = CAST(flagsync, FLAGSYNC_MAGIC, arg);
    char text[256];

    flag_changes_give_up(&f->changes, CHANGE_WRITTEN,
                         "stored, but Redis was lost before it came back");
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
    flag_overrides_push(&f->overrides, f->redis);
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
    flag_overrides_arrived(&f->overrides, version);
    serve(f);
    retry_collided(f);
    emit(f, "flags.changed", "a new set of flags came from Redis", NULL);
}

static const struct flag_redis_events redis_events = {on_redis_up,  on_redis_down, on_snapshot,
                                                      on_confirmed, on_regressed,  on_empty};

/* ---- life ---- */

static void open_redis(struct flagsync *f)
{
    char *why = NULL;

    if (!f->url.n)
        return;
    f->redis = flag_redis_open(f->loop, f->url, f->env, f->tls, &redis_events, f, &why);
    if (!f->redis)
        log_error("flags: %s", why);
    else
        flag_redis_known(f->redis, epoch_of(f), truth_version(f));
    xfree(why);
}

/* What there is without asking anybody. */
static void begin(struct flagsync *f)
{
    json_t *disk = f->env.n ? flag_local_read(f->path) : NULL;
    bool usable = f->url.n && json_string_length(json_object_get(disk, "epoch")) > 0;

    flag_served_adopt_cells(&f->served, json_object_get(disk, "cells"));
    flag_overrides_init(&f->overrides, &f->stored);
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
    flag_local_init(&f->stored, f->store, f->env, &f->arena);
}

struct flagsync *flagsync_new(const struct flagsync_options *o)
{
    struct flagsync *f = xcalloc(1, sizeof(*f));

    MAGIC_SET(f, FLAGSYNC_MAGIC);
    f->loop = o->loop;
    f->store = o->store;
    f->hooks = o->hooks;
    f->tls = tls_client_new(STR("Redis"));
    f->confirmed_ms = loop_now_ms(f->loop);
    flag_served_init(&f->served, o->sequence);
    flag_changes_init(&f->changes, f->loop, f);
    copy_conf(f, o->conf, o->state_dir);
    begin(f);
    open_redis(f);
    return f;
}

/* Before another configuration, or none; the arena is the caller's. */
static void end(struct flagsync *f)
{
    flag_redis_close(f->redis);
    f->redis = NULL;
    flag_changes_give_up(&f->changes, CHANGE_WRITING, "the configuration of the flags changed");
    flag_overrides_release(&f->overrides);
}

void flagsync_free(struct flagsync *f)
{
    struct publication *p;

    if (!f)
        return;
    end(f);
    arena_release(&f->arena);
    while ((p = LIST_FIRST(&f->publications)) != NULL) {
        LIST_REMOVE(p, link);
        p->fs = NULL;
    }
    flag_changes_release(&f->changes);
    flag_served_release(&f->served);
    json_decref(f->truth);
    tls_client_free(f->tls);
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

void flagsync_tls(struct flagsync *f, const struct tls_upstream_spec *spec)
{
    uint64_t before = tls_client_epoch(f->tls);
    struct tls_fault why;

    if (!spec)
        return;
    if (!tls_client_set(f->tls, spec, &why))
        log_error("flags: TLS to Redis: %s", why.text);
    else if (f->redis && before && tls_client_epoch(f->tls) != before)
        flag_redis_reconnect(f->redis);
}

void flagsync_status(const struct flagsync *f, struct flagsync_status *s)
{
    const char *source = json_string_value(json_object_get(f->truth, "source"));
    uint64_t now = loop_now_ms(f->loop);

    *s = (struct flagsync_status){
        .source = f->served.set ? source : "none",
        .env = f->env,
        .epoch = str_of(epoch_of(f)),
        .version = truth_version(f),
        .sequence = f->served.sequence,
        .redis = !f->url.n                    ? FLAGSYNC_REDIS_OFF
                 : flag_redis_is_up(f->redis) ? FLAGSYNC_REDIS_UP
                                              : FLAGSYNC_REDIS_DOWN,
        .stale_ms = f->url.n && now > f->confirmed_ms ? now - f->confirmed_ms : 0,
        .quarantined = f->served.bad,
        .version_regressed = f->regressed,
    };
}

struct flagset *flagsync_set(const struct flagsync *f)
{
    return f->served.set;
}

const struct json_t *flagsync_document(const struct flagsync *f)
{
    return f->served.doc;
}

const struct json_t *flagsync_flag(const struct flagsync *f, const char *key)
{
    return json_object_get(json_object_get(f->served.doc, "flags"), key);
}

const struct json_t *flagsync_override(const struct flagsync *f, const char *key)
{
    return json_object_get(json_object_get(f->served.doc, "overrides"), key);
}

/* ---- changes ---- */

char *flagsync_objection(const struct flagsync *f, const json_t *flags)
{
    const char *key;
    json_t *flag;

    if (json_object_size(flags) > FLAGSYNC_BATCH)
        return xasprintf("more than %d flags at once", FLAGSYNC_BATCH);
    json_object_foreach((json_t *)flags, key, flag)
    {
        if (json_is_null(flag) && !flagsync_flag(f, key))
            return xasprintf("no such flag: %s", key);
    }
    return flag_served_objection(&f->served, flags, json_object_get(f->truth, "evaluators"));
}

/* The store takes the change, the set is built again. */
static void change_local(struct flag_change *c)
{
    struct flagsync *f = c->list->owner;

    if (flag_local_put(&f->stored, c->flags, truth_version(f) + 1) != 0) {
        flag_change_end(c, FLAGSYNC_UNAVAILABLE, store_message(f->store));
        return;
    }
    load_local(f);
    c->version = truth_version(f);
    c->state = CHANGE_WRITTEN;
    serve(f);
    emit(f, "flags.changed", "flags were changed", NULL);
}

static void change_redis(struct flag_change *c, bool seed);

static void on_change_written(void *arg, enum flag_redis_outcome o, uint64_t version,
                              const char *why)
{
    struct flag_change *c = arg;
    struct flagsync *f = c->list->owner;

    switch (o) {
    case FLAG_REDIS_DONE:
        c->version = version;
        c->state = CHANGE_WRITTEN;
        flag_redis_refresh(f->redis);
        return;
    case FLAG_REDIS_EMPTY: /* the first change of an environment brings the whole set */
        change_redis(c, true);
        return;
    case FLAG_REDIS_CONFLICT:
        c->state = CHANGE_COLLIDED;
        flag_redis_refresh(f->redis);
        return;
    case FLAG_REDIS_FAILED:
        flag_change_end(c, FLAGSYNC_UNAVAILABLE, why);
    }
}

static void change_redis(struct flag_change *c, bool seed)
{
    struct flagsync *f = c->list->owner;
    struct flag_redis_change change = {
        .flags = c->flags,
        .seed = !seed           ? NULL
                : f->served.doc ? f->served.doc
                                : f->truth,
        .by = c->by,
        .why = c->reason,
    };

    flag_redis_change(f->redis, &change, on_change_written, c);
}

/* Those of FLAGS that are served, as they are served. */
static json_t *served_of(const struct flagsync *f, const json_t *flags)
{
    json_t *all = json_object(), *value;
    const char *key;

    json_object_foreach((json_t *)flags, key, value)
    {
        json_object_set(all, key, (json_t *)flagsync_flag(f, key)); /* NULL: not set */
    }
    return all;
}

static bool unchanged(const struct flagsync *f, const struct flag_change *c)
{
    json_t *now = served_of(f, c->flags);
    bool same = json_equal(now, c->before);

    json_decref(now);
    return same;
}

/*
 * Redis compares the version of the whole set; who changed another flag is no conflict. Called
 * when Redis has been looked at: those whose flags are still the same are sent again.
 */
static void retry_collided(struct flagsync *f)
{
    struct flag_change *c;

    STAILQ_FOREACH (c, &f->changes.list, link) {
        if (c->state != CHANGE_COLLIDED)
            continue;
        if (++c->collisions > COLLISIONS_MAX || !unchanged(f, c)) {
            flag_change_end(c, FLAGSYNC_CONFLICT, "somebody else changed the flag");
        } else {
            c->state = CHANGE_WRITING;
            change_redis(c, false);
        }
    }
}

static void start_change(struct flag_change *c)
{
    struct flagsync *f = c->list->owner;
    const char *key;
    json_t *flag;

    c->before = served_of(f, c->flags);
    json_object_foreach(c->flags, key, flag)
    {
        audit(f, c, json_is_null(flag) ? "flag.delete" : "flag.put", key,
              json_is_null(flag) ? NULL : flag);
    }
    if (!f->env.n)
        flag_change_end(c, FLAGSYNC_UNAVAILABLE, "flags are not configured");
    else if (!f->url.n)
        change_local(c);
    else if (!flag_redis_is_up(f->redis))
        flag_change_end(c, FLAGSYNC_UNAVAILABLE, "Redis is away");
    else
        change_redis(c, false);
}

void flagsync_publish(struct flagsync *f, const json_t *flags, struct flagsync_who who,
                      flagsync_cb *done, void *arg)
{
    struct flag_change *c = flag_change_new(&f->changes, who, done, arg);
    char *why = flagsync_objection(f, flags);

    c->flags = json_incref((json_t *)flags);
    if (why)
        flag_change_end(c, FLAGSYNC_REFUSED, why);
    else
        start_change(c);
    xfree(why);
}

static void publish_one(struct flagsync *f, const char *key, json_t *flag,
                        struct flagsync_who who, flagsync_cb *done, void *arg)
{
    json_t *flags = json_object();

    json_object_set_new(flags, key, flag);
    flagsync_publish(f, flags, who, done, arg);
    json_decref(flags);
}

void flagsync_put(struct flagsync *f, const char *key, const struct json_t *flag,
                  struct flagsync_who who, flagsync_cb *done, void *arg)
{
    publish_one(f, key, json_incref((json_t *)flag), who, done, arg);
}

void flagsync_split(struct flagsync *f, const char *key, const struct flag_share *shares,
                    size_t n, struct flagsync_who who, flagsync_cb *done, void *arg)
{
    const json_t *flag = flagsync_flag(f, key);
    char *why = NULL;
    json_t *with = flag ? flag_split(flag, shares, n, &why) : NULL;

    if (with)
        publish_one(f, key, with, who, done, arg);
    else
        flag_change_end(flag_change_new(&f->changes, who, done, arg), FLAGSYNC_REFUSED,
                        why ? why : "no such flag");
    xfree(why);
}

void flagsync_delete(struct flagsync *f, const char *key, struct flagsync_who who,
                     flagsync_cb *done, void *arg)
{
    publish_one(f, key, json_null(), who, done, arg);
}

/* VALUE (stolen): the override, or null. Live at once; Redis learns it when it can. */
static void override(struct flag_change *c, const char *key, json_t *value, const char *event)
{
    struct flagsync *f = c->list->owner;
    char text[1200];

    audit(f, c, event, key, value);
    snprintf(text, sizeof(text), "%s: %s", key,
             json_is_null(value) ? "follows its rule again" : "is overridden");
    flag_overrides_set(&f->overrides, key, value);
    c->state = CHANGE_WRITTEN;
    serve(f);
    emit(f, event, text, json_is_null(value) ? NULL : value);
    flag_overrides_push(&f->overrides, f->redis);
    json_decref(value);
}

void flagsync_kill(struct flagsync *f, const char *key, const struct flagsync_kill *k,
                   struct flagsync_who who, flagsync_cb *done, void *arg)
{
    struct flag_change *c = flag_change_new(&f->changes, who, done, arg);
    const json_t *flag = flagsync_flag(f, key);
    json_t *o;

    if (!flag) {
        flag_change_end(c, FLAGSYNC_REFUSED, "no such flag");
        return;
    }
    if (!json_object_get(json_object_get(flag, "variants"), k->variant)) {
        flag_change_end(c, FLAGSYNC_REFUSED, "the flag has no such variant");
        return;
    }
    o = json_pack("{s:s,s:s,s:s}", "variant", k->variant, "by", c->by, "why", c->reason);
    if (k->until)
        json_object_set_new(o, "until", json_integer((json_int_t)k->until));
    if (k->targets)
        json_object_set(o, "targets", (json_t *)k->targets);
    override(c, key, o, "flag.killed");
}

void flagsync_restore(struct flagsync *f, const char *key, struct flagsync_who who,
                      flagsync_cb *done, void *arg)
{
    struct flag_change *c = flag_change_new(&f->changes, who, done, arg);

    if (!flagsync_flag(f, key))
        flag_change_end(c, FLAGSYNC_REFUSED, "no such flag");
    else
        override(c, key, json_null(), "flag.restored");
}
