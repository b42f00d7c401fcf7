/* addresses.c - names of endpoints become the addresses that were found for them. */
#include "control/engine/addresses.h"
#include "config/endpoint.h"
#include "config/names.h"

static bool is_name(const struct conf_endpoint *e)
{
    return e->host.n == 0;
}

static const json_t *answer(const json_t *answers, const struct conf_endpoint *e)
{
    return is_name(e) ? json_object_get(answers, e->name.p) : NULL;
}

static size_t room(const struct conf_version *v, const json_t *answers)
{
    size_t n = 1;

    for (size_t i = 0; i < v->nendpoints; i++)
        n += 1 + json_array_size(answer(answers, &v->endpoints[i]));
    return n;
}

static uint64_t number(const json_t *found, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(found, key));
}

/* RFC 2782: 0 is for little traffic; more than we know is as much as we know. */
static uint32_t srv_weight(uint64_t weight)
{
    return weight == 0                     ? 1
           : weight > CONF_ENDPOINT_WEIGHT ? CONF_ENDPOINT_WEIGHT
                                           : (uint32_t)weight;
}

/* The endpoint that FOUND, an element of the answer to NAME, describes. */
static bool make(struct arena *a, const struct conf_endpoint *name, const json_t *found,
                 struct conf_endpoint *out)
{
    const char *text = json_string_value(json_object_get(found, "address"));

    *out = *name;
    out->name = arena_str(a, str_of(text ? text : ""));
    out->from = name->name;
    out->priority = (uint16_t)number(found, "priority");
    if (endpoint_query(name->name).port == 0) /* its records have weights of their own */
        out->weight = srv_weight(number(found, "weight"));
    return endpoint_read(a, out) && out->host.n > 0;
}

/* An address that is there already, written or found by another name, is not taken twice. */
static void take(struct conf_version *v, struct names *seen, const struct conf_endpoint *e)
{
    struct conf_endpoint *to = &v->endpoints[v->nendpoints];

    *to = *e;
    if (!names_add(seen, to->name, to))
        v->nendpoints++;
}

void addresses_expand(struct arena *a, struct conf_version *v, const json_t *answers,
                      json_t *sources)
{
    const struct conf_endpoint *from = v->endpoints;
    size_t n = v->nendpoints, most = room(v, answers);
    struct conf_endpoint e;
    struct names seen;

    names_init(&seen, most);
    v->endpoints = arena_zalloc(a, most * sizeof(*v->endpoints));
    v->nendpoints = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *list = answer(answers, &from[i]);
        if (sources && is_name(&from[i]))
            json_object_set_new(sources, from[i].name.p, json_true());
        if (json_array_size(list) == 0)
            take(v, &seen, &from[i]);
        for (size_t k = 0; k < json_array_size(list); k++)
            if (make(a, &from[i], json_array_get(list, k), &e))
                take(v, &seen, &e);
    }
    names_release(&seen);
}

/* The lowest priority of E's name that has somebody for traffic; UINT32_MAX: none has. */
static uint32_t best_of(const struct conf_version *v, const struct conf_endpoint *e)
{
    uint32_t best = UINT32_MAX;

    for (size_t i = 0; i < v->nendpoints; i++) {
        const struct conf_endpoint *o = &v->endpoints[i];
        if (o->up && !o->drain && o->priority < best && str_eq(o->from, e->from))
            best = o->priority;
    }
    return best;
}

void addresses_prefer(struct conf_version *v)
{
    uint32_t best = UINT32_MAX;
    struct str from = STR("");

    for (size_t i = 0; i < v->nendpoints; i++) { /* those of a name follow each other */
        struct conf_endpoint *e = &v->endpoints[i];
        if (e->from.n == 0)
            continue;
        if (!str_eq(e->from, from)) {
            from = e->from;
            best = best_of(v, e);
        }
        e->drain |= e->priority > best;
    }
}

static bool is_listed(const json_t *list, const char *address)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(list, i), "address")),
                   address) == 0)
            return true;
    return false;
}

static void add_version(json_t *answers, const struct conf_version *v)
{
    for (size_t i = 0; i < v->nendpoints; i++) {
        const struct conf_endpoint *e = &v->endpoints[i];
        if (e->from.n == 0)
            continue;
        json_t *list = json_object_get(answers, e->from.p);
        if (!list) {
            list = json_array();
            json_object_set_new(answers, e->from.p, list);
        }
        if (!is_listed(list, e->name.p))
            json_array_append_new(list,
                                  json_pack("{s:s,s:i,s:i}", "address", e->name.p, "priority",
                                            (int)e->priority, "weight", (int)e->weight));
    }
}

json_t *addresses_of(const struct conf *last)
{
    json_t *answers = json_object();

    for (size_t i = 0; i < last->nservices; i++)
        for (size_t k = 0; k < last->services[i].nversions; k++)
            add_version(answers, &last->services[i].versions[k]);
    return answers;
}
