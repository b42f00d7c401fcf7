/*
 * flag_redis.c - the flag set in Redis.
 *
 * Two connections: one for commands, one that listens to the channel. At most one poll or load
 * is under way; a hint that comes meanwhile makes the next one start at once. Loads are at
 * least LOAD_GAP_MS apart, so that a burst of changes is one load.
 */
#include "control/engine/flag_redis.h"

#include "control/link/redis.h"
#include "proxy/base/arena.h"
#include "proxy/base/log.h"
#include "proxy/base/rng.h"
#include "proxy/base/vec.h"
#include "proxy/event/loop.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define FLAG_REDIS_MAGIC 0x464c5244u /* FLRD */
#define POLL_MS          2000
#define LOAD_GAP_MS      50
#define SEED_MAX         2000 /* flags of a set that is written at once */

struct change { /* waits for the script's answer */
    LIST_ENTRY(change) link;
    flag_redis_cb *cb;
    void *arg;
};

struct flag_redis { /* owned by flagsync */
    uint32_t magic;
    struct loop *loop;
    const struct flag_redis_events *events; /* borrowed */
    void *arg;
    struct redis *commands, *listener;
    struct arena arena; /* of the names below */
    struct str meta, flags, overrides, log, channel;
    char *epoch; /* known */
    uint64_t version;
    struct timer poll;
    bool busy, again; /* a poll or load is under way; look again after it */
    bool up, told_down;
    LIST_HEAD(, change) changes;
};

/*
 * KEYS: meta, flags, overrides, log. ARGV: expected epoch and version ("*": any), a new epoch
 * when Redis has to be empty (empty: it must not be), metadata and evaluators to go with it,
 * channel, by, why, then triples op, key, value. Answers {outcome, version}. All checks come
 * before the first write: scripts do not roll back.
 */
static const char script[] =
    "local epoch = redis.call('HGET', KEYS[1], 'epoch')\n"
    "local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')\n"
    "if not epoch and ARGV[3] == '' then return {'empty', 0} end\n"
    "local other = ARGV[2] ~= '*' and (ARGV[1] ~= epoch or tonumber(ARGV[2]) ~= version)\n"
    "if epoch and (other or ARGV[3] ~= '') then\n"
    "  return {'conflict', version}\n"
    "end\n"
    "if not epoch then\n"
    "  epoch = ARGV[3]\n"
    "  redis.call('HSET', KEYS[1], 'epoch', epoch, 'version', 0, 'schema', 1,\n"
    "    'bucketing', 'v2', 'metadata', ARGV[4], 'evaluators', ARGV[5])\n"
    "  redis.call('DEL', KEYS[2], KEYS[3])\n"
    "end\n"
    "version = redis.call('HINCRBY', KEYS[1], 'version', 1)\n"
    "local entry = {'v', version, 'epoch', epoch, 'by', ARGV[7], 'why', ARGV[8]}\n"
    "local few = #ARGV < 9 + 3 * 500\n"
    "for i = 9, #ARGV, 3 do\n"
    "  local op, key, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]\n"
    "  if op == 'set' then redis.call('HSET', KEYS[2], key, value)\n"
    "  elseif op == 'del' then redis.call('HDEL', KEYS[2], key)\n"
    "  elseif op == 'ovr' then redis.call('HSET', KEYS[3], key, value)\n"
    "  else redis.call('HDEL', KEYS[3], key) end\n"
    "  if few then\n"
    "    entry[#entry + 1] = op\n"
    "    entry[#entry + 1] = key\n"
    "    entry[#entry + 1] = 'to'\n"
    "    entry[#entry + 1] = value\n"
    "  end\n"
    "end\n"
    "redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', unpack(entry))\n"
    "redis.call('PUBLISH', ARGV[6], epoch .. ' ' .. version)\n"
    "return {'done', version}\n";

static void look(struct flag_redis *f);

/* ---- reading ---- */

static uint64_t number_of(struct str s)
{
    uint64_t n;

    return str_to_u64(s, INT64_MAX, &n) ? n : 0;
}

static struct str field_of(const struct resp *hash, const char *name)
{
    for (size_t i = 0; i + 1 < hash->nitems; i += 2) {
        if (str_eq(hash->items[i].s, str_of(name)))
            return hash->items[i + 1].s;
    }
    return STR_NONE;
}

/* The fields of HASH as JSON; what does not parse goes to BAD by its reason, if given. */
static json_t *parse_hash(const struct resp *hash, json_t *bad)
{
    json_t *all = json_object();

    for (size_t i = 0; i + 1 < hash->nitems; i += 2) {
        struct str key = hash->items[i].s, text = hash->items[i + 1].s;
        json_error_t error;
        json_t *value = json_loadb(text.n ? text.p : "", text.n, 0, &error);
        char *name = xstrndup(key.n ? key.p : "", key.n);

        if (value)
            json_object_set_new(all, name, value);
        else if (bad)
            json_object_set_new(bad, name, json_sprintf("not JSON: %s", error.text));
        xfree(name);
    }
    return all;
}

static json_t *parse_member(const struct resp *meta, const char *name)
{
    struct str text = field_of(meta, name);
    json_t *j = json_loadb(text.n ? text.p : "", text.n, 0, NULL);

    if (json_is_object(j))
        return j;
    json_decref(j);
    return json_object();
}

static json_t *parse_set(const struct resp *meta, const struct resp *flags,
                         const struct resp *overrides)
{
    struct str epoch = field_of(meta, "epoch");
    json_t *bad = json_object();
    json_t *parsed = parse_hash(flags, bad);

    return json_pack("{s:s%,s:I,s:o,s:o,s:o,s:o,s:o}", "epoch", epoch.p, epoch.n, "version",
                     (json_int_t)number_of(field_of(meta, "version")), "flags", parsed, "bad",
                     bad, "evaluators", parse_member(meta, "evaluators"), "metadata",
                     parse_member(meta, "metadata"), "overrides", parse_hash(overrides, NULL));
}

/* The poll or load is over: wait for the next one. */
static void finish_look(struct flag_redis *f)
{
    f->busy = false;
    timer_start(&f->poll, f->again ? LOAD_GAP_MS : POLL_MS);
    f->again = false;
}

static void on_snapshot(void *arg, const struct resp *r, const char *why)
{
    struct flag_redis *f = CAST(flag_redis, FLAG_REDIS_MAGIC, arg);
    json_t *set = NULL;

    finish_look(f);
    if (!r)
        return; /* the connection is lost: `down` is told by its own event */
    if (r->type != RESP_LIST || r->nitems != 3) {
        log_warn("flags: Redis answers a snapshot with %.*s", STR_ARG(r->s));
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        if (r->items[i].type != RESP_LIST) {
            log_warn("flags: Redis: %.*s", STR_ARG(r->items[i].s));
            return;
        }
    }
    (void)why;
    if (field_of(&r->items[0], "epoch").n && number_of(field_of(&r->items[0], "version")))
        set = parse_set(&r->items[0], &r->items[1], &r->items[2]);
    if (set)
        f->events->snapshot(f->arg, set);
    json_decref(set);
}

static void load(struct flag_redis *f)
{
    struct str multi = STR("MULTI"), exec = STR("EXEC");
    struct str hgetall[2] = {STR("HGETALL"), f->meta};

    redis_command(f->commands, 1, &multi, NULL, NULL);
    redis_command(f->commands, 2, hgetall, NULL, NULL);
    hgetall[1] = f->flags;
    redis_command(f->commands, 2, hgetall, NULL, NULL);
    hgetall[1] = f->overrides;
    redis_command(f->commands, 2, hgetall, NULL, NULL);
    redis_command(f->commands, 1, &exec, on_snapshot, f);
}

static void on_version(void *arg, const struct resp *r, const char *why)
{
    struct flag_redis *f = CAST(flag_redis, FLAG_REDIS_MAGIC, arg);
    bool known;
    uint64_t version;

    if (!r || r->type != RESP_LIST || r->nitems != 2) {
        if (r)
            log_warn("flags: Redis: %.*s", STR_ARG(r->s));
        finish_look(f);
        return;
    }
    (void)why;
    known = str_eq(r->items[0].s, str_of(f->epoch));
    version = number_of(r->items[1].s);
    if (r->items[0].s.n == 0 || version == 0) {
        finish_look(f);
        f->events->empty(f->arg);
    } else if (!known || version > f->version) {
        load(f);
    } else {
        finish_look(f);
        if (version == f->version)
            f->events->confirmed(f->arg);
        else
            f->events->regressed(f->arg);
    }
}

static void look(struct flag_redis *f)
{
    struct str hmget[4] = {STR("HMGET"), f->meta, STR("epoch"), STR("version")};

    if (!redis_is_up(f->commands))
        return;
    if (f->busy) {
        f->again = true;
        return;
    }
    f->busy = true;
    redis_command(f->commands, 4, hmget, on_version, f);
}

static void on_poll(void *arg)
{
    look(CAST(flag_redis, FLAG_REDIS_MAGIC, arg));
}

void flag_redis_refresh(struct flag_redis *f)
{
    if (f->busy)
        f->again = true;
    else
        timer_start(&f->poll, 0);
}

/* ---- connections ---- */

static void on_up(void *arg)
{
    struct flag_redis *f = CAST(flag_redis, FLAG_REDIS_MAGIC, arg);

    f->up = true;
    f->told_down = false;
    f->busy = f->again = false;
    look(f);
    f->events->up(f->arg);
}

static void on_down(void *arg, const char *why)
{
    struct flag_redis *f = CAST(flag_redis, FLAG_REDIS_MAGIC, arg);
    bool tell = f->up || !f->told_down;

    f->up = false;
    f->told_down = true;
    timer_stop(&f->poll);
    if (tell)
        f->events->down(f->arg, why);
}

/* Messages may have been missed before it listened: look. */
static void on_listening(void *arg)
{
    flag_redis_refresh(CAST(flag_redis, FLAG_REDIS_MAGIC, arg));
}

static void on_message(void *arg, struct str text)
{
    struct flag_redis *f = CAST(flag_redis, FLAG_REDIS_MAGIC, arg);

    (void)text; /* a hint, whatever it says */
    if (f->busy)
        f->again = true;
    else
        timer_start(&f->poll, LOAD_GAP_MS);
}

static const struct redis_events command_events = {on_up, on_down, NULL};
static const struct redis_events listener_events = {on_listening, NULL, on_message};

struct flag_redis *flag_redis_open(struct loop *l, struct str url, struct str env,
                                   struct tls_client *tls,
                                   const struct flag_redis_events *events, void *arg,
                                   char **why)
{
    struct flag_redis *f = xcalloc(1, sizeof(*f));
    struct redis_options o = {.url = url, .tls = tls};

    MAGIC_SET(f, FLAG_REDIS_MAGIC);
    f->loop = l;
    f->events = events;
    f->arg = arg;
    f->epoch = xstrdup("");
    arena_init(&f->arena, NULL, 0);
    f->meta = arena_printf(&f->arena, "{ff:%.*s}:meta", STR_ARG(env));
    f->flags = arena_printf(&f->arena, "{ff:%.*s}:flags", STR_ARG(env));
    f->overrides = arena_printf(&f->arena, "{ff:%.*s}:ovr", STR_ARG(env));
    f->log = arena_printf(&f->arena, "{ff:%.*s}:log", STR_ARG(env));
    f->channel = arena_printf(&f->arena, "{ff:%.*s}:changed", STR_ARG(env));
    timer_init(&f->poll, l, on_poll, f);
    f->commands = redis_open(l, &o, &command_events, f, why);
    o.channel = f->channel;
    if (f->commands)
        f->listener = redis_open(l, &o, &listener_events, f, why);
    if (f->listener)
        return f;
    flag_redis_close(f);
    return NULL;
}

void flag_redis_reconnect(struct flag_redis *f)
{
    redis_reconnect(f->commands, "TLS is set up anew");
    redis_reconnect(f->listener, "TLS is set up anew");
}

void flag_redis_close(struct flag_redis *f)
{
    struct change *c;

    if (!f)
        return;
    while ((c = LIST_FIRST(&f->changes)) != NULL) {
        LIST_REMOVE(c, link);
        xfree(c);
    }
    redis_close(f->commands);
    redis_close(f->listener);
    timer_stop(&f->poll);
    arena_release(&f->arena);
    xfree(f->epoch);
    f->magic = 0;
    xfree(f);
}

bool flag_redis_is_up(const struct flag_redis *f)
{
    return f && redis_is_up(f->commands);
}

void flag_redis_known(struct flag_redis *f, const char *epoch, uint64_t version)
{
    xfree(f->epoch);
    f->epoch = xstrdup(epoch);
    f->version = version;
}

/* ---- changing ---- */

struct words { /* of one EVAL */
    struct arena arena;
    VEC(struct str) list;
};

static void add(struct words *w, struct str s)
{
    *vec_add(&w->list) = arena_str(&w->arena, s);
}

static void add_json(struct words *w, const json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    add(w, str_of(text ? text : "{}"));
    xfree(text);
}

/* Each member of VALUES: SET its value, or UNSET when it is null. */
static void add_ops(struct words *w, const json_t *values, struct str set, struct str unset)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)values, key, value)
    {
        add(w, json_is_null(value) ? unset : set);
        add(w, str_of(key));
        add_json(w, value);
    }
}

static void add_changes(struct words *w, const json_t *flags, const json_t *overrides)
{
    add_ops(w, flags, STR("set"), STR("del"));
    add_ops(w, overrides, STR("ovr"), STR("unovr"));
}

/* ARGV 1 to 8. */
static void add_terms(struct words *w, const struct flag_redis *f,
                      const struct flag_redis_change *c)
{
    char text[32];
    uint64_t id;

    add(w, str_of(f->epoch));
    snprintf(text, sizeof(text), "%" PRIu64, f->version);
    add(w, c->any_version ? STR("*") : str_of(text));
    rng_secure(&id, sizeof(id));
    snprintf(text, sizeof(text), "%016" PRIx64, id);
    add(w, c->seed ? str_of(text) : STR(""));
    add_json(w, json_object_get(c->seed, "metadata"));
    add_json(w, json_object_get(c->seed, "evaluators"));
    add(w, f->channel);
    add(w, str_of(c->by ? c->by : ""));
    add(w, str_of(c->why ? c->why : ""));
}

static void on_changed(void *arg, const struct resp *r, const char *why)
{
    struct change *c = arg;
    bool list = r && r->type == RESP_LIST && r->nitems == 2 && r->items[1].type == RESP_INT;
    enum flag_redis_outcome o = FLAG_REDIS_FAILED;
    char reason[200] = "";

    if (!r)
        str_copy(reason, sizeof(reason), str_of(why));
    else if (!list)
        str_copy(reason, sizeof(reason), r->s);
    else if (str_eq(r->items[0].s, STR("done")))
        o = FLAG_REDIS_DONE;
    else
        o = str_eq(r->items[0].s, STR("empty")) ? FLAG_REDIS_EMPTY : FLAG_REDIS_CONFLICT;
    LIST_REMOVE(c, link);
    c->cb(c->arg, o, list ? (uint64_t)r->items[1].n : 0, reason);
    xfree(c);
}

void flag_redis_change(struct flag_redis *f, const struct flag_redis_change *c,
                       flag_redis_cb *cb, void *arg)
{
    struct change *wait = xmalloc(sizeof(*wait));
    struct words w = {.list = {0}};

    *wait = (struct change){.cb = cb, .arg = arg};
    LIST_INSERT_HEAD(&f->changes, wait, link);
    arena_init(&w.arena, NULL, 0);
    add(&w, STR("EVAL"));
    add(&w, str_of(script));
    add(&w, STR("4"));
    add(&w, f->meta);
    add(&w, f->flags);
    add(&w, f->overrides);
    add(&w, f->log);
    add_terms(&w, f, c);
    if (json_object_size(json_object_get(c->seed, "flags")) <= SEED_MAX)
        add_changes(&w, json_object_get(c->seed, "flags"),
                    json_object_get(c->seed, "overrides"));
    add_changes(&w, c->flags, c->overrides);
    redis_command(f->commands, w.list.n, w.list.v, on_changed, wait);
    vec_release(&w.list);
    arena_release(&w.arena);
}
