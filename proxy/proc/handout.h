/*
 * handout.h - the newest routing snapshot and flag set, ready for a worker that starts.
 *
 * Numbers only rise: whatever the controller, an old disk state or a replayed message says, a
 * worker never goes back.
 */
#pragma once
#include "config/conf.h"

enum handout_kind { HANDOUT_SNAPSHOT, HANDOUT_FLAGS, HANDOUT_KINDS };

struct handout {
    int fd[HANDOUT_KINDS];          /* sealed documents, owned; -1: none */
    uint64_t number[HANDOUT_KINDS]; /* generation and sequence; 0: none */
    uint64_t saved; /* generation that was read from disk at the start; 0: none was */
};

void handout_init(struct handout *h);
void handout_release(struct handout *h);
/*
 * What the workers start with: what the last run saved in C's state_dir, as far as it is
 * readable, otherwise a snapshot of the config alone. C gets stats cells.
 */
MUST_CHECK int handout_boot(struct handout *h, struct conf *c);
/*
 * The documents FD with their NUMBER (taken over, -1: none), from another program. One that
 * this program cannot read is replaced as at a start.
 */
MUST_CHECK int handout_inherit(struct handout *h, struct conf *c, const int fd[HANDOUT_KINDS],
                               const uint64_t number[HANDOUT_KINDS]);
/* Replace the snapshot by one of the config alone, with the next generation. */
MUST_CHECK int handout_rebuild(struct handout *h, struct conf *c);
/* Take FD over. True: it is the newest now. False: its number is not higher than the last
 * one's, or it is not a sealed document; it is closed and the log says so. */
bool handout_offer(struct handout *h, enum handout_kind kind, uint64_t number, int fd);
