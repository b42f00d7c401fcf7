/*
 * listeners.c - which sockets stay, open and close when the config changes.
 *
 * Everything that can fail happens on a second list; the first is touched when all is open.
 */
#include "proxy/proc/listeners.h"

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/listen.h"

#include <errno.h>
#include <string.h>

struct entry { /* owned by its list */
    char *name, *host;
    uint16_t port; /* as configured */
    int *fds;      /* one a slot; NULL: moved to another list */
    bool same;     /* new list: also the name is the old one's */
};

struct listeners { /* owned by the supervisor */
    unsigned slots;
    VEC(struct entry) list;
};

static void entry_release(struct entry *e, unsigned slots)
{
    for (unsigned i = 0; e->fds && i < slots; i++)
        sys_close(e->fds[i]);
    xfree(e->fds);
    xfree(e->name);
    xfree(e->host);
}

struct listeners *listeners_new(unsigned slots)
{
    struct listeners *l = xcalloc(1, sizeof(*l));

    l->slots = slots;
    return l;
}

void listeners_close(struct listeners *l)
{
    for (size_t i = 0; i < l->list.n; i++)
        entry_release(&l->list.v[i], l->slots);
    vec_release(&l->list);
}

void listeners_free(struct listeners *l)
{
    if (!l)
        return;
    listeners_close(l);
    xfree(l);
}

/* The entry that C's sockets can be taken from: same address, best with the same name. */
static struct entry *find_kept(struct listeners *l, const struct conf_listener *c)
{
    struct entry *found = NULL;

    for (size_t i = 0; i < l->list.n; i++) {
        struct entry *e = &l->list.v[i];

        if (!e->fds || e->port != c->port || !str_eq(str_of(e->host), c->host))
            continue;
        if (str_eq(str_of(e->name), c->name))
            return e;
        found = e;
    }
    return found;
}

static int entry_open(struct entry *e, unsigned slots, const struct conf_listener *c,
                      struct conf_diags *d)
{
    struct arena *a = &d->arena;

    e->fds = xcalloc(slots, sizeof(*e->fds));
    if (listen_tcp(e->host, e->port, e->fds, slots) == 0) {
        if (e->port == 0)
            log_info("listener %s got port %u", e->name, listen_port(e->fds[0]));
        return 0;
    }
    *vec_add(&d->list) = (struct conf_diag){
        .pointer = arena_printf(a, "/listeners/%s/address", e->name),
        .message = arena_printf(a, "cannot listen on %s: %s", c->address.p, strerror(errno))};
    xfree(e->fds);
    e->fds = NULL;
    return -1;
}

/* Give back what NEXT took from L and drop the rest. */
static void undo(struct listeners *l, struct listeners *next)
{
    for (size_t i = 0; i < next->list.n; i++) {
        struct entry *e = &next->list.v[i];

        for (size_t k = 0; e->fds && k < l->list.n; k++) {
            struct entry *old = &l->list.v[k];

            if (!old->fds && old->port == e->port && strcmp(old->host, e->host) == 0) {
                old->fds = e->fds;
                e->fds = NULL;
            }
        }
    }
    listeners_close(next);
}

static void tell_removed(const struct listeners *l, const struct listeners *next,
                         const struct listeners_callbacks *cb, void *arg)
{
    for (size_t i = 0; i < l->list.n; i++) {
        bool stays = false;

        for (size_t k = 0; k < next->list.n; k++)
            stays |=
                next->list.v[k].same && strcmp(next->list.v[k].name, l->list.v[i].name) == 0;
        if (!stays)
            cb->removed(arg, l->list.v[i].name);
    }
}

int listeners_update(struct listeners *l, const struct conf *c, struct conf_diags *d,
                     const struct listeners_callbacks *cb, void *arg)
{
    struct listeners next = {.slots = l->slots};
    int rc = 0;

    for (size_t i = 0; i < c->nlisteners; i++) {
        const struct conf_listener *want = &c->listeners[i];
        struct entry *kept = find_kept(l, want), *e = vec_add(&next.list);

        *e = (struct entry){
            .name = xstrdup(want->name.p), .host = xstrdup(want->host.p), .port = want->port};
        if (!kept) {
            rc |= entry_open(e, l->slots, want, d);
            continue;
        }
        e->fds = kept->fds;
        kept->fds = NULL;
        e->same = strcmp(kept->name, e->name) == 0;
    }
    if (rc < 0) {
        undo(l, &next);
        return -1;
    }
    if (cb)
        tell_removed(l, &next, cb, arg);
    for (size_t i = 0; cb && i < next.list.n; i++)
        if (!next.list.v[i].same)
            cb->added(arg, next.list.v[i].name, next.list.v[i].fds);
    listeners_close(l);
    l->list.v = next.list.v;
    l->list.n = next.list.n;
    l->list.cap = next.list.cap;
    return 0;
}

void listeners_inherit(struct listeners *l, struct str name, struct str host, uint16_t port,
                       const int *fds)
{
    struct entry *e = vec_add(&l->list);

    *e = (struct entry){.name = xstrndup(name.p, name.n),
                        .host = xstrndup(host.p, host.n),
                        .port = port,
                        .fds = xcalloc(l->slots, sizeof(*fds))};
    memcpy(e->fds, fds, l->slots * sizeof(*fds));
}

size_t listeners_count(const struct listeners *l)
{
    return l->list.n;
}

const char *listeners_name(const struct listeners *l, size_t i)
{
    ASSERT(i < l->list.n);
    return l->list.v[i].name;
}

const char *listeners_host(const struct listeners *l, size_t i)
{
    ASSERT(i < l->list.n);
    return l->list.v[i].host;
}

uint16_t listeners_port(const struct listeners *l, size_t i)
{
    ASSERT(i < l->list.n);
    return l->list.v[i].port;
}

int listeners_fd(const struct listeners *l, size_t i, unsigned slot)
{
    ASSERT(i < l->list.n && slot < l->slots);
    return l->list.v[i].fds[slot];
}
