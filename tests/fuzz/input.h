/* input.h - the bytes of a fuzzer, taken one after the other, and frames made of them. */
#pragma once
#include "proxy/base/str.h"

#define FRAME_HEAD 9

/* The next byte of IN; zero behind its end. */
static inline uint8_t take(struct str *in)
{
    uint8_t c = in->n ? (uint8_t)in->p[0] : 0;

    *in = str_skip(*in, in->n ? 1 : 0);
    return c;
}

/* The header of an HTTP/2 frame with N bytes behind it; its length. */
static inline size_t put_frame_head(char *to, size_t n, uint8_t type, uint8_t flags, uint8_t id)
{
    memset(to, 0, FRAME_HEAD);
    to[1] = (char)(n >> 8);
    to[2] = (char)n;
    to[3] = (char)type;
    to[4] = (char)flags;
    to[8] = (char)id;
    return FRAME_HEAD;
}
