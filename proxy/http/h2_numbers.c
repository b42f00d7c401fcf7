/* h2_numbers.c - a few gaps, the oldest of them overwritten. */
#include "proxy/http/h2_numbers.h"

static bool passed_over(const struct h2_numbers *n, uint32_t id)
{
    for (unsigned i = 0; i < H2_GAPS; i++)
        if (id >= n->gaps[i].from && id <= n->gaps[i].to)
            return true;
    return false;
}

bool h2_numbers_open(struct h2_numbers *n, uint32_t id)
{
    uint32_t next = n->highest ? n->highest + 2 : 1;

    if (id < next)
        return id == n->highest || !passed_over(n, id);
    if (id > next) {
        unsigned i = n->at++ % H2_GAPS;

        n->gaps[i].from = next;
        n->gaps[i].to = id - 1;
    }
    n->highest = id;
    return true;
}
