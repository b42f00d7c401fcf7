/* health_tls.c - the services' part of the TLS document, found by name. */
#include "control/link/health_tls.h"

#include "config/names.h"
#include "proxy/base/mem.h"

#include <strings.h>

struct health_tls {
    char *doc; /* texts of the specs point into it */
    size_t n;
    struct arena arena;
    struct names names;
};

struct health_tls *health_tls_new(struct str doc)
{
    struct health_tls *t = xcalloc(1, sizeof(*t));
    struct tls_spec spec;

    t->doc = xstrndup(doc.p, doc.n);
    t->n = doc.n;
    arena_init(&t->arena, NULL, 0);
    bool ok = tls_spec_read(&t->arena, (struct str){t->doc, t->n}, &spec);
    names_init(&t->names, spec.nupstreams);
    for (uint32_t i = 0; ok && i < spec.nupstreams; i++)
        names_add(&t->names, spec.upstreams[i].name, &spec.upstreams[i]);
    if (ok)
        return t;
    health_tls_free(t);
    return NULL;
}

void health_tls_free(struct health_tls *t)
{
    if (!t)
        return;
    names_release(&t->names);
    arena_release(&t->arena);
    explicit_bzero(t->doc, t->n);
    xfree(t->doc);
    xfree(t);
}

const struct tls_upstream_spec *health_tls_of(const struct health_tls *t, struct str service)
{
    return t ? names_find(&t->names, service) : NULL;
}
