/*
 * desired.c - laying overlays over the config file.
 *
 * The view borrows names and policies from the file's model and owns what it merged: it lives
 * in one arena that is thrown away and filled again on every change. The file is kept as long
 * as the view that borrows from it.
 */
#include "control/engine/desired.h"
#include "config/conf.h"
#include "config/endpoint.h"
#include "control/engine/addresses.h"
#include "control/engine/cells.h"
#include "control/engine/overlay.h"
#include "proxy/base/mem.h"
#include "proxy/base/stats.h"

struct desired {
    struct conf *file; /* owned */
    json_t *overlays;  /* service -> document */
    json_t *down;      /* "shop/v1/127.0.0.1:9001" -> true: health says no */
    json_t *answers;   /* name of endpoints -> addresses, as addresses.h wants them */
    json_t *sources;   /* the names that the view has, or would have without an answer */
    struct cells *cells;
    bool cells_changed;
    struct conf view; /* its arena is ours, the rest borrows from FILE and OVERLAYS */
};

/* --- merging one service --- */

struct merge {
    struct arena *a;
    const struct conf_service *file;
    const json_t *doc, *down, *answers;
    json_t *sources, *still_down; /* what the view uses of both; NULL: not noted */
    struct conf_service *out;
    size_t from_file; /* how many of out->versions are the file's */
};

static const json_t *dig(const json_t *doc, const char *group, const char *version)
{
    return json_object_get(json_object_get(doc, group), version);
}

static size_t room_for_versions(const struct merge *m)
{
    return m->file->nversions + json_object_size(json_object_get(m->doc, "versions"));
}

static size_t room_for_endpoints(const struct merge *m, const char *version, size_t own)
{
    return own + json_object_size(dig(m->doc, "endpoints", version)) + 1;
}

/* ADDRESS was checked when it came in; one that is bad all the same is left out. */
static void add_endpoint(struct merge *m, struct conf_version *v, const char *address)
{
    struct conf_endpoint *ep = &v->endpoints[v->nendpoints];

    *ep = (struct conf_endpoint){.name = arena_str(m->a, str_of(address)), .weight = 1};
    if (endpoint_read(m->a, ep))
        v->nendpoints++;
}

/* Names become addresses, and each gets its health bit. */
static void mark_endpoints(struct merge *m, struct conf_version *v)
{
    addresses_expand(m->a, v, m->answers, m->sources);
    for (size_t i = 0; i < v->nendpoints; i++) {
        struct conf_endpoint *ep = &v->endpoints[i];
        struct str key = arena_printf(m->a, "%s/%s/%s", m->file->name.p, v->name.p, ep->name.p);
        bool down = json_object_get(m->down, key.p);
        if (down && m->still_down)
            json_object_set_new(m->still_down, key.p, json_true());
        ep->up = ep->host.n > 0 && (!m->file->health.enabled || !down);
        ep->drain = overlay_drained_by(m->doc, v->name.p, ep->name.p) != NULL;
    }
    addresses_prefer(v);
}

/* The version as the file has it, with single endpoints added and removed. */
static void merge_file_version(struct merge *m, const struct conf_version *from)
{
    struct conf_version *v = &m->out->versions[m->out->nversions++];
    json_t *changes = (json_t *)dig(m->doc, "endpoints", from->name.p);
    size_t room = room_for_endpoints(m, from->name.p, from->nendpoints);
    const char *address;
    json_t *what;

    *v = *from;
    v->endpoints = arena_zalloc(m->a, room * sizeof(*v->endpoints));
    v->nendpoints = 0;
    for (size_t i = 0; i < from->nendpoints; i++) {
        const char *w = json_string_value(json_object_get(changes, from->endpoints[i].name.p));
        if (!w || strcmp(w, "removed") != 0)
            v->endpoints[v->nendpoints++] = from->endpoints[i];
    }
    json_object_foreach(changes, address, what)
    {
        bool known = false;
        for (size_t i = 0; i < v->nendpoints; i++)
            known |= strcmp(v->endpoints[i].name.p, address) == 0;
        const char *word = json_string_value(what);
        if (!known && word && strcmp(word, "added") == 0)
            add_endpoint(m, v, address);
    }
    mark_endpoints(m, v);
}

/* The others of the file show what is spoken in this service. */
static void merge_own_version(struct merge *m, const char *name, const json_t *def)
{
    struct conf_version *v = &m->out->versions[m->out->nversions++];
    const json_t *endpoints = json_object_get(def, "endpoints");
    size_t n = json_array_size(endpoints);

    *v = (struct conf_version){.name = arena_str(m->a, str_of(name))};
    if (m->file->nversions)
        v->protocol = m->file->versions[0].protocol;
    v->endpoints = arena_zalloc(m->a, (n + 1) * sizeof(*v->endpoints));
    for (size_t i = 0; i < n; i++) {
        const char *address = json_string_value(json_array_get(endpoints, i));
        if (address)
            add_endpoint(m, v, address);
    }
    mark_endpoints(m, v);
}

static void merge_versions(struct merge *m)
{
    json_t *own = json_object_get(m->doc, "versions");
    const char *name;
    json_t *def;

    m->out->versions =
        arena_zalloc(m->a, (room_for_versions(m) + 1) * sizeof(*m->out->versions));
    m->out->nversions = 0;
    for (size_t i = 0; i < m->file->nversions; i++) {
        const char *have = m->file->versions[i].name.p;
        if (!dig(m->doc, "removed", have) && !json_object_get(own, have))
            merge_file_version(m, &m->file->versions[i]);
    }
    m->from_file = m->out->nversions;
    json_object_foreach(own, name, def) merge_own_version(m, name, def);
}

/* Known ages first, as they are; what is new is younger than all, in the order it came. */
static void merge_ages(struct merge *m)
{
    const json_t *ages = json_object_get(m->doc, "ages");
    uint32_t next = 0;

    for (size_t i = 0; i < m->out->nversions; i++) {
        const json_t *age = json_object_get(ages, m->out->versions[i].name.p);
        if (age && json_integer_value(age) >= next)
            next = (uint32_t)json_integer_value(age) + 1;
    }
    for (size_t i = 0; i < m->out->nversions; i++) {
        const json_t *age = json_object_get(ages, m->out->versions[i].name.p);
        m->out->versions[i].age = age ? (uint32_t)json_integer_value(age) : next++;
    }
}

static uint32_t sum_weights(const struct conf_service *s)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < s->nversions; i++)
        sum += s->versions[i].weight;
    return sum;
}

/* Scale to 100 %; the heaviest takes what rounding leaves. SUM > 0. */
static void scale_weights(struct conf_service *s, uint32_t sum)
{
    struct conf_version *top = s->versions;
    uint32_t given = 0;

    for (size_t i = 0; i < s->nversions; i++) {
        struct conf_version *v = &s->versions[i];
        v->weight = (uint32_t)((uint64_t)v->weight * CONF_WEIGHT_FULL / sum);
        given += v->weight;
        if (v->weight > top->weight)
            top = v;
    }
    top->weight += CONF_WEIGHT_FULL - given;
}

static void merge_weights(struct merge *m)
{
    const json_t *weights = json_object_get(m->doc, "weights");
    struct conf_service *s = m->out;

    for (size_t i = 0; weights && i < s->nversions; i++)
        s->versions[i].weight =
            (uint32_t)json_integer_value(json_object_get(weights, s->versions[i].name.p));
    uint32_t sum = sum_weights(s);
    if (sum == CONF_WEIGHT_FULL || s->nversions == 0)
        return;
    if (sum == 0) { /* nothing of what had weight is left */
        s->versions[0].weight = CONF_WEIGHT_FULL;
        return;
    }
    scale_weights(s, sum);
}

/* Overrides name versions by index; those whose version is gone go with it. */
static void merge_overrides(struct merge *m)
{
    struct conf_service *s = m->out;

    s->overrides = arena_zalloc(m->a, (m->file->noverrides + 1) * sizeof(*s->overrides));
    s->noverrides = 0;
    for (size_t i = 0; i < m->file->noverrides; i++) {
        struct conf_override o = m->file->overrides[i];
        long at = conf_version_find(s, m->file->versions[o.version].name);
        if (at < 0)
            continue;
        o.version = (size_t)at;
        s->overrides[s->noverrides++] = o;
    }
}

static void merge_service(struct merge *m)
{
    const char *rollout = json_string_value(json_object_get(m->doc, "rollout"));

    *m->out = *m->file;
    merge_versions(m);
    merge_ages(m);
    merge_weights(m);
    merge_overrides(m);
    m->out->mirror.enabled &= conf_version_find(m->out, m->out->mirror.to) >= 0;
    overlay_judging(m->doc, &m->out->judging);
    m->out->rollout = rollout ? arena_str(m->a, str_of(rollout)) : STR("");
}

/* --- the view --- */

/* Answers to names that nobody has any more. */
static void forget_answers(struct desired *d)
{
    const char *source;
    json_t *list;
    void *next;

    json_object_foreach_safe(d->answers, next, source,
                             list) if (!json_object_get(d->sources, source))
        json_object_del(d->answers, source);
}

static void rebuild(struct desired *d)
{
    struct arena *a = &d->view.arena;

    arena_reset(a);
    struct arena keep = *a;
    d->view = *d->file;
    d->view.arena = keep;
    d->view.services = arena_zalloc(a, (d->file->nservices + 1) * sizeof(*d->view.services));
    json_t *still_down = json_object();
    json_object_clear(d->sources);
    for (size_t i = 0; i < d->file->nservices; i++) {
        const struct conf_service *s = &d->file->services[i];
        merge_service(&(struct merge){.a = a,
                                      .file = s,
                                      .doc = json_object_get(d->overlays, s->name.p),
                                      .down = d->down,
                                      .answers = d->answers,
                                      .sources = d->sources,
                                      .still_down = still_down,
                                      .out = &d->view.services[i]});
    }
    json_decref(d->down);
    d->down = still_down;
    forget_answers(d);
    d->cells_changed |= cells_assign(d->cells, &d->view);
}

struct desired *desired_new(struct conf *file, const json_t *overlays, const json_t *cells)
{
    struct desired *d = xcalloc(1, sizeof(*d));

    d->file = file;
    d->overlays = overlays ? json_deep_copy(overlays) : json_object();
    d->down = json_object();
    d->answers = json_object();
    d->sources = json_object();
    d->cells = cells_new(cells, STATS_VERSIONS, STATS_ENDPOINTS);
    arena_init(&d->view.arena, NULL, 0);
    rebuild(d);
    return d;
}

void desired_free(struct desired *d)
{
    if (!d)
        return;
    arena_release(&d->view.arena);
    json_decref(d->overlays);
    json_decref(d->down);
    json_decref(d->answers);
    json_decref(d->sources);
    cells_free(d->cells);
    conf_free(d->file);
    xfree(d);
}

const struct conf *desired_conf(const struct desired *d)
{
    return &d->view;
}

const struct conf_service *desired_service(const struct desired *d, const char *name)
{
    return conf_service_find(&d->view, str_of(name));
}

/* --- reload --- */

static void keep_version(struct desired *d, const struct conf_service *s,
                         const struct conf_version *v, json_t *kept)
{
    json_t *doc = desired_edit(d, s->name.p);
    json_t *weights = desired_weights(s), *endpoints = json_array();

    for (size_t i = 0; i < v->nendpoints; i++) { /* names stay names */
        const struct conf_endpoint *e = &v->endpoints[i];
        if (e->from.n == 0)
            json_array_append_new(endpoints, json_string(e->name.p));
        else if (i == 0 || !str_eq(e->from, v->endpoints[i - 1].from))
            json_array_append_new(endpoints, json_string(e->from.p));
    }
    overlay_put_version(doc, v->name.p, endpoints, NULL);
    if (!json_object_get(doc, "weights"))
        overlay_set_weights(doc, weights, "config");
    json_object_set_new(d->overlays, s->name.p, doc);
    json_array_append_new(kept, json_sprintf("%s/%s", s->name.p, v->name.p));
    json_decref(weights);
    json_decref(endpoints);
}

/* Is V in use, but neither in FILE nor in the overlay? */
static bool is_orphan(const struct desired *d, const struct conf *file,
                      const struct conf_service *s, const struct conf_version *v)
{
    const struct conf_service *next = conf_service_find(file, s->name);
    const json_t *doc = json_object_get(d->overlays, s->name.p);

    return next && (v->weight > 0 || s->rollout.n) && conf_version_find(next, v->name) < 0 &&
           !dig(doc, "versions", v->name.p);
}

void desired_reload(struct desired *d, struct conf *file, json_t *kept)
{
    struct conf *old = d->file;

    for (size_t i = 0; i < d->view.nservices; i++) {
        const struct conf_service *s = &d->view.services[i];
        for (size_t k = 0; k < s->nversions; k++)
            if (is_orphan(d, file, s, &s->versions[k]))
                keep_version(d, s, &s->versions[k], kept);
    }
    d->file = file;
    rebuild(d);
    conf_free(old);
}

/* --- overlays --- */

json_t *desired_edit(const struct desired *d, const char *service)
{
    const struct conf_service *s = desired_service(d, service);
    const json_t *have = json_object_get(d->overlays, service);
    json_t *doc = have ? json_deep_copy(have) : overlay_new(), *ages = json_object();

    for (size_t i = 0; s && i < s->nversions; i++)
        json_object_set_new(ages, s->versions[i].name.p, json_integer(s->versions[i].age));
    json_object_set_new(doc, "ages", ages);
    return doc;
}

void desired_commit(struct desired *d, const char *service, json_t *doc)
{
    json_object_set_new(d->overlays, service, doc);
    rebuild(d);
}

const json_t *desired_overlay(const struct desired *d, const char *service)
{
    return json_object_get(d->overlays, service);
}

json_t *desired_preview(const struct desired *d, const char *service, const json_t *doc)
{
    const struct conf_service *file = conf_service_find(d->file, str_of(service));
    struct conf_service out = {0};
    struct arena a;

    arena_init(&a, NULL, 0);
    merge_service(&(struct merge){.a = &a,
                                  .file = file,
                                  .doc = doc,
                                  .down = d->down,
                                  .answers = d->answers,
                                  .out = &out});
    json_t *weights = desired_weights(&out);
    arena_release(&a);
    return weights;
}

const char *desired_origin(const struct desired *d, const char *service)
{
    const json_t *doc = json_object_get(d->overlays, service);
    const char *origin = json_string_value(json_object_get(doc, "origin"));

    return origin ? origin : "config";
}

const json_t *desired_labels(const struct desired *d, const char *service, const char *version)
{
    return json_object_get(dig(json_object_get(d->overlays, service), "versions", version),
                           "labels");
}

json_t *desired_weights(const struct conf_service *s)
{
    json_t *w = json_object();

    for (size_t i = 0; i < s->nversions; i++)
        json_object_set_new(w, s->versions[i].name.p, json_integer(s->versions[i].weight));
    return w;
}

/* --- addresses --- */

const json_t *desired_sources(const struct desired *d)
{
    return d->sources;
}

const json_t *desired_addresses(const struct desired *d, const char *source)
{
    return json_object_get(d->answers, source);
}

bool desired_set_addresses(struct desired *d, const char *source, json_t *list)
{
    bool news = json_object_get(d->sources, source) &&
                !json_equal(json_object_get(d->answers, source), list);

    if (news)
        json_object_set(d->answers, source, list);
    json_decref(list);
    if (news)
        rebuild(d);
    return news;
}

void desired_adopt_addresses(struct desired *d, const struct conf *last)
{
    json_decref(d->answers);
    d->answers = addresses_of(last);
    rebuild(d);
}

/* --- health --- */

bool desired_set_up(struct desired *d, const char *service, const char *version,
                    const char *endpoint, bool up)
{
    char *key = xasprintf("%s/%s/%s", service, version, endpoint);
    bool was_up = !json_object_get(d->down, key);

    if (up)
        json_object_del(d->down, key);
    else
        json_object_set_new(d->down, key, json_true());
    xfree(key);
    if (was_up == up)
        return false;
    rebuild(d);
    return true;
}

static void adopt_version(struct desired *d, const struct conf_service *s,
                          const struct conf_version *v)
{
    for (size_t i = 0; i < v->nendpoints; i++)
        if (!v->endpoints[i].up)
            desired_set_up(d, s->name.p, v->name.p, v->endpoints[i].name.p, false);
}

void desired_adopt_health(struct desired *d, const struct conf *last)
{
    for (size_t i = 0; i < last->nservices; i++)
        for (size_t k = 0; k < last->services[i].nversions; k++)
            adopt_version(d, &last->services[i], &last->services[i].versions[k]);
}

/* --- cells --- */

bool desired_cells_changed(struct desired *d)
{
    bool changed = d->cells_changed;

    d->cells_changed = false;
    return changed;
}

json_t *desired_cells(const struct desired *d)
{
    return cells_document(d->cells);
}
