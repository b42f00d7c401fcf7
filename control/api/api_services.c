/* api_services.c - services, their versions and endpoints at run time. */
#include "config/conf.h"
#include "config/endpoint.h"
#include "control/api/reply_live.h"
#include "control/api/routes.h"
#include "control/api/view.h"
#include "control/engine/desired.h"
#include "control/engine/engine.h"
#include "control/engine/overlay.h"
#include "proxy/base/mem.h"

#define ENDPOINTS_MAX 256 /* of one version */

static json_t *version_body(const struct engine *e, const struct conf_service *s,
                            const char *subject, uint64_t generation)
{
    long at = s ? conf_version_find(s, str_of(subject)) : -1;

    (void)generation;
    return at < 0 ? json_object() : view_version(e, s, (size_t)at);
}

void api_services_list(struct api_request *req)
{
    struct engine *e = api_engine(req);
    const struct conf *c = desired_conf(e->desired);
    json_t *list = json_array();

    for (size_t i = 0; i < c->nservices; i++)
        json_array_append_new(list, view_service(e, &c->services[i]));
    api_reply(req, 200, json_pack("{s:o}", "services", list));
}

void api_services_get(struct api_request *req)
{
    const struct conf_service *s = reply_service(req);

    if (s)
        api_reply(req, 200, view_service(api_engine(req), s));
}

/* --- checks --- */

static bool is_address(const char *text)
{
    struct conf_endpoint e = {.name = str_of(text ? text : "")};
    struct arena a;

    arena_init(&a, NULL, 0);
    bool ok = text && endpoint_read(&a, &e);
    arena_release(&a);
    return ok;
}

static bool is_listed_before(const json_t *list, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (json_equal(json_array_get(list, i), json_array_get(list, at)))
            return true;
    return false;
}

/* False: a problem has been sent. */
static bool check_endpoints(struct api_request *req, const json_t *list)
{
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n == 0 || n > ENDPOINTS_MAX) {
        api_problem(req, 400, "bad_field", "/endpoints",
                    "must be a list of 1 to %d addresses \"host:port\"", ENDPOINTS_MAX);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (is_address(text) && !is_listed_before(list, i))
            continue;
        char *pointer = xasprintf("/endpoints/%zu", i);
        api_problem(req, 400, "bad_field", pointer,
                    is_address(text) ? "is there twice" : "is not an address \"host:port\"");
        xfree(pointer);
        return false;
    }
    return true;
}

static bool check_labels(struct api_request *req, const json_t *labels)
{
    const char *key;
    json_t *value;

    if (labels && !json_is_object(labels)) {
        api_problem(req, 400, "bad_field", "/labels", "must be an object of strings");
        return false;
    }
    json_object_foreach((json_t *)labels, key, value)
    {
        if (json_is_string(value))
            continue;
        char *pointer = xasprintf("/labels/%s", key);
        api_problem(req, 400, "bad_field", pointer, "must be a string");
        xfree(pointer);
        return false;
    }
    return true;
}

static bool is_in_rollout(const struct engine *e, const struct conf_service *s,
                          const char *version)
{
    const struct rollout_entry *l = rollouts_active(e->rollouts, s->name.p);

    return l && (strcmp(l->r.spec.version, version) == 0 || strcmp(l->r.stable, version) == 0);
}

/* --- carrying out --- */

struct edit { /* one change of a service's overlay */
    const struct conf_service *service;
    json_t *doc;
    const char *version, *event, *what;
    int status;
};

/* Say it, store it, make it so; MESSAGE and DATA are taken over. */
static void carry_out(struct api_request *req, const struct edit *edit, char *message,
                      json_t *data)
{
    struct change c = {
        .doc = edit->doc, .what = edit->what, .fact = {edit->event, NULL, NULL, message, data}};

    json_object_set_new(data, "actor", json_string(api_actor(req)));
    json_object_set_new(data, "version", json_string(edit->version));
    if (api_dry_run(req)) {
        api_reply(req, 200,
                  json_pack("{s:b,s:s,s:O}", "dry_run", 1, "would", message, "data", data));
        json_decref(edit->doc);
    } else {
        reply_live_change(reply_live_new(req, edit->status, edit->service->name.p,
                                         edit->version, version_body),
                          &c);
    }
    json_decref(data);
    xfree(message);
}

/* --- versions --- */

void api_versions_put(struct api_request *req)
{
    static const char *const fields[] = {"endpoints", "labels", NULL};
    const char *name = api_param(req, "version");
    const json_t *endpoints = json_object_get(api_body(req), "endpoints");
    const json_t *labels = json_object_get(api_body(req), "labels");
    const struct conf_service *s = reply_service(req);

    if (!s || !api_fields(req, api_body(req), "", fields))
        return;
    if (!conf_name_ok(str_of(name))) {
        api_problem(req, 400, "bad_name", NULL,
                    "a version's name is 1 to 64 letters, digits, '.', '_' or '-'");
        return;
    }
    if (!check_endpoints(req, endpoints) || !check_labels(req, labels))
        return;
    json_t *doc = desired_edit(api_engine(req)->desired, s->name.p);
    bool is_new = conf_version_find(s, str_of(name)) < 0;
    overlay_put_version(doc, name, endpoints, labels);
    struct edit edit = {s, doc, name, "version.registered", "version.put", is_new ? 201 : 200};
    carry_out(req, &edit,
              xasprintf("%s %s has %zu endpoint%s", s->name.p, name, json_array_size(endpoints),
                        json_array_size(endpoints) == 1 ? "" : "s"),
              json_pack("{s:O}", "endpoints", endpoints));
}

void api_versions_delete(struct api_request *req)
{
    struct engine *e = api_engine(req);
    const struct conf_service *s = reply_service(req);
    long at = s ? reply_version(req, s) : -1;

    if (at < 0)
        return;
    const char *name = s->versions[at].name.p;
    if (s->versions[at].weight > 0 || is_in_rollout(e, s, name)) {
        api_problem(req, 409, "version_has_weight", NULL, "%s has %g %% of %s%s", name,
                    s->versions[at].weight / 100.0, s->name.p,
                    is_in_rollout(e, s, name) ? " and is in a rollout" : "");
        return;
    }
    json_t *doc = desired_edit(e->desired, s->name.p);
    overlay_remove_version(doc, name);
    /* what is left in the document may sum to less than it did in the file */
    json_t *weights = desired_weights(s);
    json_object_del(weights, name);
    overlay_set_weights(doc, weights, desired_origin(e->desired, s->name.p));
    json_decref(weights);
    struct edit edit = {s,  doc, api_param(req, "version"), "version.removed", "version.delete",
                        200};
    carry_out(req, &edit, xasprintf("%s %s was removed", s->name.p, name), json_object());
}

/* --- endpoints --- */

/* ADDRESS may be a name whose addresses are V's endpoints. */
static bool is_endpoint(const struct conf_endpoint *e, const char *address)
{
    return str_eq(e->name, str_of(address)) || str_eq(e->from, str_of(address));
}

static long find_endpoint(const struct conf_version *v, const char *address)
{
    for (size_t i = 0; i < v->nendpoints; i++)
        if (is_endpoint(&v->endpoints[i], address))
            return (long)i;
    return -1;
}

static bool is_last(const struct conf_version *v, const char *address)
{
    for (size_t i = 0; i < v->nendpoints; i++)
        if (!is_endpoint(&v->endpoints[i], address))
            return false;
    return true;
}

/* The version of the path, and its endpoint's place in *AT (-1: none). NULL: a problem has been
 * sent. */
static const struct conf_version *reply_endpoint(struct api_request *req,
                                                 const struct conf_service **s, bool must_exist,
                                                 long *at)
{
    const char *address = api_param(req, "endpoint");
    long v = -1;

    *s = reply_service(req);
    if (!*s || (v = reply_version(req, *s)) < 0)
        return NULL;
    const struct conf_version *version = &(*s)->versions[v];
    *at = find_endpoint(version, address);
    if (*at >= 0 || !must_exist)
        return version;
    api_problem(req, 404, "not_found", NULL, "%s %s has no endpoint %s", (*s)->name.p,
                version->name.p, address);
    return NULL;
}

void api_endpoints_put(struct api_request *req)
{
    static const char *const fields[] = {NULL};
    const char *address = api_param(req, "endpoint");
    const struct conf_service *s;
    long at;
    const struct conf_version *v = reply_endpoint(req, &s, false, &at);

    if (!v || !api_fields(req, api_body(req), "", fields))
        return;
    if (!is_address(address)) {
        api_problem(req, 400, "bad_address", NULL, "\"%s\" is not an address \"host:port\"",
                    address);
        return;
    }
    if (v->nendpoints >= ENDPOINTS_MAX && at < 0) {
        api_problem(req, 409, "too_many", NULL, "%s has %d endpoints", v->name.p,
                    ENDPOINTS_MAX);
        return;
    }
    json_t *doc = desired_edit(api_engine(req)->desired, s->name.p);
    overlay_put_endpoint(doc, v->name.p, address);
    struct edit edit = {s,
                        doc,
                        api_param(req, "version"),
                        "version.registered",
                        "endpoint.put",
                        at < 0 ? 201 : 200};
    carry_out(req, &edit, xasprintf("%s %s has %s", s->name.p, v->name.p, address),
              json_pack("{s:s}", "endpoint", address));
}

void api_endpoints_delete(struct api_request *req)
{
    const struct conf_service *s;
    long at;
    const struct conf_version *v = reply_endpoint(req, &s, true, &at);

    if (!v)
        return;
    const struct conf_endpoint *ep = &v->endpoints[at];
    if (ep->from.n > 0 && str_eq(ep->name, str_of(api_param(req, "endpoint")))) {
        api_problem(req, 409, "of_a_name", NULL, "%s is an address of %s", ep->name.p,
                    ep->from.p);
        return;
    }
    if (is_last(v, api_param(req, "endpoint"))) {
        api_problem(req, 409, "last_endpoint", NULL,
                    "%s has no other endpoint; remove the version instead", v->name.p);
        return;
    }
    const char *address = api_param(req, "endpoint");
    json_t *doc = desired_edit(api_engine(req)->desired, s->name.p);
    overlay_remove_endpoint(doc, v->name.p, address);
    struct edit edit = {
        s, doc, api_param(req, "version"), "version.registered", "endpoint.delete", 200};
    carry_out(req, &edit, xasprintf("%s %s has %s no more", s->name.p, v->name.p, address),
              json_pack("{s:s}", "endpoint", address));
}

static void set_drain(struct api_request *req, bool drain)
{
    static const char *const fields[] = {NULL};
    const char *address = api_param(req, "endpoint");
    const struct conf_service *s;
    long at;
    const struct conf_version *v = reply_endpoint(req, &s, true, &at);

    if (!v || !api_fields(req, api_body(req), "", fields))
        return;
    json_t *doc = desired_edit(api_engine(req)->desired, s->name.p);
    overlay_set_drain(doc, v->name.p, address, drain ? "operator" : NULL);
    struct edit edit = {s,
                        doc,
                        api_param(req, "version"),
                        drain ? "endpoint.drain" : "endpoint.ready",
                        drain ? "endpoint.drain" : "endpoint.ready",
                        200};
    carry_out(req, &edit,
              xasprintf("%s of %s %s %s", address, s->name.p, v->name.p,
                        drain ? "gets no new traffic" : "gets traffic again"),
              json_pack("{s:s}", "endpoint", address));
}

void api_endpoints_drain(struct api_request *req)
{
    set_drain(req, true);
}

void api_endpoints_ready(struct api_request *req)
{
    set_drain(req, false);
}
