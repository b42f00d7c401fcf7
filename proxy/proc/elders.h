/*
 * elders.h - workers of the program that was here before an upgrade.
 *
 * They serve on until their line is closed, then drain and end by themselves. Nothing is said
 * to them: the two programs need not speak the same internal protocol.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/vec.h"

#include <stdbool.h>
#include <sys/types.h>

struct elder {
    pid_t pid;
    unsigned slab; /* of stats.h */
    int fd;        /* our end of its line, owned; -1: closed, so it drains */
};

struct elders { /* zeroed: none */
    VEC(struct elder) list;
};

void elders_drain(struct elders *e);
/* PID ended: true if it was one of them, and its SLAB is nobody's now. */
bool elders_reaped(struct elders *e, pid_t pid, unsigned *slab) MUST_CHECK;
void elders_kill(const struct elders *e);
/* Who is left is killed and reaped. */
void elders_release(struct elders *e);
