/*
 * block.h - the buffers that bytes travel in: fixed blocks from a list of the worker's.
 *
 * A block has one owner at a time: the io that reads into it, the stream that keeps its head,
 * or the io that writes it out. The filled range is data[start..end); there is always room for
 * a chunk-size line in front of what was read and for a chunk's end behind it, so that a body
 * is framed anew where it lies.
 */
#pragma once
#include "proxy/base/slab.h"
#include "proxy/base/str.h"

#include <sys/queue.h>

#define BLOCK_HEADROOM 16 /* "ffffffff\r\n" and to spare */
#define BLOCK_TAILROOM 8  /* "\r\n0\r\n\r\n" */
#define BLOCK_SMALL    16384
#define BLOCK_LARGE    65536

struct block {
    STAILQ_ENTRY(block) link;
    uint32_t start, end; /* filled: data[start..end) */
    uint32_t limit;      /* reading stops here; the tail room lies behind */
    bool large;
    char data[];
};
STAILQ_HEAD(block_list, block);

struct blocks {
    struct slab small, large;
    size_t used; /* blocks that are out */
};

void blocks_init(struct blocks *bs);
void blocks_release(struct blocks *bs); /* every block must be back */
/* An empty block; room for BLOCK_SMALL or BLOCK_LARGE bytes. */
struct block *block_get(struct blocks *bs, bool large) __attribute__((returns_nonnull));
void block_put(struct blocks *bs, struct block *b); /* NULL is a no-op */

static inline size_t block_room(const struct block *b)
{
    return b->end < b->limit ? b->limit - b->end : 0;
}

static inline struct str block_str(const struct block *b)
{
    return (struct str){b->data + b->start, b->end - b->start};
}

/* Copy S behind what is filled; the caller has checked block_room. */
static inline void block_append(struct block *b, struct str s)
{
    if (s.n)
        memcpy(b->data + b->end, s.p, s.n);
    b->end += (uint32_t)s.n;
}

/* Copy S behind the last block of LIST, into new ones as needed. */
void block_list_append(struct blocks *bs, struct block_list *list, struct str s);
/* Move at most CAP bytes from its beginning to TO; how many. */
size_t block_list_take(struct blocks *bs, struct block_list *list, char *to, size_t cap);
void block_list_drop(struct blocks *bs, struct block_list *list); /* empty it */
