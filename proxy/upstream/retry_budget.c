/* retry_budget.c - how many retries a service gets. */
#include "proxy/upstream/retry_budget.h"

static void turn(struct retry_budget *b, uint64_t now_us)
{
    uint64_t age = now_us - b->began_us;

    if (age < RETRY_HALF_US)
        return;
    b->old_asked = age < 2 * RETRY_HALF_US ? b->asked : 0;
    b->old_retried = age < 2 * RETRY_HALF_US ? b->retried : 0;
    b->asked = b->retried = 0;
    b->began_us = now_us;
}

void retry_budget_ask(struct retry_budget *b, uint64_t now_us)
{
    turn(b, now_us);
    b->asked++;
}

bool retry_budget_take(struct retry_budget *b, uint32_t percent, uint64_t now_us)
{
    uint64_t asked, retried;

    turn(b, now_us);
    asked = (uint64_t)b->asked + b->old_asked;
    retried = (uint64_t)b->retried + b->old_retried;
    if (retried >= RETRY_FREE && (retried + 1) * 100 > asked * percent)
        return false;
    b->retried++;
    return true;
}
