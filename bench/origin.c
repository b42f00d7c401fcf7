/*
 * origin.c - the upstream of the bench: answers GET /N with N bytes, as fast as it can.
 *
 *   origin PORT [STATUS]
 *
 * STATUS is that of all answers, 200 unless it is given.
 * POST /N reads a body of Content-Length first. One thread, epoll, keep-alive unless told
 * otherwise, no parsing beyond the numbers. Answers are built once a size.
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

#define REQUEST 65536
#define SIZES   16
#define MOST    (64u << 20)

struct answer {
    size_t body, n; /* bytes of the body, of everything */
    bool close;
    char *text;
};

struct conn {
    int fd, status;
    size_t have;                 /* bytes of requests in buf */
    size_t body;                 /* bytes of a request's body that are still to come */
    const struct answer *answer; /* being sent, or NULL */
    size_t sent;
    char buf[REQUEST];
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static const struct answer *answer_of(size_t body, bool close, int status)
{
    static struct answer answers[SIZES];
    struct answer *a = answers;

    while (a < answers + SIZES && a->text && (a->body != body || a->close != close))
        a++;
    if (a == answers + SIZES || body > MOST)
        return NULL;
    if (!a->text) {
        a->text = malloc(body + 256);
        a->body = body;
        a->close = close;
        a->n = (size_t)sprintf(a->text,
                               "HTTP/1.1 %d %s\r\nServer: origin\r\n"
                               "Date: Sun, 01 Jan 2023 00:00:00 GMT\r\n"
                               "Content-Type: application/octet-stream\r\n"
                               "Content-Length: %zu\r\n%s\r\n",
                               status, status == 200 ? "OK" : "Bad", body,
                               close ? "Connection: close\r\n" : "");
        memset(a->text + a->n, 'x', body);
        a->n += body;
    }
    return a;
}

/* 1: go on; 0: the socket is full; -1: broken, or over by request. */
static int flush(int ep, struct conn *c)
{
    int r;

    while (c->answer && c->sent < c->answer->n) {
        ssize_t n =
            send(c->fd, c->answer->text + c->sent, c->answer->n - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = c};
            epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
            return 0;
        }
        if (n < 0)
            return -1;
        c->sent += (size_t)n;
    }
    r = c->answer && c->answer->close ? -1 : 1;
    c->answer = NULL;
    return r;
}

static size_t body_of(const char *head, size_t n)
{
    const char *at = memmem(head, n, "\r\nContent-Length: ", 18);

    return at ? strtoul(at + 18, NULL, 10) : 0;
}

/* Throw away what is there of a body. */
static void skip_body(struct conn *c)
{
    size_t n = c->have < c->body ? c->have : c->body;

    memmove(c->buf, c->buf + n, c->have - n);
    c->have -= n;
    c->body -= n;
}

/* Answer every complete request in the buffer. */
static int serve(int ep, struct conn *c)
{
    char *end;
    int r;

    if (c->body) {
        skip_body(c);
        if (c->body)
            return 1;
        if ((r = flush(ep, c)) <= 0)
            return r;
    }
    while ((end = memmem(c->buf, c->have, "\r\n\r\n", 4))) {
        size_t used = (size_t)(end + 4 - c->buf);
        c->answer = NULL;
        if (strncmp(c->buf, "GET /", 5) == 0 || strncmp(c->buf, "POST /", 6) == 0)
            c->answer =
                answer_of(strtoul(strchr(c->buf, '/') + 1, NULL, 10),
                          memmem(c->buf, used, "Connection: close", 17) != NULL, c->status);
        if (!c->answer)
            return -1;
        c->sent = 0;
        c->body = body_of(c->buf, used);
        memmove(c->buf, c->buf + used, c->have - used);
        c->have -= used;
        skip_body(c);
        if (c->body)
            return 1;
        if ((r = flush(ep, c)) <= 0)
            return r;
    }
    return c->have == REQUEST ? -1 : 1;
}

static int on_event(int ep, struct conn *c, uint32_t events)
{
    ssize_t n;
    int r;

    if (c->answer && !c->body) {
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        if (events & (EPOLLERR | EPOLLHUP))
            return -1;
        if ((r = flush(ep, c)) <= 0)
            return r;
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
        return serve(ep, c);
    }
    n = recv(c->fd, c->buf + c->have, REQUEST - c->have, 0);
    if (n < 0 && errno == EAGAIN)
        return 1;
    if (n <= 0)
        return -1;
    c->have += (size_t)n;
    return serve(ep, c);
}

static void accept_one(int ep, int listener, int status)
{
    struct epoll_event ev = {.events = EPOLLIN};
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    struct conn *c;

    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c = calloc(1, sizeof(*c));
    c->fd = fd;
    c->status = status;
    ev.data.ptr = c;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event ev[256], accepting = {.events = EPOLLIN, .data.ptr = NULL};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int ep = epoll_create1(0);

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: origin PORT [STATUS]\n");
        return 2;
    }
    at.sin_port = htons((uint16_t)atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 4096) < 0)
        die("listen");
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &accepting);
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (!c) {
                accept_one(ep, listener, argc == 3 ? atoi(argv[2]) : 200);
            } else if (on_event(ep, c, ev[i].events) < 0) {
                close(c->fd);
                free(c); /* one event a connection and turn: nothing names it any more */
            }
        }
    }
}
