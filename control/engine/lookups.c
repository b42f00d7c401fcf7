/* lookups.c - names of endpoints: what is asked for, and what becomes of the answers. */
#include "control/engine/lookups.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/engine/events.h"
#include "control/engine/publish.h"
#include "control/engine/rollouts.h"
#include "proxy/base/clock.h"
#include "proxy/base/mem.h"
#include "proxy/base/vec.h"

#include <stdio.h>

static json_t *list_of(const struct dns_row *row)
{
    json_t *list = json_array();

    for (size_t i = 0; i < row->naddresses; i++)
        json_array_append_new(list,
                              json_pack("{s:s,s:i,s:i}", "address", row->addresses[i].text,
                                        "priority", (int)row->addresses[i].priority, "weight",
                                        (int)row->addresses[i].weight));
    return list;
}

static json_t *texts_of(const struct dns_row *row)
{
    json_t *list = json_array();

    for (size_t i = 0; i < row->naddresses; i++)
        json_array_append_new(list, json_string(row->addresses[i].text));
    return list;
}

static void tell(struct engine *e, const char *type, const struct dns_row *row, char *message,
                 const char *source)
{
    json_t *data = json_pack("{s:s,s:o,s:s}", "name", source, "addresses", texts_of(row),
                             "error", row->error);

    events_emit(e->events, (struct fact){type, NULL, NULL, message, data});
    json_decref(data);
    xfree(message);
}

static void on_answer(void *arg, struct str source, const struct dns_row *row, bool changed)
{
    struct engine *e = CAST(engine, ENGINE_MAGIC, arg);
    size_t n = row->naddresses;

    if (row->state == DNS_FAILING)
        tell(e, "dns.failing", row,
             xasprintf("%s: %s; %s", source.p, row->error,
                       n ? "its last addresses stay" : "it has no address yet"),
             source.p);
    else if (changed)
        tell(e, "dns.changed", row,
             xasprintf("%s has %zu address%s", source.p, n, n == 1 ? "" : "es"), source.p);
    else
        tell(e, "dns.restored", row, xasprintf("%s is answered again", source.p), source.p);
    if (!changed || !desired_set_addresses(e->desired, source.p, list_of(row)))
        return;
    publish_request(e->publish, NULL, NULL);
    rollouts_health(e->rollouts);
    engine_retrack(e); /* may forget the name that this is about: last */
}

struct dns *lookups_new(struct engine *e, const char **why)
{
    return dns_new(e->loop, &desired_conf(e->desired)->dns, on_answer, e, why);
}

void lookups_track(struct engine *e)
{
    json_t *sources = (json_t *)desired_sources(e->desired), *yes;
    VEC(struct dns_address) known = {0};
    const char *source;

    dns_begin(e->dns);
    json_object_foreach(sources, source, yes)
    {
        const json_t *list = desired_addresses(e->desired, source), *found;
        size_t i;
        known.n = 0;
        json_array_foreach(list, i, found)
        {
            struct dns_address *a = vec_add(&known);
            *a = (struct dns_address){
                .priority = (uint16_t)json_integer_value(json_object_get(found, "priority")),
                .weight = (uint16_t)json_integer_value(json_object_get(found, "weight"))};
            snprintf(a->text, sizeof(a->text), "%s",
                     json_string_value(json_object_get(found, "address")));
        }
        dns_want(e->dns, str_of(source), known.v, known.n);
    }
    dns_end(e->dns);
    vec_release(&known);
}

/* --- what others see --- */

void lookups_warnings(const struct engine *e, struct json_t *list)
{
    json_t *sources = (json_t *)desired_sources(e->desired), *yes;
    const char *source;
    struct dns_row row;

    json_object_foreach(sources, source, yes)
    {
        if (dns_get(e->dns, str_of(source), &row) && row.state == DNS_FAILING)
            json_array_append_new(list,
                                  json_sprintf("dns: %s: %s; %s", source, row.error,
                                               row.naddresses ? "its last addresses are used"
                                                              : "it has no address yet"));
    }
}

struct json_t *lookups_view(const struct engine *e)
{
    static const char *const states[] = {"unknown", "good", "failing"};
    json_t *sources = (json_t *)desired_sources(e->desired), *yes, *list = json_array();
    char stamp[CLOCK_STAMP];
    const char *source;
    struct dns_row row;

    json_object_foreach(sources, source, yes)
    {
        if (!dns_get(e->dns, str_of(source), &row))
            continue;
        json_t *since =
            row.since_ms ? json_string(clock_stamp(stamp, row.since_ms)) : json_null();
        json_array_append_new(
            list, json_pack("{s:s,s:s,s:o,s:o,s:I,s:I,s:o}", "name", source, "state",
                            states[row.state], "error",
                            *row.error ? json_string(row.error) : json_null(), "since", since,
                            "lookups", (json_int_t)row.lookups, "failures",
                            (json_int_t)row.failures, "addresses", texts_of(&row)));
    }
    return list;
}
