/*
 * split.c - ranges of points for keys, and an even sequence for requests without one.
 *
 * Two versions: after t requests the newer one has had floor((t w + phase) / 10000), which is
 * less than one off for every stretch of requests. More versions are a schedule: with weight w
 * a version's request j may come from slot floor(10000 j / w) on and must come before slot
 * ceil(10000 (j + 1) / w). Taking, of those that may come, the one that must come first meets
 * all of them (earliest deadline first on one processor), which keeps every version less than
 * one request off its share. After 10000 slots everybody has had its weight, and it begins
 * anew.
 */
#include "proxy/route/split.h"

#include "proxy/base/check.h"
#include "proxy/base/hash.h"
#include "proxy/route/capacity.h"

#define SALT_SEED 0x53706c697453616cu /* fixed for ever: keys must not move */

/* Insert version V of S with WEIGHT, oldest first; of equal age, in the order of the file. */
static void insert(struct split *sp, const struct conf_service *s, size_t v, uint32_t weight)
{
    size_t i = sp->n++;

    for (; i && s->versions[sp->ranges[i - 1].version].age > s->versions[v].age; i--)
        sp->ranges[i] = sp->ranges[i - 1];
    sp->ranges[i] = (struct split_range){.weight = weight, .version = (uint32_t)v};
}

void split_init(struct split *sp, struct split_range *room, const struct conf_service *s,
                uint32_t phase)
{
    uint32_t end = 0, left = SPLIT_POINTS;
    size_t base = capacity_base(s);

    *sp = (struct split){.ranges = room};
    for (size_t v = 0; v < s->nversions; v++) {
        uint32_t weight = v == base ? 0 : capacity_cut(s, base, v);

        left -= weight;
        if (weight)
            insert(sp, s, v, weight);
    }
    if (base != CAPACITY_NOBODY)
        insert(sp, s, base, left);
    for (size_t i = 0; i < sp->n; i++)
        room[i].end = end += room[i].weight;
    ASSERT(sp->n == 0 || end == SPLIT_POINTS);
    if (sp->n == 2)
        sp->slot = phase % SPLIT_POINTS;
}

void split_resume(struct split *sp, const struct split *old)
{
    if (sp->n != old->n)
        return;
    for (size_t i = 0; i < sp->n; i++)
        if (sp->ranges[i].weight != old->ranges[i].weight ||
            sp->ranges[i].version != old->ranges[i].version)
            return;
    for (size_t i = 0; i < sp->n; i++)
        sp->ranges[i].given = old->ranges[i].given;
    sp->slot = old->slot;
}

uint64_t split_salt(struct str service)
{
    return hash64(service, SALT_SEED);
}

uint32_t split_point(struct str key, uint64_t salt)
{
    /* the high bits choose: scaling 64 bits down is even to one part in 10^15 */
    return (uint32_t)((unsigned __int128)hash64(key, salt) * SPLIT_POINTS >> 64);
}

size_t split_pick(const struct split *sp, uint32_t point)
{
    for (size_t i = 0; i < sp->n; i++)
        if (point < sp->ranges[i].end)
            return sp->ranges[i].version;
    return SPLIT_NOBODY;
}

static void begin_cycle(struct split *sp)
{
    sp->slot = 0;
    for (size_t i = 0; i < sp->n; i++)
        sp->ranges[i].given = 0;
}

static struct split_range *next_of_two(struct split *sp)
{
    sp->slot += sp->ranges[1].weight;
    if (sp->slot < SPLIT_POINTS)
        return &sp->ranges[0];
    sp->slot -= SPLIT_POINTS;
    return &sp->ranges[1];
}

static struct split_range *next_of_many(struct split *sp)
{
    struct split_range *next = NULL;
    uint32_t first = UINT32_MAX;

    for (size_t i = 0; i < sp->n; i++) {
        struct split_range *r = &sp->ranges[i];
        uint32_t deadline;
        if (r->given * SPLIT_POINTS >= (sp->slot + 1) * r->weight)
            continue; /* may not come yet */
        deadline = ((r->given + 1) * SPLIT_POINTS + r->weight - 1) / r->weight;
        if (deadline < first) {
            first = deadline;
            next = r;
        }
    }
    ASSERT(next);
    next->given++;
    if (++sp->slot == SPLIT_POINTS)
        begin_cycle(sp);
    return next;
}

size_t split_next(struct split *sp)
{
    if (sp->n == 0)
        return SPLIT_NOBODY;
    if (sp->n == 1)
        return sp->ranges[0].version;
    return (sp->n == 2 ? next_of_two(sp) : next_of_many(sp))->version;
}
