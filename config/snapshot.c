/*
 * snapshot.c - the routing snapshot: an effective config and the run-time state beside it.
 *
 * "live" is the truth about versions and endpoints; the "versions" and "weights" of the config
 * part only have to be readable. An endpoint whose name is not its address carries its "host",
 * unless it has none: then nothing is known of it but its name.
 */
#include "config/snapshot.h"
#include "config/dump.h"
#include "config/endpoint.h"
#include "config/load.h"
#include "config/units.h"
#include "proxy/base/stats.h"

static void write_endpoint(struct writer *w, const struct conf_endpoint *ep)
{
    bool named =
        !unit_ip(ep->host) || !str_starts(str_skip(ep->name, ep->name.p[0] == 0x5b), ep->host);

    writer_open(w, ep->name, '{');
    if (named && ep->host.n > 0)
        writer_text(w, STR("host"), ep->host);
    if (ep->from.n > 0)
        writer_text(w, STR("from"), ep->from);
    if (ep->priority > 0)
        writer_uint(w, STR("priority"), ep->priority);
    writer_uint(w, STR("cell"), ep->cell);
    if (ep->weight != 1)
        writer_uint(w, STR("weight"), ep->weight);
    if (!ep->up)
        writer_bool(w, STR("up"), false);
    if (ep->drain)
        writer_bool(w, STR("drain"), true);
    writer_close(w, '}');
}

static void write_version(struct writer *w, const struct conf_version *v)
{
    writer_open(w, v->name, '{');
    writer_uint(w, STR("weight_bp"), v->weight);
    writer_uint(w, STR("cell"), v->cell);
    writer_uint(w, STR("age"), v->age);
    writer_open(w, STR("endpoints"), '{');
    for (size_t i = 0; i < v->nendpoints; i++)
        write_endpoint(w, &v->endpoints[i]);
    writer_close(w, '}');
    writer_close(w, '}');
}

static void write_service(struct writer *w, const struct conf_service *s)
{
    writer_open(w, s->name, '{');
    if (s->rollout.n > 0)
        writer_text(w, STR("rollout"), s->rollout);
    writer_open(w, STR("versions"), '{');
    for (size_t i = 0; i < s->nversions; i++)
        write_version(w, &s->versions[i]);
    writer_close(w, '}');
    writer_close(w, '}');
}

char *snapshot_write(const struct conf *c, uint64_t generation)
{
    struct writer w;

    writer_init(&w, 0);
    writer_open(&w, STR_NONE, '{');
    writer_uint(&w, STR("format"), SNAPSHOT_FORMAT);
    writer_uint(&w, STR("generation"), generation);
    dump_config(&w, STR("config"), c, DUMP_FOR_WORKERS);
    writer_open(&w, STR("live"), '{');
    for (size_t i = 0; i < c->nservices; i++)
        write_service(&w, &c->services[i]);
    writer_close(&w, '}');
    writer_close(&w, '}');
    return writer_take(&w);
}

/* Reading: the first problem ends it, with its reason in WHY. */
struct reader {
    struct conf *c;
    char **why;
};

static bool bad(struct reader *r, const char *what, const char *name)
{
    *r->why = xasprintf("%s: %s", name, what);
    return false;
}

static bool read_number(const json_t *object, const char *key, uint64_t max, uint64_t *out)
{
    const json_t *n = json_object_get(object, key);
    json_int_t value = json_integer_value(n);

    if (!json_is_integer(n) || value < 0 || (uint64_t)value > max)
        return false;
    *out = (uint64_t)value;
    return true;
}

static bool read_endpoint(struct reader *r, const char *name, const json_t *json,
                          struct conf_endpoint *ep)
{
    struct arena *a = &r->c->arena;
    const json_t *up = json_object_get(json, "up"), *drain = json_object_get(json, "drain");
    const char *host = json_string_value(json_object_get(json, "host"));
    const char *from = json_string_value(json_object_get(json, "from"));
    uint64_t cell, weight = 1, priority = 0;

    ep->name = arena_str(a, str_of(name));
    ep->from = arena_str(a, str_of(from ? from : ""));
    if (!endpoint_read(a, ep))
        return bad(r, "not an address", name);
    if (host && ep->port)
        ep->host = arena_str(a, str_of(host));
    if (ep->port && ep->host.n > 0 && !unit_ip(ep->host))
        return bad(r, "endpoint without an address", name);
    if (json_object_get(json, "priority") &&
        !read_number(json, "priority", UINT16_MAX, &priority))
        return bad(r, "bad priority", name);
    ep->priority = (uint16_t)priority;
    if (!read_number(json, "cell", STATS_ENDPOINTS - 1, &cell) ||
        (up && !json_is_boolean(up)) || (drain && !json_is_boolean(drain)))
        return bad(r, "endpoint needs a cell, up and drain are true or false", name);
    if (json_object_get(json, "weight") &&
        (!read_number(json, "weight", CONF_ENDPOINT_WEIGHT, &weight) || weight == 0))
        return bad(r, "endpoint with a bad weight", name);
    ep->cell = (uint32_t)cell;
    ep->weight = (uint32_t)weight;
    ep->up = !up || json_is_true(up);
    ep->drain = json_is_true(drain);
    return true;
}

static bool read_version(struct reader *r, const char *name, const json_t *json,
                         struct conf_version *v)
{
    struct arena *a = &r->c->arena;
    json_t *endpoints = json_object_get(json, "endpoints"), *value;
    uint64_t weight, cell, age;
    const char *key;

    if (!conf_name_ok(str_of(name)))
        return bad(r, "not the name of a version", name);
    if (!read_number(json, "weight_bp", CONF_WEIGHT_FULL, &weight) ||
        !read_number(json, "cell", STATS_VERSIONS - 1, &cell) ||
        !read_number(json, "age", UINT32_MAX, &age) || !json_is_object(endpoints))
        return bad(r, "version needs weight_bp, cell, age and endpoints", name);
    *v = (struct conf_version){.name = arena_str(a, str_of(name)),
                               .weight = (uint32_t)weight,
                               .cell = (uint32_t)cell,
                               .age = (uint32_t)age};
    v->endpoints = arena_zalloc(a, json_object_size(endpoints) * sizeof(*v->endpoints) + 1);
    json_object_foreach(
        endpoints, key,
        value) if (!read_endpoint(r, key, value, &v->endpoints[v->nendpoints++])) return false;
    return true;
}

static bool sums_up(const struct conf_service *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->nversions; i++)
        sum += s->versions[i].weight;
    return sum == CONF_WEIGHT_FULL || s->nversions == 0;
}

/* Overrides point at versions by index: find them again among the live ones. */
static bool move_overrides(struct reader *r, struct conf_service *s,
                           const struct conf_version *before)
{
    for (size_t i = 0; i < s->noverrides; i++) {
        long at = conf_version_find(s, before[s->overrides[i].version].name);

        if (at < 0)
            return bad(r, "override to a version that is not live", s->overrides[i].name.p);
        s->overrides[i].version = (size_t)at;
    }
    return true;
}

static bool read_service(struct reader *r, struct conf_service *s, const json_t *live)
{
    json_t *versions = json_object_get(live, "versions"), *value;
    const char *rollout = json_string_value(json_object_get(live, "rollout")), *key;
    const struct conf_version *before = s->versions;
    size_t n = json_object_size(versions);

    if (!json_is_object(versions))
        return bad(r, "live service without versions", s->name.p);
    s->rollout = arena_str(&r->c->arena, str_of(rollout ? rollout : ""));
    s->versions = arena_zalloc(&r->c->arena, n * sizeof(*s->versions) + 1);
    s->nversions = 0;
    json_object_foreach(
        versions, key,
        value) if (!read_version(r, key, value, &s->versions[s->nversions++])) return false;
    if (!sums_up(s))
        return bad(r, "live weights do not add up to 10000", s->name.p);
    return move_overrides(r, s, before);
}

static bool read_live(struct reader *r, const json_t *live)
{
    for (size_t i = 0; i < r->c->nservices; i++) {
        struct conf_service *s = &r->c->services[i];
        const json_t *state = json_object_getn(live, s->name.p, s->name.n);

        if (state && !read_service(r, s, state))
            return false;
    }
    return true;
}

static struct conf *read_config(json_t *json, char **why)
{
    struct conf_diags d;
    struct arena a;
    struct conf *c = NULL;

    arena_init(&a, NULL, 0);
    conf_diags_init(&d);
    if (json_is_object(json))
        c = load_tree((struct load_mode){.live = true}, node_of_json(&a, json), &d);
    if (!c) {
        struct str text = d.list.n > 0 ? conf_diags_text(&a, &d) : STR("no config in it");

        *why = xstrndup(text.p, text.n);
    }
    conf_diags_release(&d);
    arena_release(&a);
    return c;
}

int snapshot_parse(struct str doc, struct snapshot *s, char **why)
{
    json_error_t error;
    json_t *json = json_loadb(doc.p, doc.n, 0, &error);
    struct reader r = {.why = why};
    uint64_t format;
    bool ok = false;

    *why = NULL;
    if (!json)
        *why = xasprintf("line %d: %s", error.line, error.text);
    else if (!read_number(json, "format", SNAPSHOT_FORMAT, &format) ||
             format != SNAPSHOT_FORMAT ||
             !read_number(json, "generation", INT64_MAX, &s->generation))
        *why = xasprintf("not a snapshot of format %d", SNAPSHOT_FORMAT);
    else if ((r.c = read_config(json_object_get(json, "config"), why)))
        ok = read_live(&r, json_object_get(json, "live"));
    json_decref(json);
    if (!ok) {
        conf_free(r.c);
        return -1;
    }
    s->conf = r.c;
    return 0;
}

void snapshot_number(struct conf *c)
{
    uint32_t versions = 1, endpoints = 1;

    for (size_t i = 0; i < c->nservices; i++) {
        for (size_t j = 0; j < c->services[i].nversions; j++) {
            struct conf_version *v = &c->services[i].versions[j];

            v->cell = versions < STATS_VERSIONS ? versions++ : 0;
            for (size_t k = 0; k < v->nendpoints; k++)
                v->endpoints[k].cell =
                    v->endpoints[k].host.n > 0 && endpoints < STATS_ENDPOINTS ? endpoints++ : 0;
        }
    }
}
