/*
 * handover.c - the text between two supervisors.
 *
 * Invariant: what parses has a config, counters, limits, keys, a snapshot and, for each
 * listener, as many sockets as there were workers.
 */
#include "proxy/proc/handover.h"

#include "proxy/base/log.h"
#include "proxy/base/shm.h"
#include "proxy/base/stats.h"
#include "proxy/base/sys.h"

#include <fcntl.h>
#include <stdlib.h>

#define FD_MOST 1048575 /* a descriptor number; the kernel's own limit is near it */

struct words { /* of one line */
    struct str rest;
    bool bad;
};

void handover_init(struct handover *h)
{
    *h = (struct handover){.config_fd = -1, .stats_fd = -1, .limits_fd = -1, .keys_fd = -1};
    for (int k = 0; k < HANDOUT_KINDS; k++)
        h->fd[k] = -1;
    for (int k = 0; k < APISOCK_KINDS; k++)
        h->api[k] = -1;
    arena_init(&h->arena, NULL, 0);
}

void handover_release(struct handover *h)
{
    vec_release(&h->listeners);
    vec_release(&h->elders.list);
    arena_release(&h->arena);
}

/* ---- writing ---- */

static struct str add(struct handover *h, struct str text, struct str line)
{
    return arena_printf(&h->arena, "%.*s%.*s\n", STR_ARG(text), STR_ARG(line));
}

static struct str write_listener(struct handover *h, const struct handover_listener *l)
{
    struct str s = arena_printf(&h->arena, "listener %.*s %.*s %u", STR_ARG(l->name),
                                STR_ARG(l->host), l->port);

    for (unsigned i = 0; i < h->workers; i++)
        s = arena_printf(&h->arena, "%.*s %d", STR_ARG(s), l->fds[i]);
    return s;
}

struct str handover_write(struct handover *h)
{
    struct arena *a = &h->arena;
    struct str s = arena_printf(
        a,
        "sluice-handover " HANDOVER_VERSION "\nconfig %d\nworkers %u %u\nstats %d\n"
        "limits %d\nsnapshot %llu %d\nkeys %d\n",
        h->config_fd, h->workers, h->base, h->stats_fd, h->limits_fd,
        (unsigned long long)h->number[HANDOUT_SNAPSHOT], h->fd[HANDOUT_SNAPSHOT], h->keys_fd);

    if (h->fd[HANDOUT_FLAGS] >= 0)
        s = add(h, s,
                arena_printf(a, "flags %llu %d", (unsigned long long)h->number[HANDOUT_FLAGS],
                             h->fd[HANDOUT_FLAGS]));
    for (size_t i = 0; i < h->listeners.n; i++)
        s = add(h, s, write_listener(h, &h->listeners.v[i]));
    for (int k = 0; k < APISOCK_KINDS; k++)
        if (h->api[k] >= 0)
            s = add(h, s, arena_printf(a, "api %.*s %d", STR_ARG(apisock_name(k)), h->api[k]));
    for (size_t i = 0; i < h->elders.list.n; i++) {
        const struct elder *e = &h->elders.list.v[i];

        s = add(h, s, arena_printf(a, "elder %ld %u %d", (long)e->pid, e->slab, e->fd));
    }
    return s;
}

/* ---- reading ---- */

static struct str word(struct words *w)
{
    struct str s = str_cut(&w->rest, ' ');

    w->bad |= s.n == 0;
    return s;
}

static uint64_t number(struct words *w, uint64_t max)
{
    uint64_t n = 0;

    w->bad |= !str_to_u64(word(w), max, &n);
    return n;
}

static int descriptor(struct words *w)
{
    return (int)number(w, FD_MOST);
}

static void read_listener(struct handover *h, struct words *w)
{
    struct handover_listener l = {.name = arena_str(&h->arena, word(w)),
                                  .host = arena_str(&h->arena, word(w)),
                                  .port = (uint16_t)number(w, UINT16_MAX),
                                  .fds = arena_zalloc(&h->arena, h->workers * sizeof(*l.fds))};

    for (unsigned i = 0; i < h->workers; i++)
        l.fds[i] = descriptor(w);
    w->bad |= h->workers == 0;
    *vec_add(&h->listeners) = l;
}

static void read_api(struct handover *h, struct words *w)
{
    struct str name = word(w);
    int k = 0;

    while (k < APISOCK_KINDS && !str_eq(name, apisock_name(k)))
        k++;
    if (k < APISOCK_KINDS)
        h->api[k] = descriptor(w);
    else
        w->bad = true;
}

/* Once, and before what is told by worker. */
static void read_workers(struct handover *h, struct words *w)
{
    w->bad |= h->workers > 0;
    h->workers = (unsigned)number(w, STATS_MAX_WORKERS);
    h->base = (unsigned)number(w, STATS_MAX_WORKERS);
    w->bad |= h->workers == 0 || h->base + h->workers > STATS_MAX_WORKERS;
}

static void read_document(struct handover *h, struct words *w, enum handout_kind kind)
{
    h->number[kind] = number(w, UINT64_MAX);
    h->fd[kind] = descriptor(w);
}

static void read_elder(struct handover *h, struct words *w)
{
    struct elder e = {.pid = (pid_t)number(w, INT32_MAX),
                      .slab = (unsigned)number(w, STATS_MAX_WORKERS - 1),
                      .fd = descriptor(w)};

    w->bad |= e.pid <= 1;
    *vec_add(&h->elders.list) = e;
}

static bool read_line(struct handover *h, struct str line)
{
    struct words w = {.rest = line};
    struct str what = word(&w);

    if (str_eq(what, STR("config")))
        h->config_fd = descriptor(&w);
    else if (str_eq(what, STR("workers")))
        read_workers(h, &w);
    else if (str_eq(what, STR("stats")))
        h->stats_fd = descriptor(&w);
    else if (str_eq(what, STR("limits")))
        h->limits_fd = descriptor(&w);
    else if (str_eq(what, STR("keys")))
        h->keys_fd = descriptor(&w);
    else if (str_eq(what, STR("snapshot")))
        read_document(h, &w, HANDOUT_SNAPSHOT);
    else if (str_eq(what, STR("flags")))
        read_document(h, &w, HANDOUT_FLAGS);
    else if (str_eq(what, STR("listener")))
        read_listener(h, &w);
    else if (str_eq(what, STR("api")))
        read_api(h, &w);
    else if (str_eq(what, STR("elder")))
        read_elder(h, &w);
    else
        return false;
    return !w.bad && w.rest.n == 0;
}

bool handover_parse(struct handover *h, struct str text)
{
    struct str first = str_cut(&text, '\n');

    if (!str_eq(first, STR("sluice-handover " HANDOVER_VERSION)))
        return false;
    while (text.n)
        if (!read_line(h, str_cut(&text, '\n')))
            return false;
    return h->config_fd >= 0 && h->stats_fd >= 0 && h->limits_fd >= 0 && h->keys_fd >= 0 &&
           h->workers > 0 && h->fd[HANDOUT_SNAPSHOT] >= 0;
}

void handover_each_fd(const struct handover *h, void (*one)(int fd, void *arg), void *arg)
{
    const int single[] = {h->config_fd,
                          h->stats_fd,
                          h->limits_fd,
                          h->keys_fd,
                          h->fd[HANDOUT_SNAPSHOT],
                          h->fd[HANDOUT_FLAGS],
                          h->api[APISOCK_CONTROL],
                          h->api[APISOCK_CONTROL_TCP],
                          h->api[APISOCK_TELEMETRY]};

    for (size_t i = 0; i < ARRAY_LEN(single); i++)
        if (single[i] >= 0)
            one(single[i], arg);
    for (size_t i = 0; i < h->listeners.n; i++)
        for (unsigned k = 0; k < h->workers; k++)
            one(h->listeners.v[i].fds[k], arg);
    for (size_t i = 0; i < h->elders.list.n; i++)
        one(h->elders.list.v[i].fd, arg);
}

static void hide(int fd, void *arg)
{
    bool *ok = arg;

    *ok &= sys_cloexec(fd, true) == 0; /* fails for one that is not open */
}

int handover_take(struct handover *h)
{
    const char *value = getenv(HANDOVER_VARIABLE);
    struct str text;
    uint64_t fd;
    bool ok = true;

    handover_init(h);
    if (!value)
        return 0;
    if (!str_to_u64(str_of(value), FD_MOST, &fd) || shm_map((int)fd, &text) < 0) {
        log_error(HANDOVER_VARIABLE "=%s is not what a supervisor leaves", value);
        return -1;
    }
    unsetenv(HANDOVER_VARIABLE);
    ok = handover_parse(h, text);
    shm_unmap(text);
    sys_close((int)fd);
    if (ok)
        handover_each_fd(h, hide, &ok);
    if (!ok)
        log_error("what the supervisor before this one left cannot be used");
    return ok ? 1 : -1;
}
