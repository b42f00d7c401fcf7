/*
 * overlay.c - edits of a service's overlay document.
 *
 * A version is in "versions" (all its endpoints are listed there) or it is the file's (then
 * "endpoints" lists the differences), never both ways at once.
 */
#include "control/engine/overlay.h"

#include "proxy/base/stats.h"

#include <string.h>

json_t *overlay_new(void)
{
    return json_pack("{s:i}", "format", 1);
}

/* The member NAME of OBJ, an object; made when it is missing. */
static json_t *child(json_t *obj, const char *name)
{
    json_t *c = json_object_get(obj, name);

    if (!json_is_object(c)) {
        c = json_object();
        json_object_set_new(obj, name, c);
    }
    return c;
}

static void forget(json_t *doc, const char *group, const char *version)
{
    json_object_del(json_object_get(doc, group), version);
}

void overlay_set_weights(json_t *doc, const json_t *weights, const char *origin)
{
    json_object_set_new(doc, "weights", json_deep_copy(weights));
    json_object_set_new(doc, "origin", json_string(origin));
}

void overlay_set_undo(json_t *doc, const json_t *weights)
{
    json_object_set_new(doc, "undo", json_deep_copy(weights));
}

const json_t *overlay_undo(const json_t *doc)
{
    return json_object_get(doc, "undo");
}

void overlay_set_rollout(json_t *doc, const char *id)
{
    if (id)
        json_object_set_new(doc, "rollout", json_string(id));
    else
        json_object_del(doc, "rollout");
    if (!id)
        json_object_del(doc, "judging");
}

void overlay_set_judging(json_t *doc, json_t *judging)
{
    json_object_set_new(doc, "judging", judging);
}

void overlay_judging(const json_t *doc, struct conf_judging *out)
{
    const json_t *j = json_object_get(doc, "judging");
    json_int_t table = json_integer_value(json_object_get(j, "table"));
    json_int_t epoch = json_integer_value(json_object_get(j, "epoch"));
    json_int_t warmup = json_integer_value(json_object_get(j, "warmup_ms"));

    *out = (struct conf_judging){0};
    if (!j || table < 0 || table > STATS_CLIENT_TABLES || epoch < 0 || warmup < 0)
        return;
    *out = (struct conf_judging){.on = true,
                                 .once = json_is_true(json_object_get(j, "once")),
                                 .table = (uint32_t)table,
                                 .epoch = (uint64_t)epoch,
                                 .warmup_ms = (uint64_t)warmup};
}

void overlay_put_version(json_t *doc, const char *version, const json_t *endpoints,
                         const json_t *labels)
{
    json_t *v = json_object();

    json_object_set_new(v, "endpoints", json_deep_copy(endpoints));
    json_object_set_new(v, "labels", labels ? json_deep_copy(labels) : json_object());
    json_object_set_new(child(doc, "versions"), version, v);
    forget(doc, "removed", version);
    forget(doc, "endpoints", version);
    forget(doc, "drain", version);
}

void overlay_remove_version(json_t *doc, const char *version)
{
    forget(doc, "versions", version);
    forget(doc, "endpoints", version);
    forget(doc, "drain", version);
    forget(doc, "ages", version);
    forget(doc, "weights", version);
    forget(doc, "undo", version);
    json_object_set_new(child(doc, "removed"), version, json_true());
}

/* The endpoint list of VERSION when it is registered here, else NULL. */
static json_t *own_endpoints(json_t *doc, const char *version)
{
    json_t *v = json_object_get(json_object_get(doc, "versions"), version);

    return json_object_get(v, "endpoints");
}

static long find_text(const json_t *array, const char *text)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *have = json_string_value(json_array_get(array, i));
        if (have && strcmp(have, text) == 0)
            return (long)i;
    }
    return -1;
}

void overlay_put_endpoint(json_t *doc, const char *version, const char *address)
{
    json_t *own = own_endpoints(doc, version);

    if (!own) {
        json_object_set_new(child(child(doc, "endpoints"), version), address,
                            json_string("added"));
        return;
    }
    if (find_text(own, address) < 0)
        json_array_append_new(own, json_string(address));
}

void overlay_remove_endpoint(json_t *doc, const char *version, const char *address)
{
    json_t *own = own_endpoints(doc, version);

    overlay_set_drain(doc, version, address, NULL);
    if (!own) {
        json_object_set_new(child(child(doc, "endpoints"), version), address,
                            json_string("removed"));
        return;
    }
    long at = find_text(own, address);
    if (at >= 0)
        json_array_remove(own, (size_t)at);
}

void overlay_set_drain(json_t *doc, const char *version, const char *address, const char *by)
{
    if (by)
        json_object_set_new(child(child(doc, "drain"), version), address, json_string(by));
    else
        json_object_del(json_object_get(json_object_get(doc, "drain"), version), address);
}

const char *overlay_drained_by(const json_t *doc, const char *version, const char *address)
{
    const json_t *drain = json_object_get(json_object_get(doc, "drain"), version);

    return json_string_value(json_object_get(drain, address));
}

void overlay_lift_drain(json_t *doc, const char *version)
{
    json_t *drain = json_object_get(json_object_get(doc, "drain"), version), *by;
    const char *address;
    void *next;

    json_object_foreach_safe(drain, next, address, by)
    {
        const char *who = json_string_value(by);
        if (who && strcmp(who, "rollout") == 0)
            json_object_del(drain, address);
    }
}
