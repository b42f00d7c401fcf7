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
#include "config/jsonc.h"
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
    if (v->protocol != CONF_UPSTREAM_HTTP1)
        writer_uint(w, STR("protocol"), v->protocol);
    writer_open(w, STR("endpoints"), '{');
    for (size_t i = 0; i < v->nendpoints; i++)
        write_endpoint(w, &v->endpoints[i]);
    writer_close(w, '}');
    writer_close(w, '}');
}

static void write_judging(struct writer *w, const struct conf_judging *j)
{
    writer_open(w, STR("judging"), '{');
    writer_uint(w, STR("table"), j->table);
    writer_uint(w, STR("epoch"), j->epoch);
    writer_bool(w, STR("once"), j->once);
    writer_uint(w, STR("warmup_ms"), j->warmup_ms);
    writer_close(w, '}');
}

static void write_service(struct writer *w, const struct conf_service *s)
{
    writer_open(w, s->name, '{');
    if (s->rollout.n > 0)
        writer_text(w, STR("rollout"), s->rollout);
    if (s->judging.on)
        write_judging(w, &s->judging);
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

static bool bad(struct reader *r, const char *what, struct str name)
{
    *r->why = xasprintf("%.*s: %s", STR_ARG(name), what);
    return false;
}

/* KEY as a whole number of at most MAX. */
static bool read_number(const struct node *object, struct str key, uint64_t max, uint64_t *out)
{
    int64_t value = 0;
    bool ok = node_whole(node_get(object, key), 0, (int64_t)max, &value);

    *out = (uint64_t)value;
    return ok;
}

static struct str read_text(const struct node *object, struct str key)
{
    const struct node *n = node_get(object, key);

    return n && n->kind == NODE_STRING ? n->written : STR("");
}

/* False: it is something else than true or false. */
static bool read_flag(const struct node *object, struct str key, bool *out)
{
    const struct node *n = node_get(object, key);

    if (n && n->kind == NODE_BOOL)
        *out = n->truth;
    return !n || n->kind == NODE_BOOL;
}

static bool is_object(const struct node *n)
{
    return n && n->kind == NODE_OBJECT;
}

static bool read_state(struct reader *r, const struct node *n, struct conf_endpoint *ep)
{
    uint64_t cell, weight = 1, priority = 0;

    if (node_get(n, STR("priority")) && !read_number(n, STR("priority"), UINT16_MAX, &priority))
        return bad(r, "bad priority", n->key);
    ep->up = true;
    if (!read_number(n, STR("cell"), STATS_ENDPOINTS - 1, &cell) ||
        !read_flag(n, STR("up"), &ep->up) || !read_flag(n, STR("drain"), &ep->drain))
        return bad(r, "endpoint needs a cell, up and drain are true or false", n->key);
    if (node_get(n, STR("weight")) &&
        (!read_number(n, STR("weight"), CONF_ENDPOINT_WEIGHT, &weight) || weight == 0))
        return bad(r, "endpoint with a bad weight", n->key);
    ep->priority = (uint16_t)priority;
    ep->cell = (uint32_t)cell;
    ep->weight = (uint32_t)weight;
    return true;
}

static bool read_endpoint(struct reader *r, const struct node *n, struct conf_endpoint *ep)
{
    struct arena *a = &r->c->arena;
    const struct node *host = node_get(n, STR("host"));

    ep->name = arena_str(a, n->key);
    ep->from = arena_str(a, read_text(n, STR("from")));
    if (!endpoint_read(a, ep))
        return bad(r, "not an address", n->key);
    if (host && host->kind == NODE_STRING && ep->port)
        ep->host = arena_str(a, host->written);
    if (ep->port && ep->host.n > 0 && !unit_ip(ep->host))
        return bad(r, "endpoint without an address", n->key);
    return read_state(r, n, ep);
}

static bool read_version(struct reader *r, const struct node *n, struct conf_version *v)
{
    struct arena *a = &r->c->arena;
    const struct node *endpoints = node_get(n, STR("endpoints"));
    uint64_t weight, cell, age, protocol = CONF_UPSTREAM_HTTP1;

    if (!conf_name_ok(n->key))
        return bad(r, "not the name of a version", n->key);
    if (!read_number(n, STR("weight_bp"), CONF_WEIGHT_FULL, &weight) ||
        !read_number(n, STR("cell"), STATS_VERSIONS - 1, &cell) ||
        !read_number(n, STR("age"), UINT32_MAX, &age) || !is_object(endpoints))
        return bad(r, "version needs weight_bp, cell, age and endpoints", n->key);
    if (node_get(n, STR("protocol")) &&
        !read_number(n, STR("protocol"), CONF_UPSTREAM_H2, &protocol))
        return bad(r, "not a protocol of endpoints", n->key);
    *v = (struct conf_version){.name = arena_str(a, n->key),
                               .weight = (uint32_t)weight,
                               .cell = (uint32_t)cell,
                               .age = (uint32_t)age,
                               .protocol = (enum conf_upstream)protocol};
    v->endpoints = arena_zalloc(a, endpoints->n * sizeof(*v->endpoints) + 1);
    for (const struct node *e = endpoints->first; e; e = e->next)
        if (!read_endpoint(r, e, &v->endpoints[v->nendpoints++]))
            return false;
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
            return bad(r, "override to a version that is not live", s->overrides[i].name);
        s->overrides[i].version = (size_t)at;
    }
    return true;
}

/* What workers note for the judge; nothing when it is not there. */
static bool read_judging(const struct node *n, struct conf_judging *out)
{
    uint64_t table;

    if (!n)
        return true;
    if (!read_number(n, STR("table"), STATS_CLIENT_TABLES, &table) ||
        !read_number(n, STR("epoch"), INT64_MAX, &out->epoch) ||
        !read_number(n, STR("warmup_ms"), INT64_MAX, &out->warmup_ms) ||
        !read_flag(n, STR("once"), &out->once))
        return false;
    out->table = (uint32_t)table;
    out->on = true;
    return true;
}

static bool read_service(struct reader *r, struct conf_service *s, const struct node *live)
{
    const struct node *versions = node_get(live, STR("versions"));
    const struct conf_version *before = s->versions;

    if (!is_object(versions))
        return bad(r, "live service without versions", s->name);
    s->rollout = arena_str(&r->c->arena, read_text(live, STR("rollout")));
    if (!read_judging(node_get(live, STR("judging")), &s->judging))
        return bad(r, "bad judging", s->name);
    s->versions = arena_zalloc(&r->c->arena, versions->n * sizeof(*s->versions) + 1);
    s->nversions = 0;
    for (const struct node *n = versions->first; n; n = n->next)
        if (!read_version(r, n, &s->versions[s->nversions++]))
            return false;
    if (!sums_up(s))
        return bad(r, "live weights do not add up to 10000", s->name);
    return move_overrides(r, s, before);
}

/* Services stand in LIVE in the order that they have in the config, as snapshot_write does it:
 * looked for are only those that are elsewhere. */
static bool read_live(struct reader *r, const struct node *live)
{
    const struct node *next = live ? live->first : NULL;

    for (size_t i = 0; live && i < r->c->nservices; i++) {
        struct conf_service *s = &r->c->services[i];
        const struct node *state =
            next && str_eq(next->key, s->name) ? next : node_get(live, s->name);

        if (state && !read_service(r, s, state))
            return false;
        next = state ? state->next : next;
    }
    return true;
}

static char *complaint(const struct conf_diags *d)
{
    struct arena a;
    struct str text;
    char *why;

    arena_init(&a, NULL, 0);
    text = conf_diags_text(&a, d);
    why = xstrndup(text.p, text.n);
    arena_release(&a);
    return why;
}

/* DOC's parts as a model, or NULL. */
static struct conf *read_document(struct node *doc, struct conf_diags *d, uint64_t *generation,
                                  char **why)
{
    struct reader r = {.why = why};
    struct node *config = node_get(doc, STR("config"));
    uint64_t format;

    if (!read_number(doc, STR("format"), SNAPSHOT_FORMAT, &format) ||
        format != SNAPSHOT_FORMAT ||
        !read_number(doc, STR("generation"), INT64_MAX, generation))
        *why = xasprintf("not a snapshot of format %d", SNAPSHOT_FORMAT);
    else if (!is_object(config))
        *why = xstrdup("no config in it");
    else if ((r.c = load_tree((struct load_mode){.live = true}, config, d)) &&
             read_live(&r, node_get(doc, STR("live"))))
        return r.c;
    conf_free(r.c);
    return NULL;
}

int snapshot_parse(struct str doc, struct snapshot *s, char **why)
{
    struct conf_diags d;
    struct arena a;
    struct node *root;

    *why = NULL;
    arena_init(&a, NULL, 0);
    conf_diags_init(&d);
    root = jsonc_parse_made(&a, doc, &d);
    s->conf = root ? read_document(root, &d, &s->generation, why) : NULL;
    if (!s->conf && !*why)
        *why = complaint(&d);
    conf_diags_release(&d);
    arena_release(&a);
    return s->conf ? 0 : -1;
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
