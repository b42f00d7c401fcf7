/*
 * retry_budget.h - how many retries a service gets: a share of its requests over a time window.
 *
 * Counted in two halves of the window, so that what is remembered is 5 to 10 s long. A few are
 * always free: with hardly any traffic a share of it would be none.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define RETRY_HALF_US 5000000u
#define RETRY_FREE    10 /* in a window */

struct retry_budget {  /* zeroed at first */
    uint64_t began_us; /* the newer half */
    uint32_t asked, retried;
    uint32_t old_asked, old_retried;
};

/* A request came. */
void retry_budget_ask(struct retry_budget *b, uint64_t now_us);
/* Spend one retry if PERCENT of the requests allow it. */
bool retry_budget_take(struct retry_budget *b, uint32_t percent, uint64_t now_us);
