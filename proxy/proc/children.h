/*
 * children.h - the supervisor's table of child processes, and who is alive in it.
 *
 * A child is UP from its start to its death, DOWN for the moment of its death and BACKOFF while
 * it waits to be started again. Slots 0..workers-1 are workers, the one after them is the
 * controller. The table is the only place that starts and reaps processes.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/event/ipc.h"
#include "proxy/event/loop.h"
#include "proxy/proc/backoff.h"
#include "proxy/proc/spawn.h"

struct children;

struct child { /* owned by its table */
    unsigned slot;
    enum ipc_worker_state state;
    pid_t pid;           /* 0: none */
    struct ipc *ipc;     /* NULL: none */
    uint64_t restarts;   /* starts after the first one */
    uint64_t backoff_ms; /* of the wait it is in; 0: none */
    char reason[128];    /* why it is not up, "killed by signal 9 (Killed)", or empty */
    uint64_t generation, sequence; /* acked by this process; kept here for its reader */

    /* private */
    struct children *set;
    uint64_t started_us;
    struct backoff backoff;
    struct timer restart;
    const char *path; /* of the program */
    char *argv[10];   /* strings owned */
};

struct children_callbacks {
    /* C entered its state. UP: its socket is open, nothing was sent yet. */
    void (*changed)(void *arg, struct child *c);
    /* C sent MSG; its descriptor belongs to the callback. */
    void (*message)(void *arg, struct child *c, const struct ipc_msg *msg);
    /* A process that is none of the table's ended. STATUS: of waitpid. */
    void (*stranger)(void *arg, pid_t pid, int status);
};

/* N workers and a controller, none of them started. CALLBACKS and USER are borrowed. */
struct children *children_new(struct loop *l, unsigned workers, int stats_fd,
                              const struct spawn_user *user,
                              const struct children_callbacks *callbacks, void *arg);
void children_free(struct children *s); /* processes that are left are killed and reaped */

/* What child SLOT runs; strings of ARGV are copied, at most 9. PATH is borrowed. */
void children_program(struct children *s, unsigned slot, const char *path,
                      const char *const *argv);
void children_start(struct children *s);   /* all of them */
void children_quiesce(struct children *s); /* from now on nobody is started again */
void children_hold(struct children *s);    /* the same until children_resume */
void children_resume(struct children *s);  /* and whoever is missing is started */

unsigned children_workers(const struct children *s);
struct child *children_worker(struct children *s, unsigned slot);
struct child *children_controller(struct children *s);
bool children_workers_gone(const struct children *s); /* no worker process is left */

void child_signal(struct child *c, int signo); /* no-op without a process */
/* Send when it is up; otherwise a no-op: it gets the state of things when it starts. */
void child_send(struct child *c, const struct ipc_msg *msg);
/* {"pid","restarts","backoff_ms","reason"} into BUF (>= 320 bytes), for IPC_WORKER. */
struct str child_json(const struct child *c, char *buf, size_t cap);
