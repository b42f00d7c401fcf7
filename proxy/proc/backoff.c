/* backoff.c - 0, 100, 200, 400 ... 10000 ms; one life of a second starts it over. */
#include "proxy/proc/backoff.h"

uint64_t backoff_next(struct backoff *b, uint64_t lived_ms)
{
    uint64_t delay = BACKOFF_FIRST_MS;

    if (lived_ms >= BACKOFF_YOUNG_MS) {
        b->young = 0;
        return 0;
    }
    if (b->young++ == 0)
        return 0;
    for (unsigned i = 2; i < b->young && delay < BACKOFF_MOST_MS; i++)
        delay *= 2;
    return delay < BACKOFF_MOST_MS ? delay : BACKOFF_MOST_MS;
}
