/*
 * h2_numbers.h - the numbers of streams that a peer passed over.
 *
 * Opening a stream closes all idle ones below it (RFC 9113 5.1.1), so a HEADERS frame on one of
 * those is no message that crossed ours: nobody ever opened it. On a number that was in use it
 * may be just that, behind a reset, and is none of this file's business. What is remembered is
 * bounded: of peers that pass over more often, the latest gaps.
 */
#pragma once
#include "proxy/base/check.h"

#include <stdbool.h>
#include <stdint.h>

#define H2_GAPS 8

struct h2_numbers {
    uint32_t highest; /* 0: none was opened */
    uint32_t at;      /* gaps that were found: the latest lies at (at - 1) % H2_GAPS */
    struct {
        uint32_t from, to; /* `to` is in it; both 0: none */
    } gaps[H2_GAPS];
};

/* A HEADERS frame came for stream ID. False: it was passed over. */
bool h2_numbers_open(struct h2_numbers *n, uint32_t id) MUST_CHECK;
