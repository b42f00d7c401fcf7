/*
 * h2_memory.h - what nghttp2 holds, counted, so that a worker knows what HTTP/2 costs it.
 *
 * A session of nghttp2 grows with what its peer does: streams, tables of header compression,
 * frames that wait to be sent. Its own limits bound that; this makes it visible.
 */
#pragma once
#include <nghttp2/nghttp2.h>
#include <stddef.h>

/* An allocator that keeps the bytes it gave out in *USED, which outlives what it gave out. */
nghttp2_mem h2_memory(size_t *used);
