/* cells.c - handing out counters; see the header for who may get which. */
#include "control/engine/cells.h"
#include "config/model.h"
#include "proxy/base/mem.h"

/* One kind of cell. jansson keeps "names" in the order of insertion: those that went out of use
 * last are at the end. */
struct pool {
    json_t *names;  /* key -> cell */
    json_t *in_use; /* keys of the latest assignment */
    uint32_t next, limit;
};

struct cells {
    struct pool versions, endpoints;
};

static void pool_init(struct pool *p, const json_t *doc, uint32_t limit)
{
    const char *key;
    json_t *cell;

    *p = (struct pool){json_object(), json_object(), 1, limit};
    json_object_foreach((json_t *)doc, key, cell)
    {
        json_int_t n = json_integer_value(cell);
        if (n < 1 || n >= limit)
            continue;
        json_object_set(p->names, key, cell);
        if ((uint32_t)n >= p->next)
            p->next = (uint32_t)n + 1;
    }
}

struct cells *cells_new(const json_t *doc, uint32_t versions, uint32_t endpoints)
{
    struct cells *c = xcalloc(1, sizeof(*c));

    pool_init(&c->versions, json_object_get(doc, "versions"), versions);
    pool_init(&c->endpoints, json_object_get(doc, "endpoints"), endpoints);
    return c;
}

void cells_free(struct cells *c)
{
    if (!c)
        return;
    json_decref(c->versions.names);
    json_decref(c->versions.in_use);
    json_decref(c->endpoints.names);
    json_decref(c->endpoints.in_use);
    xfree(c);
}

/* The cell of a name that IN_USE does not hold, taken from it; 0 when all are in use. */
static uint32_t pool_evict(struct pool *p, const json_t *in_use)
{
    const char *key;
    json_t *cell;

    json_object_foreach(p->names, key, cell)
    {
        if (json_object_get(in_use, key))
            continue;
        uint32_t n = (uint32_t)json_integer_value(cell);
        json_object_del(p->names, key);
        return n;
    }
    return 0;
}

/* What went out of use just now may still be counted by a worker: it is evicted last. IN_USE is
 * stolen. */
static void pool_note_use(struct pool *p, json_t *in_use)
{
    const char *key;
    json_t *was;

    json_object_foreach(p->in_use, key, was)
    {
        json_t *cell = json_object_get(in_use, key) ? NULL : json_object_get(p->names, key);
        if (!cell)
            continue;
        json_incref(cell);
        json_object_del(p->names, key);
        json_object_set_new(p->names, key, cell);
    }
    json_decref(p->in_use);
    p->in_use = in_use;
}

static uint32_t pool_give(struct pool *p, const char *key, const json_t *in_use, bool *grown)
{
    json_t *have = json_object_get(p->names, key);

    if (have)
        return (uint32_t)json_integer_value(have);
    uint32_t cell = p->next < p->limit ? p->next++ : pool_evict(p, in_use);
    if (cell) {
        json_object_set_new(p->names, key, json_integer(cell));
        *grown = true;
    }
    return cell;
}

static void version_key(struct arena *a, const struct conf_service *s,
                        const struct conf_version *v, json_t *versions, json_t *endpoints)
{
    json_object_set_new(versions, arena_printf(a, "%s/%s", s->name.p, v->name.p).p,
                        json_true());
    for (size_t i = 0; i < v->nendpoints; i++) {
        if (v->endpoints[i].host.n == 0) /* a name without an answer */
            continue;
        struct str key =
            arena_printf(a, "%s/%s/%s", s->name.p, v->name.p, v->endpoints[i].name.p);
        json_object_set_new(endpoints, key.p, json_true());
    }
}

static bool give_version(struct cells *c, struct arena *a, const struct conf_service *s,
                         struct conf_version *v, const json_t *versions,
                         const json_t *endpoints)
{
    bool grown = false;

    v->cell = pool_give(&c->versions, arena_printf(a, "%s/%s", s->name.p, v->name.p).p,
                        versions, &grown);
    for (size_t i = 0; i < v->nendpoints; i++) {
        struct conf_endpoint *ep = &v->endpoints[i];
        struct str key = arena_printf(a, "%s/%s/%s", s->name.p, v->name.p, ep->name.p);
        ep->cell = ep->host.n > 0 ? pool_give(&c->endpoints, key.p, endpoints, &grown) : 0;
    }
    return grown;
}

bool cells_assign(struct cells *c, struct conf *conf)
{
    json_t *versions = json_object(), *endpoints = json_object();
    struct arena a;
    bool grown = false;

    arena_init(&a, NULL, 0);
    for (size_t i = 0; i < conf->nservices; i++)
        for (size_t k = 0; k < conf->services[i].nversions; k++)
            version_key(&a, &conf->services[i], &conf->services[i].versions[k], versions,
                        endpoints);
    pool_note_use(&c->versions, versions);
    pool_note_use(&c->endpoints, endpoints);
    for (size_t i = 0; i < conf->nservices; i++)
        for (size_t k = 0; k < conf->services[i].nversions; k++)
            grown |= give_version(c, &a, &conf->services[i], &conf->services[i].versions[k],
                                  versions, endpoints);
    arena_release(&a);
    return grown;
}

json_t *cells_document(const struct cells *c)
{
    return json_pack("{s:i,s:O,s:O}", "format", 1, "versions", c->versions.names, "endpoints",
                     c->endpoints.names);
}
