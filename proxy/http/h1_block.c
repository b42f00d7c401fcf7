/* h1_block.c - bodies framed and unframed where they lie. Head and tail room of a block
 * (block.h) hold a chunk's frame, and a decoded chunk never grows. */
#include "proxy/http/h1_block.h"

enum h1_body_event h1_block_decode(struct h1_body *body, struct block *b, struct str *rest)
{
    struct str in = block_str(b), data;
    enum h1_body_event e;
    char *to = NULL;

    while ((e = h1_body_next(body, &in, &data)) == H1_BODY_DATA) {
        if (!to) {
            b->start = (uint32_t)(data.p - b->data);
            to = b->data + b->start;
        }
        if (to != data.p)
            memmove(to, data.p, data.n);
        to += data.n;
    }
    b->end = to ? (uint32_t)(to - b->data) : b->start;
    *rest = e == H1_BODY_END ? in : STR_NONE;
    return e;
}

void h1_block_chunk(struct block *b)
{
    char size[H1_CHUNK_HEAD];
    size_t n = h1_chunk_head(size, b->end - b->start);

    ASSERT(b->start >= n && b->start < b->end);
    b->start -= (uint32_t)n;
    memcpy(b->data + b->start, size, n);
    block_append(b, H1_CHUNK_TAIL);
}
