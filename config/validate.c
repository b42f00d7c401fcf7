/*
 * validate.c - mistakes that take more than one field to see.
 *
 * Works on the filled model, with the tree beside it for the places. Parts that could not be
 * loaded have no target and were reported already.
 */
#include "config/load.h"
#include "proxy/base/hash.h"
#include "proxy/base/limits.h"

static void report_second(struct loader *l, const struct node *n, enum diag_where where,
                          const struct node *first, const char *message)
{
    struct conf_diag *g = diag_at(l->d, n, where, "%s", message);

    diag_hint(l->d, g, "first given at %.*s", STR_ARG(diag_where(l->d, first)));
}

static void check_address(struct loader *l, struct names *seen, struct node *n)
{
    struct node *first;

    if (!n || n->text.n == 0 || str_ends(n->text, STR(":0"))) /* the kernel picks: no clash */
        return;
    if ((first = names_add(seen, n->text, n)))
        report_second(l, n, AT_VALUE, first, "two listeners with the same address");
}

static void check_addresses(struct loader *l, const struct node *root)
{
    struct node *listeners = node_get(root, STR("listeners"));
    struct node *control = node_get(root, STR("control"));
    struct names seen;

    names_init(&seen, (listeners ? listeners->n : 0) + 2);
    for (struct node *n = listeners ? listeners->first : NULL; n; n = n->next)
        if (n->kind == NODE_OBJECT)
            check_address(l, &seen, node_get(n, STR("address")));
    if (control && control->kind == NODE_OBJECT) {
        check_address(l, &seen, node_get(control, STR("listen")));
        check_address(l, &seen, node_get(control, STR("telemetry")));
    }
    names_release(&seen);
}

static void lower(struct str s)
{
    char *p = (char *)(uintptr_t)s.p; /* our own copy */

    for (size_t i = 0; i < s.n; i++)
        p[i] = ascii_lower(p[i]);
}

static void check_sticky(struct loader *l, struct conf_service *s, struct node *n)
{
    struct node *name = node_get(n, STR("name")), *ttl = node_get(n, STR("ttl"));
    struct conf_sticky *sticky = &s->sticky;

    if (sticky->by == CONF_STICKY_NONE)
        return;
    if (sticky->by == CONF_STICKY_IP && name)
        (void)diag_at(l->d, name, AT_KEY, "a client_ip has no name");
    if (sticky->by != CONF_STICKY_IP && !name)
        (void)diag_at(l->d, n, AT_KEY, "missing key \"name\": of the %s",
                      sticky->by == CONF_STICKY_COOKIE ? "cookie" : "header field");
    if (sticky->by != CONF_STICKY_COOKIE && ttl && sticky->ttl_ms > 0)
        (void)diag_at(l->d, ttl, AT_KEY, "only a cookie has a ttl");
    if (sticky->by == CONF_STICKY_HEADER)
        lower(sticky->name);
}

static void check_health(struct loader *l, const struct conf_service *s, struct node *n)
{
    struct node *path = node_get(n, STR("path"));

    if (path && s->health.by == CONF_CHECK_TCP && !str_eq(s->health.path, STR("/")))
        (void)diag_at(l->d, path, AT_KEY, "a tcp check has no path");
}

static void check_overrides(struct loader *l, struct node *list)
{
    struct names seen;
    struct node *name, *match, *first;

    names_init(&seen, list->n);
    for (struct node *n = list->first; n; n = n->next) {
        const struct conf_override *o = n->target;

        if (n->kind != NODE_OBJECT)
            continue;
        name = node_get(n, STR("name"));
        if (name && o->name.n > 0 && (first = names_add(&seen, o->name, name)))
            report_second(l, name, AT_VALUE, first, "two overrides with the same name");
        match = node_get(n, STR("match"));
        if (match && match->kind == NODE_OBJECT && o->nmatches == 0)
            (void)diag_at(l->d, match, AT_VALUE, "matches nothing: give a header or a cookie");
    }
    names_release(&seen);
}

/* Who asks for certificates must know who signs them. */
static void check_client_auth(struct loader *l, struct node *tls)
{
    const struct conf_listener_tls *t = tls->target;
    struct node *list = node_get(tls, STR("certificates"));
    bool asks = t->client_auth > CONF_AUTH_NONE;

    for (struct node *n = list && list->kind == NODE_ARRAY ? list->first : NULL; n;
         n = n->next) {
        const struct conf_certificate *c = n->target;

        if (n->kind == NODE_OBJECT && c->client_auth > CONF_AUTH_NONE && c->client_ca.n == 0 &&
            t->client_ca.n == 0)
            (void)diag_at(l->d, n, AT_VALUE, "client_auth needs a client_ca");
        asks |= n->kind == NODE_OBJECT && c->client_auth > CONF_AUTH_NONE;
    }
    if (t->client_auth > CONF_AUTH_NONE && t->client_ca.n == 0)
        (void)diag_at(l->d, tls, AT_KEY, "client_auth needs a client_ca");
    if (!asks && t->client_ca.n > 0)
        (void)diag_at(l->d, node_get(tls, STR("client_ca")), AT_KEY,
                      "nobody is asked for a certificate: say client_auth");
}

static void check_versions(struct loader *l, const struct node *tls)
{
    const struct conf_listener_tls *t = tls->target;

    if (t->min_version > t->max_version)
        (void)diag_at(l->d, node_get(tls, STR("max_version")), AT_VALUE,
                      "no version is left: min_version is newer");
}

static void check_listeners(struct loader *l, const struct node *root)
{
    struct node *listeners = node_get(root, STR("listeners")), *part;

    for (struct node *n = listeners ? listeners->first : NULL; n; n = n->next) {
        if (n->kind != NODE_OBJECT || !n->target)
            continue;
        if ((part = node_get(n, STR("protocols"))) && part->kind == NODE_ARRAY && part->n == 0)
            (void)diag_at(l->d, part, AT_VALUE, "must name at least one protocol");
        if ((part = node_get(n, STR("tls"))) && part->kind == NODE_OBJECT && part->target) {
            check_client_auth(l, part);
            check_versions(l, part);
        }
    }
}

static void check_service_tls(struct loader *l, const struct conf_service *s, struct node *n)
{
    const struct conf_service_tls *t = &s->tls;

    if (s->proxy_protocol != CONF_ANNOUNCE_OFF)
        (void)diag_at(l->d, n, AT_KEY, "a PROXY header cannot be sent to endpoints with TLS");
    if ((t->cert.n > 0) != (t->key.n > 0))
        (void)diag_at(l->d, n, AT_KEY, "cert and key belong together");
}

static void check_services(struct loader *l, const struct node *root)
{
    struct node *services = node_get(root, STR("services")), *part;

    for (struct node *n = services ? services->first : NULL; n; n = n->next) {
        if (n->kind != NODE_OBJECT || !n->target)
            continue;
        if ((part = node_get(n, STR("sticky"))) && part->kind == NODE_OBJECT)
            check_sticky(l, n->target, part);
        if ((part = node_get(n, STR("health"))) && part->kind == NODE_OBJECT)
            check_health(l, n->target, part);
        if ((part = node_get(n, STR("tls"))) && part->kind == NODE_OBJECT && part->target)
            check_service_tls(l, n->target, part);
        if ((part = node_get(n, STR("overrides"))) && part->kind == NODE_ARRAY)
            check_overrides(l, part);
    }
}

/* All that a route matches on, as one name. */
static struct str route_condition(struct arena *a, const struct conf_route *r)
{
    return arena_printf(a, "%.*s\n%.*s\n%.*s\n%.*s", STR_ARG(r->host), STR_ARG(r->path),
                        STR_ARG(r->flag_key), STR_ARG(r->flag_variant));
}

/* Without "flags" no flag exists, so the route would never match. */
static void check_route_flag(struct loader *l, const struct node *root, struct node *n)
{
    struct node *flag = node_get(n, STR("flag"));

    if (flag && !node_get(root, STR("flags")))
        (void)diag_at(l->d, flag, AT_KEY, "there are no flags without \"flags\"");
}

static void check_fault(struct loader *l, const struct conf_route *r, const struct node *n)
{
    const struct node *fault = node_get(n, STR("fault"));

    if (!fault)
        return;
    if (r->fault.abort > 0 && r->fault.abort < 200)
        (void)diag_at(l->d, node_get(fault, STR("abort")), AT_VALUE,
                      "must be 0 or 200 to 599, is %u", r->fault.abort);
    else if (r->fault.abort == 0 && r->fault.delay_ms == 0)
        (void)diag_at(l->d, fault, AT_KEY, "does nothing: give a delay or an abort");
}

/* What a route's limits are once it is known what it matches on. */
static void finish_route(struct loader *l, struct conf_route *r, const struct node *n,
                         uint32_t *gauges)
{
    bool key_ok = r->rate.requests == 0 || load_rate_key(l, r->rate.by, &r->rate.key);

    ASSERT(key_ok); /* its form was checked */
    r->id = hash64(route_condition(&l->tmp, r), 0);
    if (r->rate.burst == 0)
        r->rate.burst = r->rate.requests;
    if (r->max_concurrent > 0 && *gauges == LIMITS_GAUGES)
        (void)diag_at(l->d, node_get(n, STR("max_concurrent")), AT_KEY,
                      "at most %d routes can have one", LIMITS_GAUGES);
    else if (r->max_concurrent > 0)
        r->gauge = (*gauges)++;
    r->guarded = r->rate.requests || r->max_concurrent || r->max_body || r->fault.abort ||
                 r->fault.delay_ms;
    check_fault(l, r, n);
}

static void check_routes(struct loader *l, const struct node *root)
{
    struct node *routes = node_get(root, STR("routes")), *first;
    struct names seen;
    uint32_t gauges = 0;

    if (!routes || routes->kind != NODE_ARRAY)
        return;
    names_init(&seen, routes->n);
    for (struct node *n = routes->first; n; n = n->next) {
        if (n->faulty)
            continue;
        check_route_flag(l, root, n);
        if ((first = names_add(&seen, route_condition(&l->tmp, n->target), n)))
            report_second(l, n, AT_VALUE, first,
                          "never reached: same host, path and flag as an earlier route");
        finish_route(l, n->target, n, &gauges);
    }
    names_release(&seen);
}

void load_validate(struct loader *l, const struct node *root)
{
    if (root->kind != NODE_OBJECT)
        return;
    check_addresses(l, root);
    check_listeners(l, root);
    check_services(l, root);
    check_routes(l, root);
}
