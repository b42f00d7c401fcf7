/*
 * overload.h - when a worker has too much to do: new work is refused, what is under way ends.
 *
 * What is in use is looked at every OVERLOAD_SAMPLE_MS, never per request. Above a mark of
 * descriptors idle connections go first, of either protocol; if that is not enough, the worker
 * is *over*: it answers requests 503 and closes their connections, until it is a tenth below
 * the mark. Near the last descriptor it does not accept, so that requests under way can still
 * connect.
 */
#pragma once
#include "config/model.h"
#include "proxy/event/loop.h"

#define OVERLOAD_SAMPLE_MS 100
#define OVERLOAD_LEAST_MS  1000  /* over lasts that long at least */
#define OVERLOAD_TLS_BYTES 32768 /* what OpenSSL needs for a connection, about */
#define OVERLOAD_OTHER_FDS 32    /* descriptors that are no connections */

struct plane;

struct overload { /* of a plane */
    struct conf_overload mark;
    struct timer timer;
    unsigned over; /* bits of stats_overload; 0: all is well */
    uint64_t since_us;
    uint64_t ceiling; /* descriptors from which on nobody is accepted */
};

void overload_init(struct plane *p);
void overload_stop(struct plane *p);
/* So near the last descriptor that nobody is to be accepted. */
bool overload_is_full(const struct plane *p);
/* The marks of a new configuration. */
void overload_set(struct plane *p, const struct conf_overload *mark);
