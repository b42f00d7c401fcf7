/*
 * names.c - a set of names: open addressing, half empty at most, random seed.
 */
#include "config/names.h"
#include "proxy/base/hash.h"
#include "proxy/base/mem.h"
#include "proxy/base/rng.h"

void names_init(struct names *s, size_t most)
{
    size_t cap = 8;

    while (cap < most * 2)
        cap *= 2;
    s->slots = xcalloc(cap, sizeof(*s->slots));
    s->mask = cap - 1;
    s->seed = 0;
    if (cap > 64) /* a few names need no defence against chosen collisions */
        rng_secure(&s->seed, sizeof(s->seed));
}

void names_release(struct names *s)
{
    xfree(s->slots);
    s->slots = NULL;
}

static struct name_slot *slot_of(const struct names *s, struct str name)
{
    size_t i = hash64(name, s->seed) & s->mask;

    while (s->slots[i].value && !str_eq(s->slots[i].name, name))
        i = (i + 1) & s->mask;
    return &s->slots[i];
}

void *names_add(struct names *s, struct str name, void *value)
{
    struct name_slot *slot = slot_of(s, name);

    if (slot->value)
        return slot->value;
    *slot = (struct name_slot){name, value};
    return NULL;
}

void *names_find(const struct names *s, struct str name)
{
    return slot_of(s, name)->value;
}
