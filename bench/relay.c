/*
 * relay.c - the floor of the bench: bytes from a client to an upstream and back, unread.
 *
 *   relay LISTEN_PORT UPSTREAM_PORT [TLS_PORT CERT KEY]
 *
 * One thread, epoll, one upstream connection a client connection; two reads and two writes a
 * request and nothing else, with TLS as well: OpenSSL reads ahead. A direction that cannot
 * write stops reading until it can.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
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
    SSL *ssl; /* owned; NULL: plain */
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

static SSL_CTX *tls_context(const char *cert, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "relay: cannot use %s and %s\n", cert, key);
        exit(1);
    }
    return ctx;
}

/* CTX: NULL for a plain client. */
static void accept_pair(int ep, int listener, int upstream, SSL_CTX *ctx)
{
    struct sockaddr_in to = loopback(upstream);
    struct end *client, *up;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

    if (fd < 0)
        return;
    client = end_new(fd);
    up = end_new(tcp_socket());
    if (ctx) {
        client->ssl = SSL_new(ctx);
        SSL_set_fd(client->ssl, fd);
        SSL_set_accept_state(client->ssl);
    }
    client->peer = up;
    up->peer = client;
    if (connect(up->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
        die("connect");
    watch(ep, EPOLL_CTL_ADD, client, EPOLLIN);
    watch(ep, EPOLL_CTL_ADD, up, EPOLLIN);
}

static void end_release(struct end *e)
{
    SSL_free(e->ssl);
    free(e->rest);
}

static void close_pair(struct end *e)
{
    if (e->dead)
        return;
    e->dead = e->peer->dead = true;
    if (e->peer->ssl) /* an upstream that ends its answer by closing */
        SSL_shutdown(e->peer->ssl);
    close(e->fd);
    close(e->peer->fd);
}

/* As recv and send say it: -1 and errno. */
static ssize_t failed(SSL *ssl)
{
    int why = SSL_get_error(ssl, -1);

    ERR_clear_error();
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

static ssize_t end_recv(struct end *e, char *block, size_t room)
{
    size_t got = 0, n;

    if (!e->ssl)
        return recv(e->fd, block, room, 0);
    do {
        if (SSL_read_ex(e->ssl, block + got, room - got, &n) != 1)
            return got ? (ssize_t)got : failed(e->ssl);
        got += n;
    } while (got < room && SSL_has_pending(e->ssl));
    return (ssize_t)got;
}

static ssize_t end_send(struct end *e, const char *p, size_t n)
{
    size_t sent = 0, taken;

    if (!e->ssl)
        return send(e->fd, p, n, MSG_NOSIGNAL);
    while (sent < n && SSL_write_ex(e->ssl, p + sent, n - sent, &taken) == 1)
        sent += taken;
    return sent ? (ssize_t)sent : failed(e->ssl);
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
    ssize_t n = end_recv(e, block, sizeof(block)), sent;

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close_pair(e);
        return;
    }
    if (n < 0 || to->rest)
        return;
    sent = end_send(to, block, (size_t)n);
    if (sent < 0 && errno != EAGAIN && errno != ENOTCONN)
        close_pair(e);
    else if (sent < n)
        hold(ep, to, block + (sent > 0 ? sent : 0), (size_t)(n - (sent > 0 ? sent : 0)));
}

static void on_writable(int ep, struct end *e)
{
    ssize_t sent = end_send(e, e->rest + e->at, e->n - e->at);

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
        end_release(e->peer);
        end_release(e);
        free(e->peer);
        free(e);
    }
}

static void listen_on(int ep, int port, struct end *mark)
{
    struct sockaddr_in at = loopback(port);

    mark->fd = tcp_socket();
    if (bind(mark->fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(mark->fd, 4096) < 0)
        die("listen");
    watch(ep, EPOLL_CTL_ADD, mark, EPOLLIN);
}

int main(int argc, char **argv)
{
    struct end plain = {.fd = -1}, tls = {.fd = -1};
    struct epoll_event ev[256];
    int ep = epoll_create1(0);
    SSL_CTX *ctx = NULL;

    if (argc != 3 && argc != 6) {
        fprintf(stderr, "usage: relay LISTEN_PORT UPSTREAM_PORT [TLS_PORT CERT KEY]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    listen_on(ep, atoi(argv[1]), &plain);
    if (argc == 6) {
        ctx = tls_context(argv[4], argv[5]);
        listen_on(ep, atoi(argv[3]), &tls);
    }
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            struct end *e = ev[i].data.ptr;
            if (e == &plain || e == &tls) {
                accept_pair(ep, e->fd, atoi(argv[2]), e == &tls ? ctx : NULL);
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
