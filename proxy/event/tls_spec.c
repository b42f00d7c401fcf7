/*
 * tls_spec.c - one walk over the members, taken by the writer and by the reader alike.
 *
 * Numbers are four bytes of the machine's own order, texts a number and their bytes: the
 * document never leaves the machine, nor the run of the program.
 */
#include "proxy/event/tls_spec.h"

#define COUNT_MAX 65536 /* elements of one array */

struct walk {
    struct arena *a;
    bool writing, bad;
    char *out;       /* writing: where to, NULL while only the size is wanted */
    size_t n;        /* bytes so far */
    struct str left; /* reading */
};

static void walk_bytes(struct walk *w, void *p, size_t n)
{
    if (w->writing) {
        if (w->out && n)
            memcpy(w->out + w->n, p, n);
        w->n += n;
    } else if (w->left.n < n) {
        w->bad = true;
        memset(p, 0, n);
    } else {
        memcpy(p, w->left.p, n);
        w->left = str_skip(w->left, n);
    }
}

static void walk_number(struct walk *w, uint32_t *n)
{
    walk_bytes(w, n, sizeof(*n));
}

static void walk_text(struct walk *w, struct str *s)
{
    uint32_t n = (uint32_t)s->n;

    walk_number(w, &n);
    if (w->writing) {
        walk_bytes(w, (void *)(uintptr_t)s->p, n);
    } else if (n > w->left.n) {
        w->bad = true;
        *s = STR_NONE;
    } else {
        *s = (struct str){w->left.p, n};
        w->left = str_skip(w->left, n);
    }
}

/* The number of elements; when reading, *LIST becomes room for them. */
static uint32_t walk_count(struct walk *w, uint32_t *n, void *list, size_t size)
{
    void *room;

    walk_number(w, n);
    if (w->writing)
        return *n;
    if (*n > COUNT_MAX) {
        w->bad = true;
        *n = 0;
    }
    room = arena_zalloc(w->a, *n * size + 1);
    memcpy(list, &room, sizeof(room));
    return *n;
}

static void walk_cert(struct walk *w, struct tls_cert_spec *c)
{
    walk_text(w, &c->cert);
    walk_text(w, &c->key);
    walk_text(w, &c->ocsp);
    walk_text(w, &c->client_ca);
    walk_number(w, &c->client_auth);
}

static void walk_listener(struct walk *w, struct tls_listener_spec *l)
{
    walk_text(w, &l->name);
    walk_text(w, &l->ciphers);
    walk_text(w, &l->suites);
    walk_text(w, &l->curves);
    walk_number(w, &l->min_version);
    walk_number(w, &l->max_version);
    walk_number(w, &l->protocols);
    walk_count(w, &l->ncerts, &l->certs, sizeof(*l->certs));
    for (uint32_t i = 0; i < l->ncerts && !w->bad; i++)
        walk_cert(w, &l->certs[i]);
}

static void walk_upstream(struct walk *w, struct tls_upstream_spec *u)
{
    walk_text(w, &u->name);
    walk_text(w, &u->ca);
    walk_text(w, &u->cert);
    walk_text(w, &u->key);
    walk_text(w, &u->server_name);
    walk_number(w, &u->verify);
}

static void walk_spec(struct walk *w, struct tls_spec *s)
{
    walk_count(w, &s->nlisteners, &s->listeners, sizeof(*s->listeners));
    for (uint32_t i = 0; i < s->nlisteners && !w->bad; i++)
        walk_listener(w, &s->listeners[i]);
    walk_count(w, &s->nupstreams, &s->upstreams, sizeof(*s->upstreams));
    for (uint32_t i = 0; i < s->nupstreams && !w->bad; i++)
        walk_upstream(w, &s->upstreams[i]);
}

struct str tls_spec_write(struct arena *a, const struct tls_spec *s)
{
    struct tls_spec copy = *s; /* a writer changes nothing */
    struct walk w = {.a = a, .writing = true};
    size_t n;

    walk_spec(&w, &copy);
    n = w.n;
    w.out = arena_alloc(a, n);
    w.n = 0;
    walk_spec(&w, &copy);
    return (struct str){w.out, n};
}

bool tls_spec_read(struct arena *a, struct str doc, struct tls_spec *s)
{
    struct walk w = {.a = a, .left = doc};

    *s = (struct tls_spec){0};
    walk_spec(&w, s);
    return !w.bad && w.left.n == 0;
}
