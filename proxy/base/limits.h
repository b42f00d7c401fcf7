/*
 * limits.h - what the workers count together: rate limits and exchanges under way.
 *
 * One memfd, made by the supervisor, written by every worker without locks.
 *
 * Rate limits are a fixed table of token buckets, four to a cache line. A key belongs to one
 * line, found by its hash; a line without room forgets the bucket that is nearest to full,
 * which loses nothing if it is full. So memory is bounded whatever keys peers make up; whoever
 * makes up very many can have at most a few limits forgotten early. Two workers that meet a
 * key for the first time at once may let a single request too many through.
 *
 * Gauges have a cell for each worker. The sum is taken after adding, so a limit is never
 * passed; two that meet at the edge may both be refused. What a dead worker held is taken back
 * by the supervisor.
 */
#pragma once
#include "proxy/base/gcra.h"
#include "proxy/base/str.h"

#define LIMITS_BUCKETS 262144
#define LIMITS_GAUGES  256

struct limits;

/* A memfd of fixed size with a fresh secret. -1: errno. */
int limits_create(void);
struct limits *limits_map(int fd); /* writable; NULL: errno, or it is something else */
void limits_unmap(struct limits *l);

/* What names a bucket: KEY of the limit called ID. Depends on the table's secret. */
uint64_t limits_key(const struct limits *l, uint64_t id, struct str key);
/* Take one request out of the bucket KEY. NOW_NS is monotonic, the same for all processes. */
struct gcra_verdict limits_take(struct limits *l, uint64_t key, const struct gcra *g,
                                uint64_t now_ns);

/* One more under way in GAUGE for WORKER; false: that would be more than MAX, none was added.
 */
bool limits_enter(struct limits *l, uint32_t gauge, unsigned worker, uint32_t max);
void limits_leave(struct limits *l, uint32_t gauge, unsigned worker);
/* Supervisor only: WORKER is dead and has nothing under way. */
void limits_retire(struct limits *l, unsigned worker);
