/* flag_override.c - overrides on their way to Redis. */
#include "control/engine/flag_override.h"

#include "control/store/store.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"

#include <jansson.h>

struct flag_push { /* waits for the answer of Redis */
    LIST_ENTRY(flag_push) link;
    struct flag_overrides *all;
    json_t *value;
    char key[];
};

static void free_push(struct flag_push *p)
{
    LIST_REMOVE(p, link);
    json_decref(p->value);
    xfree(p);
}

void flag_overrides_init(struct flag_overrides *o, const struct flag_local *stored)
{
    *o = (struct flag_overrides){.stored = stored};
    o->local = flag_local_overrides(stored);
    o->pushed = json_object();
}

void flag_overrides_release(struct flag_overrides *o)
{
    struct flag_push *p;

    while ((p = LIST_FIRST(&o->pushes)) != NULL)
        free_push(p);
    json_decref(o->local);
    json_decref(o->pushed);
}

void flag_overrides_set(struct flag_overrides *o, const char *key, const json_t *override)
{
    if (flag_local_override(o->stored, key, override) != 0)
        log_error("flags: the override of %s will not survive a restart: %s", key,
                  store_message(o->stored->store));
    json_object_set(o->local, key, (json_t *) override);
    json_object_del(o->pushed, key);
}

static void on_pushed(void *arg, enum flag_redis_outcome outcome, uint64_t version,
                      const char *why)
{
    struct flag_push *p = arg;
    struct flag_overrides *o = p->all;
    bool newest = json_object_get(o->local, p->key) == p->value;

    if (outcome == FLAG_REDIS_DONE && newest) {
        json_object_set_new(o->pushed, p->key, json_integer((json_int_t)version));
    } else {
        json_object_del(o->pushed, p->key);
        if (outcome == FLAG_REDIS_FAILED)
            log_warn("flags: the override of %s is not in Redis yet: %s", p->key, why);
    }
    free_push(p);
}

/* What is on its way is marked by a version that never comes. */
static void push_one(struct flag_overrides *o, struct flag_redis *redis, const char *key,
                     json_t *value)
{
    struct flag_push *p = xcalloc(1, sizeof(*p) + strlen(key) + 1);
    json_t *one = json_pack("{s:O}", key, value);
    struct flag_redis_change c = {
        .overrides = one,
        .any_version = true,
        .by = json_string_value(json_object_get(value, "by")),
        .why = json_string_value(json_object_get(value, "why")),
    };

    p->all = o;
    p->value = json_incref(value);
    memcpy(p->key, key, strlen(key));
    LIST_INSERT_HEAD(&o->pushes, p, link);
    json_object_set_new(o->pushed, key, json_integer(INT64_MAX));
    flag_redis_change(redis, &c, on_pushed, p);
    json_decref(one);
}

void flag_overrides_push(struct flag_overrides *o, struct flag_redis *redis)
{
    const char *key;
    json_t *value;

    if (!flag_redis_is_up(redis))
        return;
    json_object_foreach(o->local, key, value)
    {
        if (!json_object_get(o->pushed, key))
            push_one(o, redis, key, value);
    }
}

void flag_overrides_arrived(struct flag_overrides *o, uint64_t version)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(o->pushed, next, key, value)
    {
        if ((uint64_t)json_integer_value(value) > version)
            continue;
        flag_local_forget_override(o->stored, key);
        json_object_del(o->local, key);
        json_object_del(o->pushed, key);
    }
}
