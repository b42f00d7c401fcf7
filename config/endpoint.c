/* endpoint.c - the notation of an endpoint. */
#include "config/endpoint.h"
#include "config/units.h"

static const struct str srv = {"srv:", 4};

/* "_http._tcp.shop.internal": two labels that begin with '_', and a domain. */
static bool is_service(struct str name)
{
    struct str rest = name;

    return str_starts(str_cut(&rest, '.'), STR("_")) &&
           str_starts(str_cut(&rest, '.'), STR("_")) && unit_hostname(rest) &&
           unit_hostname(name);
}

bool endpoint_read(struct arena *a, struct conf_endpoint *ep)
{
    if (str_starts(ep->name, srv)) {
        ep->host = STR("");
        ep->port = 0;
        return is_service(str_skip(ep->name, srv.n));
    }
    if (!unit_endpoint(a, ep->name, &ep->host, &ep->port))
        return false;
    if (ep->port != 0 && str_eq(ep->host, STR("localhost")))
        ep->host = STR("127.0.0.1");
    else if (ep->port != 0 && !unit_ip(ep->host))
        ep->host = STR("");
    return true;
}

struct endpoint_query endpoint_query(struct str source)
{
    struct str number = source, name = str_cut(&number, ':');
    uint64_t port = 0;

    if (str_starts(source, srv))
        return (struct endpoint_query){str_skip(source, srv.n), 0};
    (void)str_to_u64(number, UINT16_MAX, &port);
    return (struct endpoint_query){name, (uint16_t)port};
}

struct str endpoint_identity(struct str name, struct str from)
{
    struct endpoint_query q = endpoint_query(from);
    const char *colon = memrchr(name.p, ':', name.n);

    if (from.n > 0 && q.port == 0) {
        (void)str_cut(&q.name, '.');
        (void)str_cut(&q.name, '.');
    }
    if (from.n > 0)
        return q.name;
    if (name.p[0] == '[')
        return (struct str){name.p + 1, (size_t)(colon - name.p) - 2};
    return (struct str){name.p, colon ? (size_t)(colon - name.p) : name.n};
}
