/*
 * clients.h - tells one client's many events from many clients' one.
 *
 * A table of one byte for each of 65,536 hashes of a client's key, shared by all workers. Of a
 * client's events its 1st, 3rd, 7th, 15th... count (floor(log2(n + 1)) steps), up to the
 * 255th: a client that fails for ever is a few events, a hundred clients that fail are at
 * least a hundred. Clients that share a byte are taken for one.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#define CLIENTS_ROWS 65536

struct clients {
    _Atomic uint8_t seen[CLIENTS_ROWS];
};

/*
 * One more event of the client whose key hashes to HASH (any of its bits may vary). The number
 * of its events so far if this is one that counts (1, 3, 7, ... 255), else 0. Threads and
 * processes may call it at the same time.
 */
static inline unsigned clients_event(struct clients *c, uint64_t hash)
{
    _Atomic uint8_t *row = &c->seen[(hash ^ hash >> 16 ^ hash >> 32) % CLIENTS_ROWS];
    unsigned n = atomic_load_explicit(row, memory_order_relaxed);

    if (n == UINT8_MAX)
        return 0;
    n = atomic_fetch_add_explicit(row, 1, memory_order_relaxed) + 1u;
    return (n & (n + 1)) == 0 && n <= UINT8_MAX ? n : 0;
}
