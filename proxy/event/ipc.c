/* ipc.c - packets with descriptors over SEQPACKET. Sends queue when the socket is full. */
#include "proxy/event/ipc.h"

#include "proxy/base/mem.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct header {
    uint32_t type, len;
    uint64_t a, b;
};

struct packet { /* owned by its ipc's queue */
    STAILQ_ENTRY(packet) link;
    int fd;
    struct header h;
    char text[];
};

struct ipc { /* owned by whoever opened it */
    struct loop *loop;
    int fd;
    ipc_cb *cb;
    void *arg;
    struct watch readable, writable;
    bool waiting; /* for the socket to take more */
    STAILQ_HEAD(, packet) queue;
    struct grave grave;
    char room[IPC_TEXT_MAX];
};

static const char *const names[IPC_NTYPES] = {
    [IPC_LISTEN] = "listen",
    [IPC_UNLISTEN] = "unlisten",
    [IPC_SNAPSHOT] = "snapshot",
    [IPC_FLAGS] = "flags",
    [IPC_LOG] = "log",
    [IPC_TLS] = "tls",
    [IPC_TICKET_KEYS] = "ticket_keys",
    [IPC_LIMITS] = "limits",
    [IPC_DRAIN] = "drain",
    [IPC_HANDOVER] = "handover",
    [IPC_ACK_SNAPSHOT] = "ack_snapshot",
    [IPC_ACK_FLAGS] = "ack_flags",
    [IPC_NACK] = "nack",
    [IPC_NACK_FLAGS] = "nack_flags",
    [IPC_CONFIG] = "config",
    [IPC_WORKER] = "worker",
    [IPC_RELOADED] = "reloaded",
    [IPC_LISTEN_API] = "listen_api",
    [IPC_CERTIFICATES] = "certificates",
    [IPC_CHECK_TLS] = "check_tls",
    [IPC_DRAINING] = "draining",
    [IPC_RELOAD] = "reload",
    [IPC_READY] = "ready",
};

const char *ipc_name(enum ipc_type t)
{
    return t > 0 && t < IPC_NTYPES ? names[t] : "unknown";
}

int ipc_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
}

/* 1 sent, 0 the socket is full, -1 the peer is gone. */
static int send_packet(struct ipc *i, const struct packet *p)
{
    struct iovec iov[2] = {{(void *)&p->h, sizeof(p->h)}, {(void *)p->text, p->h.len}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    ssize_t n;

    if (p->fd >= 0) {
        m.msg_control = control.room;
        m.msg_controllen = sizeof(control.room);
        *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                              .cmsg_type = SCM_RIGHTS,
                                              .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &p->fd, sizeof(int));
    }
    do
        n = sendmsg(i->fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 1;
    return errno == EAGAIN || errno == ENOBUFS ? 0 : -1;
}

static void packet_free(struct packet *p)
{
    sys_close(p->fd);
    xfree(p);
}

static void flush(void *arg, unsigned what)
{
    struct ipc *i = arg;
    struct packet *p;
    int rc = 1;

    (void)what;
    while ((p = STAILQ_FIRST(&i->queue)) && (rc = send_packet(i, p)) != 0) {
        STAILQ_REMOVE_HEAD(&i->queue, link); /* sent, or nobody will ever read it */
        packet_free(p);
    }
    if (rc == 0 && !i->waiting)
        watch_start(&i->writable, i->loop, i->fd, WATCH_WRITE, flush, i);
    else if (rc != 0 && i->waiting)
        watch_stop(&i->writable);
    i->waiting = rc == 0;
}

void ipc_send(struct ipc *i, const struct ipc_msg *msg)
{
    struct packet *p = xmalloc(sizeof(*p) + msg->text.n);

    ASSERT(msg->text.n <= IPC_TEXT_MAX);
    *p = (struct packet){.fd = msg->fd >= 0 ? fcntl(msg->fd, F_DUPFD_CLOEXEC, 0) : -1,
                         .h = {msg->type, (uint32_t)msg->text.n, msg->a, msg->b}};
    if (msg->text.n)
        memcpy(p->text, msg->text.p, msg->text.n);
    STAILQ_INSERT_TAIL(&i->queue, p, link);
    if (!i->waiting)
        flush(i, 0);
}

bool ipc_is_flushed(const struct ipc *i)
{
    return STAILQ_EMPTY(&i->queue);
}

int ipc_fd(const struct ipc *i)
{
    return i->fd;
}

/* 1 got MSG, 0 nothing there, -1 the peer is gone. */
static int receive(struct ipc *i, struct ipc_msg *msg)
{
    struct header h;
    struct iovec iov[2] = {{&h, sizeof(h)}, {i->room, sizeof(i->room)}};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr m = {.msg_iov = iov,
                       .msg_iovlen = 2,
                       .msg_control = control.room,
                       .msg_controllen = sizeof(control.room)};
    struct cmsghdr *c;
    ssize_t n;

    do
        n = recvmsg(i->fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return -1;
    ASSERT((size_t)n >= sizeof(h) && (size_t)n == sizeof(h) + h.len);
    ASSERT(h.type > 0 && h.type < IPC_NTYPES);
    *msg = (struct ipc_msg){h.type, h.a, h.b, -1, {i->room, h.len}};
    if ((c = CMSG_FIRSTHDR(&m)) && c->cmsg_type == SCM_RIGHTS)
        memcpy(&msg->fd, CMSG_DATA(c), sizeof(int));
    return 1;
}

static void on_readable(void *arg, unsigned what)
{
    struct ipc *i = arg;
    struct ipc_msg msg;
    int rc;

    (void)what;
    while (i->cb && (rc = receive(i, &msg)) != 0)
        if (rc < 0) {
            watch_stop(&i->readable);
            i->cb(i->arg, NULL);
            return;
        } else {
            i->cb(i->arg, &msg);
        }
}

struct ipc *ipc_open(struct loop *l, int fd, ipc_cb *cb, void *arg)
{
    struct ipc *i = xcalloc(1, sizeof(*i));

    i->loop = l;
    i->fd = fd;
    i->cb = cb;
    i->arg = arg;
    STAILQ_INIT(&i->queue);
    watch_start(&i->readable, l, fd, WATCH_READ, on_readable, i);
    return i;
}

static void on_buried(void *arg)
{
    xfree(arg);
}

void ipc_close(struct ipc *i)
{
    struct packet *p;

    if (!i || !i->cb)
        return;
    i->cb = NULL;
    watch_stop(&i->readable);
    watch_stop(&i->writable);
    while ((p = STAILQ_FIRST(&i->queue))) {
        STAILQ_REMOVE_HEAD(&i->queue, link);
        packet_free(p);
    }
    sys_close(i->fd);
    loop_bury(i->loop, &i->grave, on_buried, i);
}
