/*
 * ipc.h - the whole internal protocol: messages between supervisor, workers and controller.
 *
 * A SEQPACKET socketpair between the supervisor and each child; children never talk to each
 * other directly. The supervisor relays snapshots from the controller to the workers and their
 * acks back, and keeps the latest of each kind: a worker that starts gets them at once, with or
 * without a controller. One message is one packet: header, at most IPC_TEXT_MAX bytes of text,
 * at most one descriptor. Peers are our own processes: a malformed packet is a bug (ASSERT).
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"
#include "proxy/event/loop.h"

#define IPC_TEXT_MAX 32768

/* a, b: the numbers of the message. fd, text: what it carries; "-" nothing. */
enum ipc_type {
    /* supervisor -> worker */
    IPC_LISTEN = 1,  /* a listening socket.      fd, text = listener name */
    IPC_UNLISTEN,    /* stop accepting there.    text = listener name */
    IPC_SNAPSHOT,    /* a = generation.          fd = sealed routing snapshot */
    IPC_FLAGS,       /* a = flag-set sequence.   fd = sealed flag-set snapshot */
    IPC_LOG,         /* write the access log here from now on. fd, or none: off */
    IPC_TLS,         /* certificates and keys. fd = sealed document of tls_spec.h */
    IPC_TICKET_KEYS, /* of session tickets. text = keys of tls_server.h, newest first */
    IPC_LIMITS,      /* what workers count together. fd = memfd of limits.h */
    IPC_DRAIN,       /* finish and exit.         a = deadline in ms */
    IPC_HANDOVER,    /* when this line ends, do that. a = deadline in ms */
    /* worker -> supervisor, relayed to the controller with b = worker slot */
    IPC_ACK_SNAPSHOT, /* a = generation, live in this worker */
    IPC_ACK_FLAGS,    /* a = flag-set sequence */
    IPC_NACK,         /* a = generation, refused. text = why */
    IPC_NACK_FLAGS,   /* a = flag-set sequence, refused. text = why */
    /* supervisor -> controller */
    IPC_CONFIG,       /* the effective config.  a = highest generation relayed so far,
                         b = highest flag-set sequence. fd = sealed config document (JSON),
                         text = path of the config file */
    IPC_WORKER,       /* b = slot, a = enum ipc_worker_state, text = JSON
                         {"pid","restarts","backoff_ms","reason"} */
    IPC_RELOADED,     /* answer to IPC_RELOAD. a = 1 done (an IPC_CONFIG came just before it),
                         0 refused; text = diagnostics as JSON array. Also sent unasked on HUP */
    IPC_LISTEN_API,   /* fd = listening socket. text = "control", "control_tcp", "telemetry" */
    IPC_CERTIFICATES, /* what is in use. fd = sealed JSON array of {"listener" or "service",
                         "file","names","not_after"}, times in ms */
    IPC_CHECK_TLS, /* how health checks speak TLS. fd = sealed document of tls_spec.h, without
                      listeners */
    IPC_DRAINING,  /* the proxy is going down: /readyz says 503. a = deadline in ms */
    /* controller -> supervisor (besides IPC_SNAPSHOT and IPC_FLAGS, which are relayed) */
    IPC_RELOAD, /* re-read the config file */
    IPC_READY,  /* serving the control API */
    IPC_NTYPES
};

enum ipc_worker_state { IPC_WORKER_UP, IPC_WORKER_DOWN, IPC_WORKER_BACKOFF };

struct ipc_msg {
    enum ipc_type type;
    uint64_t a, b;
    int fd;          /* -1: none. Received: owned by the callback, which closes or keeps it */
    struct str text; /* received: valid during the callback */
};

struct ipc;
/* MSG == NULL: the peer is gone; call ipc_close. */
typedef void ipc_cb(void *arg, const struct ipc_msg *msg);

int ipc_pair(int fds[2]) MUST_CHECK; /* both CLOEXEC and non-blocking; -1: errno */
struct ipc *ipc_open(struct loop *l, int fd, ipc_cb *cb, void *arg); /* takes FD over */
void ipc_close(struct ipc *i); /* idempotent on NULL; the callback is not called any more */
/*
 * Queue MSG. The descriptor is duplicated, not taken over. A peer that does not read is
 * buffered without bound in count but not in size: messages are small and few.
 */
void ipc_send(struct ipc *i, const struct ipc_msg *msg);
bool ipc_is_flushed(const struct ipc *i); /* nothing is queued: the kernel has it all */
int ipc_fd(const struct ipc *i);          /* borrowed */
const char *ipc_name(enum ipc_type t);
