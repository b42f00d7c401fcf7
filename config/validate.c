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
    struct node *path = node_get(n, STR("path")), *service = node_get(n, STR("service"));

    if (path && s->health.by != CONF_CHECK_HTTP && !str_eq(s->health.path, STR("/")))
        (void)diag_at(l->d, path, AT_KEY, "a %s check has no path",
                      s->health.by == CONF_CHECK_TCP ? "tcp" : "grpc");
    if (service && s->health.by != CONF_CHECK_GRPC && s->health.service.n)
        (void)diag_at(l->d, service, AT_KEY, "only a grpc check has a service");
    if (service && s->health.service.n > CONF_CHECK_SERVICE)
        (void)diag_at(l->d, service, AT_VALUE, "longer than %d bytes", CONF_CHECK_SERVICE);
}

static void check_mirror(struct loader *l, const struct conf_service *s, struct node *n)
{
    struct node *to = node_get(n, STR("to"));

    if (to && s->mirror.to.n && conf_version_find(s, s->mirror.to) < 0)
        (void)diag_at(l->d, to, AT_VALUE, "there is no version \"%.*s\"",
                      STR_ARG(s->mirror.to));
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

/* What follows from the fields of a rate. */
static void settle_rate(struct loader *l, struct conf_rate *r)
{
    bool key_ok = r->requests == 0 || load_rate_key(l, r->by, &r->key);

    (void)key_ok; /* a bad one was reported */
    if (r->burst == 0)
        r->burst = r->requests;
}

static void check_ofrep(struct loader *l, const struct node *root, struct node *n)
{
    struct conf_ofrep *o = n->target;
    struct node *keys = node_get(n, STR("keys"));

    for (struct node *k = keys && keys->kind == NODE_ARRAY ? keys->first : NULL; k; k = k->next)
        if (k->kind == NODE_STRING && k->text.n == 0)
            (void)diag_at(l->d, k, AT_VALUE, "an empty key would let everybody in");
    if (!node_get(root, STR("flags")))
        (void)diag_at(l->d, n, AT_KEY, "there are no flags without \"flags\"");
    settle_rate(l, &o->rate);
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
        if ((part = node_get(n, STR("ofrep"))) && part->kind == NODE_OBJECT && part->target)
            check_ofrep(l, root, part);
    }
}

static void check_pair(struct loader *l, const struct conf_service_tls *t, struct node *n)
{
    if ((t->cert.n > 0) != (t->key.n > 0))
        (void)diag_at(l->d, n, AT_KEY, "cert and key belong together");
}

static void check_service_tls(struct loader *l, const struct conf_service *s, struct node *n)
{
    if (s->proxy_protocol != CONF_ANNOUNCE_OFF)
        (void)diag_at(l->d, n, AT_KEY, "a PROXY header cannot be sent to endpoints with TLS");
    check_pair(l, &s->tls, n);
}

static void check_flags(struct loader *l, const struct node *root)
{
    const struct node *flags = node_get(root, STR("flags"));
    struct node *tls = flags ? node_get(flags, STR("tls")) : NULL;
    struct conf_flags *f = &l->c->flags;

    f->redis_tls = str_starts(f->redis, STR("rediss://"));
    if (!tls || tls->kind != NODE_OBJECT)
        return;
    if (!f->redis_tls)
        (void)diag_at(l->d, tls, AT_KEY, "TLS is spoken to Redis at rediss://, not redis://");
    check_pair(l, &f->tls, tls);
}

/* What is spoken to the endpoints must go with how connections to them begin. */
static void check_protocol(struct loader *l, const struct conf_service *s, struct node *version)
{
    const struct conf_version *v = version->target;
    struct node *n = node_get(version, STR("protocol"));

    if (!n || n->kind != NODE_STRING || v->protocol == CONF_UPSTREAM_HTTP1)
        return;
    if (v->protocol == CONF_UPSTREAM_H2 && !s->tls.enabled)
        (void)diag_at(l->d, n, AT_VALUE,
                      "\"h2\" needs \"tls\" of the service; \"h2c\" does not");
    if (v->protocol == CONF_UPSTREAM_H2C && s->tls.enabled)
        (void)diag_at(l->d, n, AT_VALUE, "with TLS it is \"h2\"");
    if (s->proxy_protocol != CONF_ANNOUNCE_OFF)
        (void)diag_at(l->d, n, AT_VALUE,
                      "connections that many clients share cannot begin with a PROXY header");
}

static void check_protocols(struct loader *l, const struct conf_service *s,
                            const struct node *versions)
{
    for (struct node *n = versions->first; n; n = n->next)
        if (n->kind == NODE_OBJECT && n->target)
            check_protocol(l, s, n);
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
        if ((part = node_get(n, STR("versions"))) && part->kind == NODE_OBJECT)
            check_protocols(l, n->target, part);
        if ((part = node_get(n, STR("mirror"))) && part->kind == NODE_OBJECT)
            check_mirror(l, n->target, part);
        if ((part = node_get(n, STR("overrides"))) && part->kind == NODE_ARRAY)
            check_overrides(l, part);
    }
}

/* Thousands of routes: not by way of a format. */
static struct str lines(struct arena *a, const struct str *parts, size_t n)
{
    size_t size = n, used = 0;
    char *text;

    for (size_t i = 0; i < n; i++)
        size += parts[i].n;
    text = arena_alloc(a, size);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            text[used++] = '\n';
        if (parts[i].n)
            memcpy(text + used, parts[i].p, parts[i].n);
        used += parts[i].n;
    }
    return (struct str){text, used};
}

/* All that a route matches on, as one name. */
static struct str route_condition(struct arena *a, const struct conf_route *r)
{
    const struct str parts[] = {r->host,       r->path,     r->path_exact,
                                r->path_regex, r->flag_key, r->flag_variant};
    struct str s = lines(a, parts, ARRAY_LEN(parts));

    for (size_t i = 0; i < r->nmethods; i++)
        s = arena_printf(a, "%.*s\n%.*s", STR_ARG(s), STR_ARG(r->methods[i]));
    for (size_t i = 0; i < r->nmatches; i++)
        s = arena_printf(a, "%.*s\n%d%d%.*s=%.*s", STR_ARG(s), r->matches[i].kind,
                         r->matches[i].present, STR_ARG(r->matches[i].name),
                         STR_ARG(r->matches[i].value));
    return s;
}

/* One kind of path; the default prefix gives way. */
static void check_route_path(struct loader *l, struct conf_route *r, struct node *n)
{
    bool exact = r->path_exact.n > 0, regex = r->path_regex.n > 0;

    if (exact + regex + (node_get(n, STR("path")) != NULL) > 1)
        (void)diag_at(l->d, n, AT_VALUE,
                      "give one of \"path\", \"path_exact\" and \"path_regex\"");
    if (exact || regex)
        r->path = STR("");
}

static void check_redirect(struct loader *l, const struct conf_redirect *r, struct node *n)
{
    struct node *status = node_get(n, STR("status")), *to = node_get(n, STR("to"));

    if (status && r->status > 303 && r->status < 307)
        (void)diag_at(l->d, status, AT_VALUE, "must be 301, 302, 303, 307 or 308, is %u",
                      r->status);
    if (to && r->keep && memchr(r->to.p, '?', r->to.n))
        (void)diag_at(l->d, to, AT_VALUE,
                      "with a query of its own nothing can be appended: add \"keep\": []");
}

static void check_respond(struct loader *l, const struct conf_respond *r, struct node *n)
{
    if ((r->status == 204 || r->status == 205 || r->status == 304) && r->body.n > 0)
        (void)diag_at(l->d, n, AT_VALUE, "an answer with status %u has no body", r->status);
}

static void check_route_action(struct loader *l, const struct conf_route *r, struct node *n)
{
    static const struct str for_services[] = {STR_INIT("rewrite"), STR_INIT("request_headers"),
                                              STR_INIT("response_headers")};
    struct node *service = node_get(n, STR("service")), *part;
    struct node *redirect = node_get(n, STR("redirect")),
                *respond = node_get(n, STR("respond"));

    if (!service + !redirect + !respond != 2)
        (void)diag_at(l->d, n, AT_VALUE,
                      "give one of \"service\", \"redirect\" and \"respond\"");
    for (size_t i = 0; !service && i < ARRAY_LEN(for_services); i++)
        if ((part = node_get(n, for_services[i])))
            (void)diag_at(l->d, part, AT_KEY, "only for routes to a service");
    if (!service && r->timeout_ms > 0)
        (void)diag_at(l->d, n, AT_VALUE, "\"timeout\" is only for routes to a service");
    if (redirect)
        check_redirect(l, &r->redirect, redirect);
    if (respond)
        check_respond(l, &r->respond, respond);
}

static void check_each_route(struct loader *l, const struct node *routes)
{
    for (struct node *n = routes->first; n; n = n->next) {
        size_t before = l->d->list.n;

        if (n->faulty)
            continue;
        check_route_path(l, n->target, n);
        check_route_action(l, n->target, n);
        n->faulty = l->d->list.n > before;
    }
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
static void finish_route(struct loader *l, struct conf_route *r, struct str condition,
                         const struct node *n, uint32_t *gauges)
{
    settle_rate(l, &r->rate);
    r->id = hash64(condition, 0);
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
    check_each_route(l, routes);
    names_init(&seen, routes->n);
    for (struct node *n = routes->first; n; n = n->next) {
        struct str condition;

        if (n->faulty)
            continue;
        check_route_flag(l, root, n);
        condition = route_condition(&l->tmp, n->target);
        if ((first = names_add(&seen, condition, n)))
            report_second(l, n, AT_VALUE, first,
                          "never reached: same conditions as an earlier route");
        finish_route(l, n->target, condition, n, &gauges);
    }
    names_release(&seen);
}

static void check_dns(struct loader *l, const struct node *root)
{
    const struct node *dns = node_get(root, STR("dns"));

    if (dns && l->c->dns.min_ttl_ms > l->c->dns.max_ttl_ms)
        (void)diag_at(l->d, dns, AT_KEY, "min_ttl is longer than max_ttl");
}

void load_validate(struct loader *l, const struct node *root)
{
    if (root->kind != NODE_OBJECT)
        return;
    check_addresses(l, root);
    check_dns(l, root);
    check_flags(l, root);
    check_listeners(l, root);
    check_services(l, root);
    check_routes(l, root);
}
