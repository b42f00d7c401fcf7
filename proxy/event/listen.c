/*
 * listen.c - opening of listening sockets, TCP groups and the control socket file.
 *
 * Sockets of one group differ in nothing but their queue. Sharing a port is only ever between
 * the sockets of one call: a plain bind is tried first and fails when somebody else is there.
 */
#include "proxy/event/listen.h"

#include "proxy/base/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel lowers it to net.core.somaxconn */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int address_parse(const char *host, uint16_t port, union address *a, socklen_t *len)
{
    *a = (union address){0};
    if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(port);
        *len = sizeof(a->v4);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        *len = sizeof(a->v6);
        return 0;
    }
    errno = EINVAL;
    return -1;
}

static int set(int fd, int level, int option)
{
    int on = 1;

    return setsockopt(fd, level, option, &on, sizeof(on));
}

/* A socket bound to A; it does not listen yet. */
static int bind_tcp(const union address *a, socklen_t len, bool shared)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (set(fd, SOL_SOCKET, SO_REUSEADDR) == 0 && set(fd, IPPROTO_TCP, TCP_NODELAY) == 0 &&
        (a->any.sa_family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0) &&
        (!shared || set(fd, SOL_SOCKET, SO_REUSEPORT) == 0) && bind(fd, &a->any, len) == 0)
        return fd;
    sys_close(fd);
    return -1;
}

/* Fails when somebody listens on A, even a process of ours that would share the port. */
static int probe(const union address *a, socklen_t len)
{
    int fd = bind_tcp(a, len, false), rc;

    if (fd < 0)
        return -1;
    rc = listen(fd, 1);
    sys_close(fd);
    return rc;
}

int listen_tcp(const char *host, uint16_t port, int *fds, size_t n)
{
    union address a;
    socklen_t len;
    size_t i = 0;

    if (address_parse(host, port, &a, &len) < 0)
        return -1;
    if (n > 1 && port != 0 && probe(&a, len) < 0)
        return -1;
    for (; i < n; i++) {
        fds[i] = bind_tcp(&a, len, n > 1);
        if (fds[i] < 0)
            goto fail;
        if (listen(fds[i], BACKLOG) < 0) {
            sys_close(fds[i]);
            goto fail;
        }
        if (port == 0) /* the first one picked it for all */
            ASSERT(address_parse(host, listen_port(fds[0]), &a, &len) == 0);
    }
    return 0;
fail:
    while (i-- > 0)
        sys_close(fds[i]);
    return -1;
}

uint16_t listen_port(int fd)
{
    union address a;
    socklen_t len = sizeof(a);

    if (getsockname(fd, &a.any, &len) < 0)
        return 0;
    if (a.any.sa_family == AF_INET)
        return ntohs(a.v4.sin_port);
    return a.any.sa_family == AF_INET6 ? ntohs(a.v6.sin6_port) : 0;
}

int listen_hush(int fd)
{
    /* A socket filter sees a segment from its TCP header on: byte 13 has the flags. */
    static struct sock_filter only_syn[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {ARRAY_LEN(only_syn), only_syn};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* Make room at A's path: only a socket that nobody answers on is removed. */
static int replace_stale(const struct sockaddr_un *a)
{
    struct stat st;
    int fd, rc;

    if (lstat(a->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    rc = connect(fd, (const struct sockaddr *)a, sizeof(*a));
    sys_close(fd);
    if (rc < 0 && errno == ECONNREFUSED)
        return unlink(a->sun_path);
    if (rc == 0 || errno == EAGAIN) /* EAGAIN: alive, its queue is full */
        errno = EADDRINUSE;
    return -1;
}

int listen_unix(const char *path, mode_t mode)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    mode_t mask;
    int fd, rc;

    if (strlen(path) >= sizeof(a.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    str_copy(a.sun_path, sizeof(a.sun_path), str_of(path));
    if (replace_stale(&a) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    mask = umask(0777); /* nobody gets in before the mode is right */
    rc = bind(fd, (const struct sockaddr *)&a, sizeof(a));
    umask(mask);
    if (rc < 0)
        goto fail;
    if (chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0) {
        rc = errno;
        unlink(path);
        errno = rc;
        goto fail;
    }
    return fd;
fail:
    sys_close(fd);
    return -1;
}
