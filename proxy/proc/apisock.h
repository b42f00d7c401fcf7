/*
 * apisock.h - the sockets of the control API, held by the supervisor, served by the controller.
 *
 * They outlive every controller: a call that comes while one is being replaced waits in the
 * queue and is answered by the next.
 */
#pragma once
#include "config/conf.h"
#include "proxy/proc/spawn.h"

enum apisock_kind { APISOCK_CONTROL, APISOCK_CONTROL_TCP, APISOCK_TELEMETRY, APISOCK_KINDS };

struct apisock { /* zeroed: nothing is open */
    bool open[APISOCK_KINDS];
    int fd[APISOCK_KINDS];
    char *path; /* of the socket file */
};

/* Open what C asks for; the socket file belongs to U. 0, or -1 with diagnostics in D. */
MUST_CHECK int apisock_open(struct apisock *a, const struct conf_control *c,
                            const struct spawn_user *u, struct conf_diags *d);
/* The sockets FD[kind] (-1: none) are open already, and C says where the file is. */
void apisock_inherit(struct apisock *a, const struct conf_control *c,
                     const int fd[APISOCK_KINDS]);
void apisock_close(struct apisock *a);        /* and removes the socket file */
struct str apisock_name(enum apisock_kind k); /* as in IPC_LISTEN_API */
