/*
 * backoff.h - how long to wait before a dead child is started again.
 *
 * One accident costs nothing: the child is replaced at once. Only a child that dies young again
 * and again waits, twice as long each time. Pure: time comes in as a number.
 */
#pragma once
#include <stdint.h>

#define BACKOFF_YOUNG_MS 1000 /* a child that lived shorter died young */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS  10000

struct backoff {    /* zeroed: nothing happened yet */
    unsigned young; /* deaths in a row that came too early */
};

/* The child died after LIVED_MS: ms to wait before the next start, 0..BACKOFF_MOST_MS. */
uint64_t backoff_next(struct backoff *b, uint64_t lived_ms);
