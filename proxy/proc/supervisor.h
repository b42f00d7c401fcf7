/*
 * supervisor.h - the process that never reads a byte from the network.
 *
 * It owns the listening sockets, the newest snapshots and the child processes; it relays
 * between workers and controller and turns signals into messages. What it parses: the config
 * file, and what an earlier controller left in the state directory.
 *
 *   TERM, INT  drain: finish what is in flight, then exit 0; a second INT stops at once
 *   QUIT       stop at once
 *   HUP        read the config file again
 *   USR1       open the access log again
 *   USR2       go on with the program file as it is now (upgrade.c)
 */
#pragma once
#include "config/conf.h"
#include "proxy/proc/handover.h"

struct supervisor_options {
    const char *config; /* path of the config file; borrowed */
    struct conf *conf;  /* what it says now, taken over; NULL with a handover: no good config */
    const char *program;       /* path of the program file, as it was started */
    bool verbose;              /* children log debug lines as well */
    struct handover *handover; /* what the program before this one left, taken over; or NULL */
};

/* Returns when everything is down again: the exit status of the program. */
int supervisor_run(const struct supervisor_options *o);
