/* limits.c - token buckets and gauges in shared memory. */
#include "proxy/base/limits.h"

#include "proxy/base/check.h"
#include "proxy/base/hash.h"
#include "proxy/base/rng.h"
#include "proxy/base/stats.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMITS_MAGIC 0x4c494d31u /* LIM1 */
#define WAYS         4
#define SETS         (LIMITS_BUCKETS / WAYS)

struct bucket {
    _Atomic uint64_t key; /* 0: free */
    _Atomic uint64_t full_ns;
};

struct limits {
    uint32_t magic;
    uint64_t seed;
    _Alignas(64) struct bucket sets[SETS][WAYS];
    _Atomic uint32_t gauges[LIMITS_GAUGES][STATS_MAX_WORKERS];
};

int limits_create(void)
{
    int fd = memfd_create("sluice-limits", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct limits *l;

    if (fd < 0)
        return -1;
    if (ftruncate(fd, sizeof(*l)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        goto fail;
    l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (l == MAP_FAILED)
        goto fail;
    l->magic = LIMITS_MAGIC;
    rng_secure(&l->seed, sizeof(l->seed));
    limits_unmap(l);
    return fd;
fail:
    sys_close(fd);
    return -1;
}

struct limits *limits_map(int fd)
{
    struct stat st;
    struct limits *l;

    if (fstat(fd, &st) < 0)
        return NULL;
    if ((size_t)st.st_size != sizeof(*l)) {
        errno = EINVAL;
        return NULL;
    }
    l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (l == MAP_FAILED)
        return NULL;
    if (l->magic != LIMITS_MAGIC) {
        limits_unmap(l);
        errno = EINVAL;
        return NULL;
    }
    return l;
}

void limits_unmap(struct limits *l)
{
    if (l)
        munmap(l, sizeof(*l));
}

uint64_t limits_key(const struct limits *l, uint64_t id, struct str key)
{
    uint64_t h = hash64(key, hash_mix(l->seed ^ id));

    return h ? h : 1;
}

/* The bucket in SET that may be forgotten with the least loss. */
static struct bucket *fullest(struct bucket *set)
{
    struct bucket *best = &set[0];

    for (int i = 1; i < WAYS; i++)
        if (atomic_load(&set[i].full_ns) < atomic_load(&best->full_ns))
            best = &set[i];
    return best;
}

static struct bucket *find(struct limits *l, uint64_t key)
{
    struct bucket *set = l->sets[key % SETS], *b;
    uint64_t before, full;

    for (int i = 0; i < WAYS; i++)
        if (atomic_load(&set[i].key) == key)
            return &set[i];
    b = fullest(set);
    before = atomic_load(&b->key);
    full = atomic_load(&b->full_ns);
    /* Lost to another worker: then its key and ours share a bucket for this once. */
    if (atomic_compare_exchange_strong(&b->key, &before, key))
        (void)atomic_compare_exchange_strong(&b->full_ns, &full, 0);
    return b;
}

struct gcra_verdict limits_take(struct limits *l, uint64_t key, const struct gcra *g,
                                uint64_t now_ns)
{
    struct bucket *b = find(l, key);
    uint64_t full = atomic_load(&b->full_ns);
    struct gcra_verdict v;

    do {
        v = gcra_eval(g, full, now_ns);
    } while (v.allowed && !atomic_compare_exchange_weak(&b->full_ns, &full, v.full_ns));
    return v;
}

bool limits_enter(struct limits *l, uint32_t gauge, unsigned worker, uint32_t max)
{
    uint64_t sum = 0;

    ASSERT(gauge < LIMITS_GAUGES && worker < STATS_MAX_WORKERS);
    atomic_fetch_add(&l->gauges[gauge][worker], 1);
    for (unsigned i = 0; i < STATS_MAX_WORKERS; i++)
        sum += atomic_load(&l->gauges[gauge][i]);
    if (sum <= max)
        return true;
    limits_leave(l, gauge, worker);
    return false;
}

void limits_leave(struct limits *l, uint32_t gauge, unsigned worker)
{
    atomic_fetch_sub(&l->gauges[gauge][worker], 1);
}

void limits_retire(struct limits *l, unsigned worker)
{
    for (unsigned i = 0; i < LIMITS_GAUGES; i++)
        atomic_store(&l->gauges[i][worker], 0);
}
