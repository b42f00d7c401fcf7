/*
 * supervisor_state.h - what the supervisor holds: shared by the files of this folder that
 * change it (supervisor.c, reload.c, upgrade.c), and by nobody else.
 */
#pragma once
#include "proxy/base/limits.h"
#include "proxy/base/stats.h"
#include "proxy/proc/apisock.h"
#include "proxy/proc/children.h"
#include "proxy/proc/elders.h"
#include "proxy/proc/handout.h"
#include "proxy/proc/listeners.h"
#include "proxy/proc/material.h"
#include "proxy/proc/notify.h"
#include "proxy/proc/supervisor.h"

enum phase { RUNNING, DRAINING, STOPPING };

enum upgrade_state {
    UPGRADE_NONE,
    UPGRADE_TRIAL,   /* the new program checks the configuration */
    UPGRADE_CLEARING /* who must not be there any more is going, then the new program runs */
};

struct upgrade { /* by upgrade.c */
    enum upgrade_state state;
    pid_t trial;
    struct timer timer; /* of the trial, and between looks afterwards */
};

struct supervisor { /* on the stack of supervisor_run */
    const struct supervisor_options *options;
    struct conf *conf;
    struct loop *loop;
    enum phase phase;
    bool announced; /* every worker has routed once */
    unsigned base;  /* worker I has slab BASE + I */
    int stats_fd;
    struct stats *stats;
    int limits_fd;
    struct limits *limits;
    struct spawn_user user;
    struct listeners *listeners;
    struct apisock apisock;
    struct handout handout;
    struct material material;
    struct material next_material; /* of a config that is being adopted */
    bool adopting;
    struct ticket_keys ticket_keys;
    struct timer rotation; /* of these */
    struct children *children;
    struct elders elders;  /* workers of the program before an upgrade */
    bool elders_count;     /* in our counters; false: these are new */
    struct timer farewell; /* of theirs: runs out as patience does */
    struct upgrade upgrade;
    struct notify *notify;
    int log_fd; /* access log; -1: off */
    struct sig term, interrupt, quit, hangup, usr1, usr2;
    struct timer patience; /* runs out: who is left is killed */
};

void tell_workers(struct supervisor *s, const struct ipc_msg *msg);
void tell_controller(struct supervisor *s, const struct ipc_msg *msg);
void log_diags(const struct conf_diags *d);
void send_config(struct supervisor *s);
void send_certificates(struct supervisor *s);

/* What was fixed when the processes were started stays in NEXT as it is in OLD. */
void keep_fixed(struct conf *next, const struct conf *old);

/* boot.c: by the options; 0, or -1 and the log says why. */
int boot(struct supervisor *s) MUST_CHECK;

/* reload.c: read the config file again; what is wrong with it goes to the log and the
 * controller, and nothing has changed then. */
void reload(struct supervisor *s);
/* A descriptor for the access log that C asks for in *FD (-1: off). 0, or -1 with a diagnostic.
 */
int try_log(const struct conf *c, int *fd, struct conf_diags *d) MUST_CHECK;
void reopen_log(struct supervisor *s);

/* upgrade.c */
void upgrade_init(struct supervisor *s);
void upgrade_start(struct supervisor *s);  /* SIGUSR2 */
void upgrade_cancel(struct supervisor *s); /* the proxy goes down: it has no successor */
/* A process that is none of the children ended with STATUS of waitpid. */
void upgrade_reaped(struct supervisor *s, pid_t pid, int status);
void upgrade_go_on(struct supervisor *s); /* a child is gone: perhaps the last one */
