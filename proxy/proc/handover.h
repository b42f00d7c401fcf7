/*
 * handover.h - what one supervisor leaves to the program that takes its place (SIGUSR2).
 *
 * A sealed text in memory whose descriptor is named by SLUICE_HANDOVER: which of the open
 * descriptors is what. It is the only thing that two versions of the program have to agree on,
 * so it has a version; a program that does not know it says so in its trial, before anything
 * has changed.
 *
 *   sluice-handover 1
 *   config FD                         the config in effect, as conf_dump writes it
 *   workers N BASE                    worker I had the slab BASE + I
 *   stats FD
 *   limits FD
 *   snapshot GENERATION FD
 *   flags SEQUENCE FD                 left out: there are none
 *   keys FD                           of session tickets
 *   listener NAME HOST PORT FD...     one descriptor a worker
 *   api NAME FD                       apisock_name
 *   elder PID SLAB FD                 a worker that goes on until FD, its line, is closed
 */
#pragma once
#include "proxy/base/vec.h"
#include "proxy/proc/apisock.h"
#include "proxy/proc/elders.h"
#include "proxy/proc/handout.h"

#include <stdbool.h>

#define HANDOVER_VERSION  "1"
#define HANDOVER_VARIABLE "SLUICE_HANDOVER"

struct handover_listener {
    struct str name, host; /* in the handover's arena */
    uint16_t port;         /* as configured */
    int *fds;              /* one a worker */
};

struct handover { /* descriptors belong to whoever takes them out; -1: none */
    struct arena arena;
    unsigned workers, base;
    int config_fd, stats_fd, limits_fd, keys_fd;
    int fd[HANDOUT_KINDS];
    uint64_t number[HANDOUT_KINDS];
    int api[APISOCK_KINDS];
    VEC(struct handover_listener) listeners;
    struct elders elders;
};

void handover_init(struct handover *h);
void handover_release(struct handover *h); /* memory only: no descriptor is closed */

/* H as text, in its arena. */
struct str handover_write(struct handover *h);
/* Parse what handover_write of any program wrote. False: it is not of this version, or damaged.
 */
bool handover_parse(struct handover *h, struct str text) MUST_CHECK;

/* Call ONE with every descriptor that H names. */
void handover_each_fd(const struct handover *h, void (*one)(int fd, void *arg), void *arg);

/*
 * 1: the environment has a handover; it is in H, its descriptors are close-on-exec, and the
 * variable is gone. 0: an ordinary start. -1: it has one that is of no use, which is logged.
 */
int handover_take(struct handover *h) MUST_CHECK;
