/* block.c - the buffers that bytes travel in, kept on two free lists. */
#include "proxy/event/block.h"

#include "proxy/base/check.h"

/* What the lists hold on to: 16 MiB and 8 MiB. More is in use only under a burst. */
#define KEEP_SMALL 1024
#define KEEP_LARGE 128

static size_t slot(size_t room)
{
    return sizeof(struct block) + BLOCK_HEADROOM + room + BLOCK_TAILROOM;
}

void blocks_init(struct blocks *bs)
{
    slab_init(&bs->small, slot(BLOCK_SMALL), KEEP_SMALL);
    slab_init(&bs->large, slot(BLOCK_LARGE), KEEP_LARGE);
    bs->used = 0;
}

void blocks_release(struct blocks *bs)
{
    ASSERT(bs->used == 0);
    slab_release(&bs->small);
    slab_release(&bs->large);
}

struct block *block_get(struct blocks *bs, bool large)
{
    struct block *b = slab_get(large ? &bs->large : &bs->small);

    b->start = b->end = BLOCK_HEADROOM;
    b->limit = BLOCK_HEADROOM + (large ? BLOCK_LARGE : BLOCK_SMALL);
    b->large = large;
    bs->used++;
    return b;
}

void block_put(struct blocks *bs, struct block *b)
{
    if (!b)
        return;
    bs->used--;
    slab_put(b->large ? &bs->large : &bs->small, b);
}

static struct block *last_of(struct block_list *list)
{
    if (STAILQ_EMPTY(list))
        return NULL;
    return (struct block *)(void *)((char *)list->stqh_last -
                                    offsetof(struct block, link.stqe_next));
}

void block_list_append(struct blocks *bs, struct block_list *list, struct str s)
{
    while (s.n) {
        struct block *b = last_of(list);
        size_t n = b ? block_room(b) : 0;

        if (n == 0) {
            b = block_get(bs, s.n > BLOCK_SMALL);
            STAILQ_INSERT_TAIL(list, b, link);
            n = block_room(b);
        }
        n = n < s.n ? n : s.n;
        block_append(b, (struct str){s.p, n});
        s = str_skip(s, n);
    }
}

size_t block_list_take(struct blocks *bs, struct block_list *list, char *to, size_t cap)
{
    struct block *b;
    size_t n = 0;

    while (n < cap && (b = STAILQ_FIRST(list))) {
        size_t part = b->end - b->start < cap - n ? b->end - b->start : cap - n;

        memcpy(to + n, b->data + b->start, part);
        n += part;
        b->start += (uint32_t)part;
        if (b->start == b->end) {
            STAILQ_REMOVE_HEAD(list, link);
            block_put(bs, b);
        }
    }
    return n;
}

void block_list_drop(struct blocks *bs, struct block_list *list)
{
    struct block *b;

    while ((b = STAILQ_FIRST(list))) {
        STAILQ_REMOVE_HEAD(list, link);
        block_put(bs, b);
    }
}
