/*
 * shaker.c - the load of TLS handshakes: one connection a request.
 *
 *   shaker PORT SECONDS CONNECTIONS [resume]
 *
 * One thread, epoll, TLS 1.3. Every slot connects, shakes hands, asks for /128, reads to the
 * end and begins anew; with "resume" it shows the ticket that it got last. Prints "N requests
 * in S s, R resumed, F failed".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST "GET /128 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"

struct slot {
    int fd;
    SSL *ssl;
    SSL_SESSION *ticket; /* owned; of the newest connection, or NULL */
    bool asked;
    size_t got;
};

struct load {
    int ep;
    struct sockaddr_in to;
    SSL_CTX *ctx;
    bool resume;
    uint64_t requests, resumed, failed;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct slot *s = SSL_get_app_data(ssl);

    SSL_SESSION_free(s->ticket);
    s->ticket = ticket;
    return 1;
}

static void slot_connect(struct load *l, struct slot *s)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};
    int one = 1;

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        die("socket");
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(s->fd, (struct sockaddr *)&l->to, sizeof(l->to)) < 0 && errno != EINPROGRESS)
        die("connect");
    s->ssl = SSL_new(l->ctx);
    SSL_set_fd(s->ssl, s->fd);
    SSL_set_app_data(s->ssl, s);
    SSL_set_tlsext_host_name(s->ssl, "bench");
    if (l->resume && s->ticket)
        SSL_set_session(s->ssl, s->ticket);
    SSL_set_connect_state(s->ssl);
    s->asked = false;
    s->got = 0;
    if (epoll_ctl(l->ep, EPOLL_CTL_ADD, s->fd, &ev) < 0)
        die("epoll_ctl");
}

static void slot_finish(struct load *l, struct slot *s)
{
    bool good = s->got > 128;

    l->requests += good;
    l->failed += !good;
    l->resumed += good && SSL_session_reused(s->ssl);
    ERR_clear_error();
    SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* keeps the ticket */
    SSL_free(s->ssl);
    close(s->fd);
}

/* As far as the socket lets it. True: this connection is over. */
static bool slot_step(struct slot *s)
{
    char block[4096];
    int n = 1;

    if (!s->asked && (n = SSL_write(s->ssl, REQUEST, sizeof(REQUEST) - 1)) > 0)
        s->asked = true;
    while (s->asked && (n = SSL_read(s->ssl, block, sizeof(block))) > 0)
        s->got += (size_t)n;
    n = SSL_get_error(s->ssl, n);
    return n != SSL_ERROR_WANT_READ && n != SSL_ERROR_WANT_WRITE;
}

static SSL_CTX *client_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(ctx, "X25519");
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(ctx, on_ticket);
    return ctx;
}

int main(int argc, char **argv)
{
    struct load l = {.to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    struct epoll_event ev[256];
    struct slot *slots;
    double begin = now(), end;
    int n;

    if (argc < 4) {
        fprintf(stderr, "usage: shaker PORT SECONDS CONNECTIONS [resume]\n");
        return 2;
    }
    l.to.sin_port = htons((uint16_t)atoi(argv[1]));
    l.resume = argc > 4 && strcmp(argv[4], "resume") == 0;
    l.ctx = client_context();
    l.ep = epoll_create1(0);
    end = begin + atof(argv[2]);
    n = atoi(argv[3]);
    slots = calloc((size_t)n, sizeof(*slots));
    for (int i = 0; i < n; i++)
        slot_connect(&l, &slots[i]);
    while (now() < end) {
        int ready = epoll_wait(l.ep, ev, 256, 100);

        for (int i = 0; i < ready; i++)
            if (slot_step(ev[i].data.ptr)) {
                slot_finish(&l, ev[i].data.ptr);
                slot_connect(&l, ev[i].data.ptr);
            }
    }
    printf("%llu requests in %.1f s, %llu resumed, %llu failed\n",
           (unsigned long long)l.requests, now() - begin, (unsigned long long)l.resumed,
           (unsigned long long)l.failed);
    return 0;
}
