/* mirror_state.h - a copy under way; plane.c needs to know its size, nobody else looks in. */
#pragma once
#include "proxy/stream/plane_state.h"

struct mirror { /* owned by the plane, from mirror_begin to its end */
    uint32_t magic;
    struct plane *plane;
    struct tables *tables; /* a reference: row is in there */
    const struct mirror_row *row;
    struct stream *waits_for; /* whose body is not complete yet: its ->mirror; NULL: none */
    LIST_ENTRY(mirror) link;
    struct endpoint *ep;
    struct upconn *conn;     /* NULL: the body is not complete yet */
    struct block_list text;  /* owned: head without its last line, then the body */
    struct block *last;      /* of text */
    uint32_t head_end;       /* bytes of the head in the first block */
    uint32_t held;           /* bytes of blocks, in the budget */
    uint64_t body, received; /* bytes: of the request's body so far, of the answer's */
    uint64_t sent_us;
    enum method asked;
    struct deadline deadline; /* of all of it */
    struct grave grave;
    int status; /* of the answer; 0: none yet */
    bool has_body;
    bool fresh; /* the last try, on no kept connection: it is the second, or not all is kept */
    struct head resp;
};
