/* reach.c - the URL has the name that certificates are checked by, if there is one. */
#include "control/link/reach.h"

#include "config/endpoint.h"
#include "config/units.h"
#include "proxy/base/mem.h"

/* The name that a TLS endpoint is asked by, as traffic does it; empty: it has none. */
static struct str name_of(const struct conf_service *s, const struct conf_endpoint *e)
{
    struct str name = s->tls.server_name;

    if (name.n == 0 && e->port != 0)
        name = endpoint_identity(e->name, e->from);
    return s->tls.enabled && unit_hostname(name) ? name : STR("");
}

void reach_release(struct reach *r)
{
    xfree(r->url);
    xfree(r->address);
    xfree(r->socket);
    *r = (struct reach){0};
}

void reach_set(struct reach *r, const struct conf_service *s, const struct conf_version *v,
               const struct conf_endpoint *e, struct str path)
{
    const char *scheme = s->tls.enabled ? "https" : "http";
    struct str name = name_of(s, e);
    bool v6 = e->host.n && memchr(e->host.p, ':', e->host.n);
    char *address = e->port == 0
                        ? xstrdup("localhost") /* a UNIX socket */
                        : xasprintf(v6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(e->host), e->port);

    reach_release(r);
    r->socket = e->port ? NULL : xstrndup(e->host.p, e->host.n);
    r->secure = s->tls.enabled;
    r->http2 = v->protocol != CONF_UPSTREAM_HTTP1;
    r->announced = s->proxy_protocol != CONF_ANNOUNCE_OFF;
    if (name.n == 0) {
        r->url = xasprintf("%s://%s%.*s", scheme, address, STR_ARG(path));
        xfree(address);
    } else if (e->port == 0) {
        r->url = xasprintf("%s://%.*s%.*s", scheme, STR_ARG(name), STR_ARG(path));
        xfree(address);
    } else {
        r->url = xasprintf("%s://%.*s:%u%.*s", scheme, STR_ARG(name), e->port, STR_ARG(path));
        r->address = address;
    }
}

void reach_use(const struct reach *r, const struct tls_upstream_spec *tls,
               struct fetch_options *o)
{
    ASSERT(!r->secure || tls);
    o->url = r->url;
    o->address = r->address;
    o->socket = r->socket;
    o->tls = r->secure ? tls : NULL;
    o->http2 = r->http2;
    o->proxy_header = r->announced;
}
