/* h2_piece.h - what a stream of HTTP/2 has to send, piece by piece. */
#pragma once
#include "proxy/base/str.h"

struct h2_piece {
    size_t n;            /* bytes that were copied */
    bool last;           /* nothing comes after them */
    struct str trailers; /* with `last`: lines, or empty; valid until it returns */
};
