/* stats.c - the shared counters: layout helpers, mapping, and the fold of a dead worker's. */
#include "proxy/base/stats.h"

#include "proxy/base/check.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The codes with a counter of their own. Class representatives (x00) take the others. */
static const uint16_t codes[STATS_NCODES] = {
    100, 101, 103, 200, 201, 202, 203, 204, 205, 206, 207, 226, 300, 301, 302, 303,
    304, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411,
    412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431,
    451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 521, 522, 0,   0,
};

int stats_code_index(int status)
{
    static uint8_t index[600]; /* filled once; the same in every process */
    static bool ready;

    if (!ready) {
        for (int s = 100; s < 600; s++)
            for (int i = 0; i < STATS_NCODES; i++)
                if (codes[i] == s || (!index[s] && codes[i] == s / 100 * 100))
                    index[s] = (uint8_t)i;
        ready = true;
    }
    return status >= 100 && status < 600 ? index[status] : index[500];
}

int stats_code(int i)
{
    return codes[i];
}

const char *stats_method_name(enum stats_method m)
{
    static const char *const names[] = {
#define X(m) #m,
        STATS_METHODS(X)
#undef X
    };
    return names[m];
}

const char *stats_violation_name(enum stats_violation v)
{
    static const char *const names[] = {
#define X(id, name) name,
        STATS_VIOLATIONS(X)
#undef X
    };
    return names[v];
}

const char *stats_mirror_name(enum stats_mirror m)
{
    static const char *const names[] = {
#define X(id, name) name,
        STATS_MIRRORS(X)
#undef X
    };

    return names[m];
}

const char *stats_ejection_name(enum stats_ejection e)
{
    static const char *const names[] = {
#define X(id, name) name,
        STATS_EJECTIONS(X)
#undef X
    };

    return names[e];
}

int stats_create(unsigned workers)
{
    int fd = memfd_create("sluice-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct stats *s;

    if (fd < 0)
        return -1;
    if (ftruncate(fd, sizeof(struct stats)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        goto fail;
    s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (s == MAP_FAILED)
        goto fail;
    s->magic = STATS_MAGIC;
    s->workers = workers;
    atomic_init(&s->used, workers);
    stats_unmap(s);
    return fd;
fail:
    sys_close(fd);
    return -1;
}

void stats_use_slabs(struct stats *s, unsigned n)
{
    ASSERT(n <= STATS_MAX_WORKERS);
    if (n > stats_slabs(s))
        atomic_store_explicit(&s->used, n, memory_order_relaxed);
}

struct stats *stats_map(int fd, int writable)
{
    struct stat st;
    struct stats *s;

    if (fstat(fd, &st) < 0)
        return NULL;
    if ((size_t)st.st_size != sizeof(*s)) {
        errno = EINVAL;
        return NULL;
    }
    s = mmap(NULL, sizeof(*s), writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
             0);
    if (s == MAP_FAILED)
        return NULL;
    if (s->magic != STATS_MAGIC) {
        stats_unmap(s);
        errno = EINVAL;
        return NULL;
    }
    return s;
}

void stats_unmap(struct stats *s)
{
    if (s)
        munmap(s, sizeof(*s));
}

struct stats_clients *stats_clients(struct stats *s, uint32_t table, uint64_t epoch)
{
    struct stats_clients *c;
    uint64_t was;

    ASSERT(table >= 1 && table <= STATS_CLIENT_TABLES);
    c = &s->clients[table - 1];
    was = atomic_load_explicit(&c->epoch, memory_order_relaxed);
    if (was != epoch && atomic_compare_exchange_strong(&c->epoch, &was, epoch)) {
        memset((void *)&c->seen, 0, sizeof(c->seen));
        memset((void *)&c->errors, 0, sizeof(c->errors));
    }
    return c;
}

/* Add FROM's N counters to TO and zero them. */
static void fold(stat_t *to, stat_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = stat_get(&from[i]);

        if (v) {
            stat_add(&to[i], v);
            stat_set(&from[i], 0);
        }
    }
}

#define SPAN(type, a, b) ((offsetof(type, b) - offsetof(type, a)) / sizeof(stat_t))

static void fold_version(struct stats_version *to, struct stats_version *from)
{
    uint64_t last = stat_get(&from->last_routed_us);

    if (last > stat_get(&to->last_routed_us))
        stat_set(&to->last_routed_us, last);
    fold(&to->requests[0][0], &from->requests[0][0],
         SPAN(struct stats_version, requests, last_routed_us));
    stat_set(&from->last_routed_us, 0);
    stat_set(&from->in_flight, 0);
    for (int i = 0; i < STATS_NHELD; i++)
        stat_set(&from->held[i], 0);
    stat_set(&from->waiting_since_us, 0);
    exemplar_clear(from->exemplars);
}

static void fold_endpoint(struct stats_endpoint *to, struct stats_endpoint *from)
{
    fold(&to->requests, &from->requests, SPAN(struct stats_endpoint, requests, in_flight));
    stat_set(&from->in_flight, 0);
    stat_set(&from->connections, 0);
    stat_set(&from->idle, 0);
    stat_set(&from->ejected_until_us, 0);
}

/*
 * Which parts of the mapping hold anything. Asked of the file and never of the mapping: reading
 * a hole through a mapping allocates it, and the next question would find a page there.
 */
struct written {
    int fd;
    const char *base;
    off_t next; /* the first page with data at or behind the last question; -1: not asked yet */
};

/* Is a byte of the N at P not zero? Questions must rise. Yes, when the kernel cannot tell. */
static bool is_written(struct written *w, const void *p, size_t n)
{
    off_t at = (off_t)((const char *)p - w->base);
    char bytes[sizeof(struct stats_version)];

    if (w->next < at) {
        w->next = lseek(w->fd, at, SEEK_DATA);
        if (w->next < 0)
            w->next = errno == ENXIO ? (off_t)sizeof(struct stats) : at;
    }
    if (w->next >= at + (off_t)n)
        return false;
    if (pread(w->fd, bytes, n, at) != (ssize_t)n)
        return true;
    return bytes[0] != 0 || memcmp(bytes, bytes + 1, n - 1) != 0;
}

#define FLAG_ROWS 64 /* cells of flags that are asked about at once */

void stats_retire(struct stats *s, int fd, unsigned worker)
{
    struct stats_slab *from = &s->slabs[worker], *to = &s->slabs[STATS_RETIRED];
    struct written w = {fd, (const char *)s, -1};

    ASSERT(worker < STATS_MAX_WORKERS);
    stat_add(&s->fold_seq, 1);
    atomic_thread_fence(memory_order_seq_cst);
    fold(&to->connections_total, &from->connections_total,
         SPAN(struct stats_slab, connections_total, connections));
    for (int i = 0; i < STATS_FLAG_CELLS; i += FLAG_ROWS)
        if (is_written(&w, from->flag_evaluations[i],
                       FLAG_ROWS * sizeof(to->flag_evaluations[i])))
            fold(to->flag_evaluations[i], from->flag_evaluations[i],
                 FLAG_ROWS * STATS_FLAG_REASONS);
    for (int i = 0; i < STATS_VERSIONS; i++)
        if (is_written(&w, &from->versions[i], sizeof(from->versions[i])))
            fold_version(&to->versions[i], &from->versions[i]);
    for (int i = 0; i < STATS_ENDPOINTS; i++)
        if (is_written(&w, &from->endpoints[i], sizeof(from->endpoints[i])))
            fold_endpoint(&to->endpoints[i], &from->endpoints[i]);
    stat_set(&from->connections, 0);
    stat_set(&from->requests_in_flight, 0);
    stat_set(&from->memory_used, 0);
    stat_set(&from->descriptors_used, 0);
    stat_set(&from->overloaded, 0);
    stat_set(&from->generation, 0);
    stat_set(&from->flags_version, 0);
    stat_set(&from->pid, 0);
    atomic_thread_fence(memory_order_seq_cst);
    stat_add(&s->fold_seq, 1);
}
