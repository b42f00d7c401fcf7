/*
 * outlier.h - endpoints that fail request after request get a pause (passive health).
 *
 * Each worker judges by what it sees itself. A pause lasts the configured time, and longer each
 * time that it follows soon on another; never more than a share of a version's endpoints have
 * one at a time.
 */
#pragma once
#include "proxy/upstream/balance.h"

#define OUTLIER_GROWTH_MAX 10 /* pauses become at most this many times the first one */

/* EP, a target of B, failed or answered 5xx. True: its pause has begun. */
bool outlier_failed(const struct balance *b, const struct conf_outlier *c, struct endpoint *ep,
                    uint64_t now_us);
/* It answered. */
void outlier_answered(struct endpoint *ep);
