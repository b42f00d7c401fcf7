/* secrets.c - a TLS document becomes contexts: the listeners' first, all or none. */
#include "proxy/stream/secrets.h"

#include "proxy/base/hash.h"
#include "proxy/base/mem.h"

void secrets_init(struct secrets *s)
{
    *s = (struct secrets){0};
}

static void drop_servers(struct secrets *s)
{
    for (size_t i = 0; i < s->servers.n; i++) {
        tls_server_unref(s->servers.v[i].server);
        xfree(s->servers.v[i].name);
    }
    vec_release(&s->servers);
}

static void drop_clients(struct client_row *row)
{
    for (struct secret_client *c = LIST_FIRST(row), *next; c; c = next) {
        next = LIST_NEXT(c, link);
        tls_client_free(c->client);
        xfree(c);
    }
}

void secrets_release(struct secrets *s)
{
    drop_servers(s);
    for (size_t i = 0; i < ARRAY_LEN(s->clients); i++)
        drop_clients(&s->clients[i]);
}

struct tls_server *secrets_server(const struct secrets *s, struct str listener)
{
    for (size_t i = 0; i < s->servers.n; i++)
        if (str_eq(str_of(s->servers.v[i].name), listener))
            return s->servers.v[i].server;
    return NULL;
}

struct tls_client *secrets_client(struct secrets *s, struct str service)
{
    struct client_row *row = &s->clients[hash64(service, 0) % ARRAY_LEN(s->clients)];
    struct secret_client *c;

    LIST_FOREACH (c, row, link)
        if (str_eq(tls_client_name(c->client), service))
            return c->client;
    c = xcalloc(1, sizeof(*c));
    c->client = tls_client_new(service);
    LIST_INSERT_HEAD(row, c, link);
    return c->client;
}

static int refuse(char **why, struct str name, const struct tls_fault *f)
{
    *why = xasprintf("%.*s: %s", STR_ARG(name), f->text);
    return -1;
}

static int build_servers(struct secrets *next, const struct tls_spec *spec,
                         const struct tls_tickets *tickets, char **why)
{
    for (uint32_t i = 0; i < spec->nlisteners; i++) {
        const struct tls_listener_spec *l = &spec->listeners[i];
        struct tls_fault f;
        struct tls_server *server = tls_server_new(l, tickets, &f);

        if (!server)
            return refuse(why, l->name, &f);
        *vec_add(&next->servers) =
            (struct secret_server){xstrndup(l->name.p, l->name.n), server};
    }
    return 0;
}

static int set_clients(struct secrets *s, const struct tls_spec *spec, char **why)
{
    for (uint32_t i = 0; i < spec->nupstreams; i++) {
        const struct tls_upstream_spec *u = &spec->upstreams[i];
        struct tls_fault f;

        if (!tls_client_set(secrets_client(s, u->name), u, &f))
            return refuse(why, u->name, &f);
    }
    return 0;
}

int secrets_apply(struct secrets *s, struct str doc, char **why)
{
    struct secrets next = {0};
    struct tls_spec spec;
    struct arena a;
    int rc = -1;

    *why = NULL;
    arena_init(&a, NULL, 0);
    if (!tls_spec_read(&a, doc, &spec))
        *why = xstrdup("not a TLS document");
    else if (build_servers(&next, &spec, &s->tickets, why) == 0)
        rc = set_clients(s, &spec, why);
    arena_release(&a);
    if (rc < 0) {
        drop_servers(&next);
        return -1;
    }
    drop_servers(s);
    s->servers.v = next.servers.v;
    s->servers.n = next.servers.n;
    s->servers.cap = next.servers.cap;
    return 0;
}
