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
