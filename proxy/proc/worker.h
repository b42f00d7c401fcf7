/*
 * worker.h - one worker process: the data plane and its line to the supervisor.
 *
 * A worker obeys the supervisor alone. Signals that are meant for the supervisor (TERM, INT,
 * HUP, USR1, QUIT) are ignored, since service managers send them to whole process groups; to
 * get rid of one worker, KILL it: it is replaced at once. It ends when it has drained or when
 * the supervisor is gone. After IPC_HANDOVER there is another supervisor, which does not speak
 * to it: it goes on as it is, and drains when the line is closed.
 */
#pragma once

struct worker_options {
    unsigned slot, workers; /* which of how many */
    unsigned slab;          /* of stats.h, its own */
};

/* Serve with the descriptors of proxy/proc/spawn.h. Returns the exit status of the process. */
int worker_run(const struct worker_options *o);
