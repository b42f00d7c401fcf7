/*
 * worker.h - one worker process: the data plane and its line to the supervisor.
 *
 * A worker obeys the supervisor alone. Signals that are meant for the supervisor (TERM, INT,
 * HUP, USR1, QUIT) are ignored, since service managers send them to whole process groups; to
 * get rid of one worker, KILL it: it is replaced at once. It ends when it has drained or when
 * the supervisor is gone.
 */
#pragma once

/* Serve as worker SLOT of WORKERS with the descriptors of proxy/proc/spawn.h. Returns the exit
 * status of the process. */
int worker_run(unsigned slot, unsigned workers);
