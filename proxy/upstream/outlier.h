/*
 * outlier.h - endpoints that fail, or that are far slower than the others, get a pause
 * (passive health).
 *
 * Each worker judges by what it sees itself: errors in a row, the share of failures over a
 * window, the typical time of answers beside that of the other endpoints. A pause lasts the
 * configured time, and longer each time that it follows soon on another; who comes back from
 * one must answer before it fails. Never more than a share of a version's endpoints have one at
 * a time.
 */
#pragma once
#include "proxy/upstream/balance.h"

#define OUTLIER_GROWTH_MAX 10    /* pauses become at most this many times the first one */
#define OUTLIER_SLOW_US    10000 /* slower by less is no reason */
#define OUTLIER_OTHERS     2     /* endpoints that it takes to say what is usual */

/* EP, a target of B, failed or answered 5xx. True: its pause has begun. */
bool outlier_failed(const struct balance *b, const struct conf_outlier *c, struct endpoint *ep,
                    uint64_t now_us);
/* It answered, TOOK_US after it had the request. True as above. */
bool outlier_answered(const struct balance *b, const struct conf_outlier *c,
                      struct endpoint *ep, uint64_t took_us, uint64_t now_us);
/* It has not answered for TOOK_US, and nobody waits for it any more. True as above. */
bool outlier_outrun(const struct balance *b, const struct conf_outlier *c, struct endpoint *ep,
                    uint64_t took_us, uint64_t now_us);
