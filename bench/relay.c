/*
 * relay.c - the floor of the bench: bytes from a client to an upstream and back, unread.
 *
 *   relay LISTEN_PORT UPSTREAM_PORT
 *
 * One thread, epoll, one upstream connection a client connection; two reads and two writes a
 * request and nothing else. A direction that cannot write stops reading until it can.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 65536

struct end { /* one of the two sockets of a pair; they free each other */
    int fd;
    struct end *peer;
    char *rest; /* what could not be sent to fd, owned */
    size_t at, n;
    bool dead;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int tcp_socket(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    return fd;
}

static void watch(int ep, int op, struct end *e, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = e};

    if (epoll_ctl(ep, op, e->fd, &ev) < 0)
        die("epoll_ctl");
}

static struct end *end_new(int fd)
{
    struct end *e = calloc(1, sizeof(*e));

    e->fd = fd;
    return e;
}

static void accept_pair(int ep, int listener, int upstream)
{
    struct sockaddr_in to = loopback(upstream);
    struct end *client, *up;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

    if (fd < 0)
        return;
    client = end_new(fd);
    up = end_new(tcp_socket());
    client->peer = up;
    up->peer = client;
    if (connect(up->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
        die("connect");
    watch(ep, EPOLL_CTL_ADD, client, EPOLLIN);
    watch(ep, EPOLL_CTL_ADD, up, EPOLLIN);
}

static void close_pair(struct end *e)
{
    if (e->dead)
        return;
    e->dead = e->peer->dead = true;
    close(e->fd);
    close(e->peer->fd);
}

/* TO cannot take all: keep the remainder and wait for it, not for its peer. */
static void hold(int ep, struct end *to, const char *p, size_t n)
{
    to->rest = malloc(n);
    memcpy(to->rest, p, n);
    to->at = 0;
    to->n = n;
    watch(ep, EPOLL_CTL_MOD, to, EPOLLIN | EPOLLOUT);
    watch(ep, EPOLL_CTL_MOD, to->peer, 0);
}

static void on_readable(int ep, struct end *e)
{
    static char block[BLOCK];
    struct end *to = e->peer;
    ssize_t n = recv(e->fd, block, sizeof(block), 0), sent;

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close_pair(e);
        return;
    }
    if (n < 0 || to->rest)
        return;
    sent = send(to->fd, block, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != ENOTCONN)
        close_pair(e);
    else if (sent < n)
        hold(ep, to, block + (sent > 0 ? sent : 0), (size_t)(n - (sent > 0 ? sent : 0)));
}

static void on_writable(int ep, struct end *e)
{
    ssize_t sent = send(e->fd, e->rest + e->at, e->n - e->at, MSG_NOSIGNAL);

    if (sent > 0)
        e->at += (size_t)sent;
    if (e->at < e->n)
        return;
    free(e->rest);
    e->rest = NULL;
    watch(ep, EPOLL_CTL_MOD, e, EPOLLIN);
    watch(ep, EPOLL_CTL_MOD, e->peer, EPOLLIN);
}

/* Pairs that died in this turn are freed once nothing of the turn can name them. */
static void bury(struct epoll_event *ev, int n)
{
    for (int i = 0; i < n; i++) {
        struct end *e = ev[i].data.ptr;
        if (!e || !e->dead)
            continue;
        for (int j = i + 1; j < n; j++)
            if (ev[j].data.ptr == e || ev[j].data.ptr == e->peer)
                ev[j].data.ptr = NULL;
        free(e->rest);
        free(e->peer->rest);
        free(e->peer);
        free(e);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in at;
    struct epoll_event ev[256], accepting = {.events = EPOLLIN, .data.ptr = NULL};
    int listener = tcp_socket(), ep = epoll_create1(0);

    if (argc != 3) {
        fprintf(stderr, "usage: relay LISTEN_PORT UPSTREAM_PORT\n");
        return 2;
    }
    at = loopback(atoi(argv[1]));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 4096) < 0)
        die("listen");
    if (epoll_ctl(ep, EPOLL_CTL_ADD, listener, &accepting) < 0)
        die("epoll_ctl");
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            struct end *e = ev[i].data.ptr;
            if (!e) {
                accept_pair(ep, listener, atoi(argv[2]));
                continue;
            }
            if (!e->dead && (ev[i].events & EPOLLOUT) && e->rest)
                on_writable(ep, e);
            if (!e->dead && (ev[i].events & ~(uint32_t)EPOLLOUT))
                on_readable(ep, e);
        }
        bury(ev, n);
    }
}
