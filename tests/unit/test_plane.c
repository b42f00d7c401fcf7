/*
 * test_plane.c - the data plane against scripted peers.
 *
 * The plane runs in the test process; a forked child plays the client and the origin with
 * blocking sockets and reports by its exit code. So the plane's memory can be looked at, and
 * every byte of both peers is in the script.
 */
#include "config/snapshot.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/route/flag_eval.h"
#include "proxy/stream/plane.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct peers {      /* what a script has */
    int origin;     /* listening */
    uint16_t port;  /* of the plane */
    int client, up; /* connections, -1 when closed */
    int mark[2];    /* a byte written to [1] takes a note of the allocations */
    const struct stats_version *seen; /* the plane's counters of the version */
    char buf[65536];                  /* the last message */
};
typedef void script(struct peers *p);

#define EXPECT(x)                                                                              \
    do {                                                                                       \
        if (!(x)) {                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                            \
            _exit(1);                                                                          \
        }                                                                                      \
    } while (0)

static int listen_any(uint16_t *port, int flags)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(listen(fd, 128), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

/* ---- what scripts are made of ---- */

static void dial(struct peers *p)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    sa.sin_port = htons(p->port);
    p->client = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(connect(p->client, (struct sockaddr *)&sa, sizeof(sa)) == 0);
}

static void take(struct peers *p)
{
    struct pollfd pf = {.fd = p->origin, .events = POLLIN};

    EXPECT(poll(&pf, 1, 5000) == 1);
    p->up = accept(p->origin, NULL, NULL);
    EXPECT(p->up >= 0);
}

static void put(int fd, const char *text)
{
    EXPECT(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Byte by byte, each in a packet of its own, more or less. */
static void dribble(int fd, const char *text)
{
    for (; *text; text++) {
        EXPECT(send(fd, text, 1, MSG_NOSIGNAL) == 1);
        usleep(200);
    }
}

/* Read until END is what came last; "" reads to the end of the connection. */
static char *get(struct peers *p, int fd, const char *end)
{
    size_t n = 0;

    p->buf[0] = '\0';
    while (!*end || n < strlen(end) || strcmp(p->buf + n - strlen(end), end) != 0) {
        struct pollfd pf = {.fd = fd, .events = POLLIN};
        ssize_t r;

        EXPECT(n < sizeof(p->buf) - 1);
        EXPECT(poll(&pf, 1, 5000) == 1);
        r = recv(fd, p->buf + n, *end ? 1 : sizeof(p->buf) - 1 - n, 0);
        if (r <= 0 && !*end)
            break;
        EXPECT(r > 0);
        n += (size_t)r;
        p->buf[n] = '\0';
    }
    return p->buf;
}

static void hang_up(int *fd)
{
    close(*fd);
    *fd = -1;
}

/* Close with a reset, like a client that crashed. */
static void reset(int *fd)
{
    struct linger now = {.l_onoff = 1};

    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    hang_up(fd);
}

static bool quiet(int fd)
{
    struct pollfd pf = {.fd = fd, .events = POLLIN};

    return poll(&pf, 1, 100) == 0;
}

#define HAS(text, part)  EXPECT(strstr(text, part) != NULL)
#define LACK(text, part) EXPECT(strstr(text, part) == NULL)

/* ---- the plane's side ---- */

struct result {
    struct stats *stats;
    uint64_t marks[8];
    int nmarks;
    char log[65536];
};

struct bed {
    struct loop *loop;
    struct result *r;
    int mark;
    struct watch watch;
};

static void on_mark(void *arg, unsigned what)
{
    struct bed *b = arg;
    char c;

    (void)what;
    if (read(b->mark, &c, 1) == 1 && b->r->nmarks < 8)
        b->r->marks[b->r->nmarks++] = mem_allocations();
    else
        watch_stop(&b->watch);
}

static void on_child(void *arg)
{
    loop_stop(arg);
}

static const char *io_uring; /* "on" or "off": both ways of sending get every test */

static void send_through_ring(void)
{
    io_uring = "on";
}

static void send_one_by_one(void)
{
    io_uring = "off";
}

static const char *listener_more = ""; /* members of the listener "w" */
static int send_room;                  /* bytes a client's socket holds; 0: as usual */

/* MORE: members of the service "s"; UP: is its endpoint healthy. */
static char *snapshot(uint16_t origin, const char *more, bool up)
{
    char *text =
        xasprintf("{\"version\":1,\"workers\":1,\"io_uring\":\"%s\",\"state_dir\":\"/tmp\","
                  "\"listeners\":{\"w\":{\"address\":\"127.0.0.1:1\"%s}},\"services\":"
                  "{\"s\":{\"versions\":{\"v1\":{\"endpoints\":[\"127.0.0.1:%u\"]}}%s}},"
                  "\"routes\":[{\"host\":\"a.test\",\"path\":\"/\",\"service\":\"s\"}]}",
                  io_uring, listener_more, origin, more);
    struct conf_diags d;
    struct conf *c;
    char *doc;

    conf_diags_init(&d);
    c = conf_parse(str_of(text), "test", &d);
    ck_assert_msg(c != NULL, "%s", d.list.n ? d.list.v[0].message.p : "?");
    snapshot_number(c);
    c->services[0].versions[0].endpoints[0].up = up;
    doc = snapshot_write(c, 7);
    conf_free(c);
    conf_diags_release(&d);
    xfree(text);
    return doc;
}

static const char *flags_doc; /* of the test; NULL: none */

static void run(script *play, const char *more, bool up, struct result *r)
{
    struct peers p = {.client = -1, .up = -1};
    struct plane_options o = {.workers = 1, .seed = 1};
    struct bed b = {.r = r};
    struct sig child;
    uint16_t origin_port;
    int listener, status, log[2], stats_fd = stats_create(1);
    uint64_t generation;
    struct plane *plane;
    char *doc, *why;
    ssize_t n;
    pid_t pid;

    signal(SIGPIPE, SIG_IGN);
    *r = (struct result){.stats = stats_map(stats_fd, 1)};
    p.origin = listen_any(&origin_port, 0);
    listener = listen_any(&p.port, SOCK_NONBLOCK);
    if (send_room)
        setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &send_room, sizeof(send_room));
    ck_assert_int_eq(pipe(p.mark), 0);
    ck_assert_int_eq(pipe(log), 0);
    b.loop = loop_new();
    sig_start(&child, b.loop, SIGCHLD, on_child, b.loop);
    p.seen = &r->stats->slabs[0].versions[1];
    pid = fork();
    if (pid == 0) {
        close(listener);
        signal(SIGCHLD, SIG_DFL); /* the loop's handler would wake the parent's loop */
        alarm(20);
        play(&p);
        _exit(0);
    }
    close(p.origin);
    close(p.mark[1]);
    b.mark = p.mark[0];
    watch_start(&b.watch, b.loop, b.mark, WATCH_READ, on_mark, &b);
    o.stats = r->stats;
    plane = plane_new(b.loop, &o);
    doc = snapshot(origin_port, more, up);
    ck_assert_int_eq(plane_apply_snapshot(plane, str_of(doc), &generation, &why), 0);
    ck_assert_uint_eq(generation, 7);
    xfree(doc);
    if (flags_doc)
        ck_assert_int_eq(plane_apply_flags(plane, str_of(flags_doc), 3, &why), 0);
    plane_set_log(plane, log[1]);
    plane_listen(plane, "w", listener);
    loop_run(b.loop);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the script failed");
    watch_stop(&b.watch);
    sig_stop(&child);
    plane_free(plane);
    loop_free(b.loop);
    n = read(log[0], r->log, sizeof(r->log) - 1);
    r->log[n > 0 ? n : 0] = '\0';
    close(log[0]);
    close(p.mark[0]);
    sys_close(stats_fd);
    ck_assert_uint_eq(stat_get(&r->stats->slabs[0].connections), 0);
    ck_assert_uint_eq(stat_get(&r->stats->slabs[0].requests_in_flight), 0);
    ck_assert_uint_eq(stat_get(&r->stats->slabs[0].versions[1].in_flight), 0);
}

#define GET    "GET /p HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK_TWO "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

/* ---- tests ---- */

static void play_pipeline(struct peers *p)
{
    char *m;

    dial(p);
    put(p->client, "GET /1 HTTP/1.1\r\nHost: a.test\r\nX-Flag-a: x\r\nConnection: x-user\r\n"
                   "X-User: u\r\nX-Forwarded-For: 9.9.9.9\r\n\r\nGET /2 HTTP/1.1\r\n"
                   "Host: a.test\r\n\r\n");
    take(p);
    m = get(p, p->up, "\r\n\r\n");
    HAS(m, "GET /1 HTTP/1.1\r\n");
    HAS(m, "Host: a.test\r\n");
    HAS(m, "X-Forwarded-For: 127.0.0.1\r\n");
    HAS(m, "Via: 1.1 sluice\r\n");
    HAS(m, "traceparent: 00-");
    LACK(m, "Flag");
    LACK(m, "X-User");
    LACK(m, "9.9.9.9");
    EXPECT(quiet(p->up)); /* the second waits for the first answer */
    put(p->up, OK_TWO);
    m = get(p, p->client, "hi");
    HAS(m, "HTTP/1.1 200 OK\r\n");
    HAS(m, "X-Request-Id: ");
    m = get(p, p->up, "\r\n\r\n"); /* on the same upstream connection */
    HAS(m, "GET /2 HTTP/1.1\r\n");
    put(p->up, OK_TWO);
    get(p, p->client, "hi");
}

START_TEST(pipelined_requests_share_an_upstream_connection)
{
    static struct result r;

    run(play_pipeline, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].judged), 2);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].errors), 0);
    ck_assert_ptr_nonnull(strstr(r.log, "\"path\":\"/2\",\"status\":200"));
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"done\"}\n"));
}
END_TEST

static void play_dribble(struct peers *p)
{
    char *m;

    dial(p);
    dribble(p->client, "POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    take(p);
    m = get(p, p->up, "0\r\n\r\n");
    HAS(m, "Transfer-Encoding: chunked\r\n");
    LACK(m, "x=y");
    dribble(p->up,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n0\r\n\r\n");
    m = get(p, p->client, "0\r\n\r\n");
    HAS(m, "w");
    HAS(m, "Transfer-Encoding: chunked\r\n");
    dribble(p->client, GET);
    get(p, p->up, "\r\n\r\n");
    dribble(p->up, OK_TWO);
    get(p, p->client, "hi");
}

START_TEST(messages_may_be_split_anywhere)
{
    static struct result r;

    run(play_dribble, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].bytes_in), 5);
}
END_TEST

static void play_bad(struct peers *p)
{
    char *m;

    dial(p);
    put(p->client, "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET);
    m = get(p, p->client, "");
    HAS(m, "HTTP/1.1 400 ");
    HAS(m, "Connection: close\r\n");
    HAS(m, "Server: sluice\r\n");
    HAS(m, "X-Request-Id: ");
    EXPECT(strstr(m + 1, "HTTP/1.1") == NULL);
    EXPECT(quiet(p->origin));
}

START_TEST(after_a_malformed_request_nothing_is_parsed)
{
    static struct result r;

    run(play_bad, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].violations[STATS_BAD_CL_AND_TE]), 1);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].rejected), 1);
    ck_assert_ptr_nonnull(strstr(r.log, "\"status\":400"));
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"bad_request\""));
}
END_TEST

static void play_no_route(struct peers *p)
{
    dial(p);
    put(p->client, "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
    HAS(get(p, p->client, "path\n"), "HTTP/1.1 404 Not Found\r\n");
    put(p->client, "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n"); /* still open */
    HAS(get(p, p->client, ""), "HTTP/1.1 405 ");
}

START_TEST(no_route_is_404_and_trace_405)
{
    static struct result r;

    run(play_no_route, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].no_route), 1);
}
END_TEST

static void play_down(struct peers *p)
{
    char *m;

    dial(p);
    put(p->client, GET);
    m = get(p, p->client, "endpoint\n");
    HAS(m, "HTTP/1.1 503 ");
    HAS(m, "Retry-After: ");
}

START_TEST(no_healthy_endpoint_is_503)
{
    static struct result r;

    run(play_down, "", false, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].no_endpoint), 1);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].errors), 1);
}
END_TEST

static void play_stale(struct peers *p)
{
    dial(p);
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, OK_TWO);
    get(p, p->client, "hi");
    put(p->client, GET);
    get(p, p->up, "\r\n\r\n");
    hang_up(&p->up); /* as if it had closed just before */
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, OK_TWO);
    HAS(get(p, p->client, "hi"), "HTTP/1.1 200 OK");
    put(p->client, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx");
    get(p, p->up, "x");
    hang_up(&p->up);
    HAS(get(p, p->client, "connection\n"), "HTTP/1.1 502 "); /* may have been acted on */
}

START_TEST(a_stale_connection_is_retried_if_safe)
{
    static struct result r;

    run(play_stale, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].retries), 1);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].errors), 1);
    ck_assert_ptr_nonnull(strstr(r.log, "\"attempts\":2,\"end\":\"done\""));
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"upstream_reset\""));
}
END_TEST

#define EXPECT_HEAD                                                                            \
    "POST /p HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

/* The proxy is stopped while a client asks and the endpoint closes: it sees both at once. */
static void play_crossing(struct peers *p)
{
    static const char post[] = "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx";

    dial(p);
    put(p->client, post);
    take(p);
    get(p, p->up, "\r\n\r\nx");
    put(p->up, OK_TWO);
    get(p, p->client, "hi");
    usleep(200000); /* the connection is in the pool */
    kill(getppid(), SIGSTOP);
    put(p->client, post);
    hang_up(&p->up);
    kill(getppid(), SIGCONT);
    take(p);
    get(p, p->up, "\r\n\r\nx");
    put(p->up, OK_TWO);
    HAS(get(p, p->client, "hi"), "HTTP/1.1 200 OK");
}

START_TEST(a_post_that_cannot_have_arrived_is_sent_again)
{
    static struct result r;

    run(play_crossing, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].errors), 0);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].judged), 2);
    ck_assert_ptr_nonnull(strstr(r.log, "\"attempts\":2,\"end\":\"done\""));
}
END_TEST

static void play_continue(struct peers *p)
{
    dial(p);
    put(p->client, EXPECT_HEAD);
    take(p);
    HAS(get(p, p->up, "\r\n\r\n"), "Expect: 100-continue\r\n");
    put(p->up, "HTTP/1.1 100 Continue\r\n\r\n");
    HAS(get(p, p->client, "\r\n\r\n"), "HTTP/1.1 100 ");
    put(p->client, "abc");
    get(p, p->up, "abc");
    put(p->up, OK_TWO);
    get(p, p->client, "hi");
    /* A final answer first: the body is never sent up, and nothing is used again. */
    put(p->client, EXPECT_HEAD);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
    put(p->client, "abc");
    HAS(get(p, p->client, "no"), "Connection: close\r\n");
    EXPECT(*get(p, p->up, "") == '\0');
}

START_TEST(expect_100_is_relayed)
{
    static struct result r;

    run(play_continue, "", true, &r);
}
END_TEST

static void play_truncated(struct peers *p)
{
    char *m;

    dial(p);
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    usleep(200000);
    hang_up(&p->up);
    m = get(p, p->client, "");
    HAS(m, "hel");
    LACK(m, "0\r\n\r\n");
}

START_TEST(a_broken_answer_is_seen_as_broken)
{
    static struct result r;

    run(play_truncated, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].errors), 1);
}
END_TEST

static void play_garbage(struct peers *p)
{
    dial(p);
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 20 OK\r\n\r\n");
    HAS(get(p, p->client, "answer\n"), "HTTP/1.1 502 ");
    EXPECT(*get(p, p->up, "") == '\0');
}

START_TEST(a_malformed_answer_is_502_and_ends_its_connection)
{
    static struct result r;

    run(play_garbage, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].violations[STATS_BAD_RESPONSE]), 1);
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"upstream_bad\""));
}
END_TEST

static void play_excess(struct peers *p)
{
    dial(p);
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhello");
    HAS(get(p, p->client, "answer\n"), "HTTP/1.1 502 ");
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n");
    HAS(get(p, p->client, "answer\n"), "HTTP/1.1 502 ");
}

START_TEST(an_answer_with_a_broken_or_overlong_body_is_502)
{
    static struct result r;

    run(play_excess, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].violations[STATS_BAD_RESPONSE]), 2);
}
END_TEST

static void play_abort(struct peers *p)
{
    dial(p);
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    reset(&p->client);
    EXPECT(*get(p, p->up, "") == '\0'); /* the upstream is told at once */
}

START_TEST(a_client_that_leaves_is_not_judged)
{
    static struct result r;

    run(play_abort, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].judged), 0);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].client_aborts), 1);
    ck_assert_ptr_nonnull(strstr(r.log, "\"status\":499"));
}
END_TEST

static void play_leave(struct peers *p)
{
    dial(p);
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    hang_up(&p->client);
    EXPECT(*get(p, p->up, "") == '\0');
    dial(p); /* behind an answer that has begun nothing new is asked for */
    put(p->client, GET GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh");
    get(p, p->client, "\r\n\r\nh");
    shutdown(p->client, SHUT_WR);
    EXPECT(quiet(p->up));
    put(p->up, "i");
    EXPECT(strcmp(get(p, p->client, ""), "i") == 0);
    EXPECT(quiet(p->up));
}

START_TEST(fin_before_an_answer_gives_it_up)
{
    static struct result r;

    run(play_leave, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].client_aborts), 1);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].judged), 1);
    ck_assert_ptr_nonnull(strstr(r.log, "\"status\":499"));
}
END_TEST

static void play_half_close(struct peers *p)
{
    dial(p);
    put(p->client, GET GET);
    shutdown(p->client, SHUT_WR);
    take(p);
    get(p, p->up, "\r\n\r\n");
    EXPECT(quiet(p->client));
    put(p->up, OK_TWO);
    get(p, p->up, "\r\n\r\n");
    put(p->up, OK_TWO);
    HAS(get(p, p->client, "hi"), "200 OK");
    HAS(get(p, p->client, ""), "200 OK");
    dial(p);
    put(p->client, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhalf");
    shutdown(p->client, SHUT_WR);
    EXPECT(*get(p, p->client, "") == '\0');
}

START_TEST(a_client_that_closes_its_half_gets_its_answers)
{
    static struct result r;

    listener_more = ",\"half_close\":true";
    run(play_half_close, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].client_aborts), 1);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].judged), 2);
}
END_TEST

#define CHUNKED "Transfer-Encoding: chunked\r\n"

static void play_trailers(struct peers *p)
{
    dial(p);
    put(p->client, "POST /p HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\n"
                   "Trailer: X-Sum\r\n" CHUNKED "\r\n2\r\nhi\r\n0\r\n"
                   "X-Sum: 7\r\nContent-Length: 9\r\nHost: evil\r\n"
                   "Authorization: me\r\nX-Forwarded-For: you\r\n\r\n");
    take(p);
    get(p, p->up, "\r\n\r\n");
    HAS(p->buf, "TE: trailers\r\n");
    HAS(p->buf, "Connection: TE\r\n");
    HAS(p->buf, "Trailer: X-Sum\r\n");
    EXPECT(strcmp(get(p, p->up, "\r\n\r\n"), "2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n") == 0);
    put(p->up, "HTTP/1.1 200 OK\r\nTrailer: Grpc-Status\r\n" CHUNKED "\r\n2\r\nhi\r\n0\r\n"
               "Grpc-Status: 0\r\nSet-Cookie: a=b\r\nTransfer-Encoding: x\r\n\r\n");
    HAS(get(p, p->client, "\r\n\r\n"), "Trailer: Grpc-Status\r\n");
    get(p, p->client, "\r\n\r\n");
    EXPECT(strcmp(p->buf, "2\r\nhi\r\n0\r\nGrpc-Status: 0\r\n\r\n") == 0);
    put(p->client, GET); /* takes no trailers */
    get(p, p->up, "\r\n\r\n");
    LACK(p->buf, "TE:");
    put(p->up, "HTTP/1.1 200 OK\r\nTrailer: Grpc-Status\r\n" CHUNKED "\r\n2\r\nhi\r\n0\r\n"
               "Grpc-Status: 0\r\n\r\n");
    LACK(get(p, p->client, "\r\n\r\n"), "Trailer:");
    EXPECT(strcmp(get(p, p->client, "\r\n\r\n"), "2\r\nhi\r\n0\r\n\r\n") == 0);
}

START_TEST(trailers_go_both_ways_but_not_those_that_rule)
{
    static struct result r;

    run(play_trailers, "", true, &r);
}
END_TEST

#define WEBSOCKET "Connection: Upgrade\r\nUpgrade: websocket\r\n"

static void play_tunnel(struct peers *p)
{
    dial(p);
    put(p->client, "GET /p HTTP/1.1\r\nHost: a.test\r\n" WEBSOCKET "\r\nahead");
    take(p);
    get(p, p->up, "\r\n\r\n");
    HAS(p->buf, "Connection: Upgrade\r\n");
    HAS(p->buf, "Upgrade: websocket\r\n");
    EXPECT(quiet(p->up)); /* nothing passes before 101 */
    put(p->up, "HTTP/1.1 101 Switching Protocols\r\n" WEBSOCKET "\r\nhello");
    HAS(get(p, p->client, "\r\n\r\nhello"), "Upgrade: websocket\r\n");
    get(p, p->up, "ahead");
    put(p->client, GET);
    EXPECT(strcmp(get(p, p->up, "\r\n\r\n"), GET) == 0); /* as it is */
    put(p->up, "bye");
    hang_up(&p->up);
    get(p, p->client, "bye");
    EXPECT(*get(p, p->client, "") == '\0');
    hang_up(&p->client);
    dial(p);
    put(p->client, "GET /p HTTP/1.1\r\nHost: a.test\r\n" WEBSOCKET "\r\n");
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 101 Switching Protocols\r\n" WEBSOCKET "\r\n");
    get(p, p->client, "\r\n\r\n");
    put(p->client, "last");
    hang_up(&p->client);
    get(p, p->up, "last");
    EXPECT(*get(p, p->up, "") == '\0');
}

START_TEST(a_websocket_is_a_tunnel_from_101_to_the_end)
{
    static struct result r;

    run(play_tunnel, "", true, &r);
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"tunnel\""));
    ck_assert_ptr_nonnull(strstr(r.log, "\"status\":101"));
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].errors), 0);
}
END_TEST

/* One side has said all it had to say; the other goes on. */
static void play_half_tunnel(struct peers *p)
{
    for (int client_first = 0; client_first < 2; client_first++) {
        int *first = client_first ? &p->client : &p->up;
        int *other = client_first ? &p->up : &p->client;

        dial(p);
        put(p->client, "GET /p HTTP/1.1\r\nHost: a.test\r\n" WEBSOCKET "\r\n");
        take(p);
        get(p, p->up, "\r\n\r\n");
        put(p->up, "HTTP/1.1 101 Switching Protocols\r\n" WEBSOCKET "\r\n");
        get(p, p->client, "\r\n\r\n");
        put(*first, "last");
        shutdown(*first, SHUT_WR);
        get(p, *other, "last");
        EXPECT(*get(p, *other, "") == '\0');
        put(*other, "one");
        get(p, *first, "one");
        put(*other, "more");
        hang_up(other);
        get(p, *first, "more");
        EXPECT(*get(p, *first, "") == '\0');
        hang_up(first);
    }
}

START_TEST(half_a_tunnel_may_close_before_the_other)
{
    static struct result r;

    run(play_half_tunnel, "", true, &r);
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"tunnel\""));
    ck_assert_ptr_null(strstr(r.log, "\"end\":\"drained\""));
}
END_TEST

static void play_idle_tunnel(struct peers *p)
{
    dial(p);
    put(p->client, "GET /p HTTP/1.1\r\nHost: a.test\r\n" WEBSOCKET "\r\n");
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 101 Switching Protocols\r\n" WEBSOCKET "\r\n");
    get(p, p->client, "\r\n\r\n");
    EXPECT(*get(p, p->client, "") == '\0');
    EXPECT(*get(p, p->up, "") == '\0');
}

START_TEST(an_idle_tunnel_is_closed_and_not_judged_bad)
{
    static struct result r;

    run(play_idle_tunnel, ",\"timeouts\":{\"idle\":\"100ms\"}", true, &r);
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"tunnel_idle\""));
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].errors), 0);
}
END_TEST

/* Upgrades that are not to be: the exchange stays HTTP, or is 502. */
static void play_no_tunnel(struct peers *p)
{
    dial(p);
    put(p->client, "GET /p HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                   "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n");
    take(p);
    get(p, p->up, "\r\n\r\n");
    LACK(p->buf, "pgrade");
    LACK(p->buf, "HTTP2-Settings");
    put(p->up,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    HAS(get(p, p->client, "answer\n"), "HTTP/1.1 502 ");
    EXPECT(*get(p, p->up, "") == '\0');
    put(p->client,
        "POST /p HTTP/1.1\r\nHost: a.test\r\n" WEBSOCKET "Content-Length: 2\r\n\r\nhi");
    take(p);
    LACK(get(p, p->up, "\r\n\r\nhi"), "pgrade");
    put(p->up, OK_TWO);
    get(p, p->client, "hi");
    put(p->client, "GET /p HTTP/1.1\r\nHost: a.test\r\n" WEBSOCKET "\r\n" GET);
    get(p, p->up, "\r\n\r\n");
    put(p->up, OK_TWO); /* refused: back to HTTP, on another upstream connection */
    get(p, p->client, "hi");
    EXPECT(*get(p, p->up, "") == '\0');
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, OK_TWO);
    get(p, p->client, "hi");
}

START_TEST(no_other_upgrade_leaves_http)
{
    static struct result r;

    run(play_no_tunnel, "", true, &r);
}
END_TEST

static void play_slow_origin(struct peers *p)
{
    dial(p);
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    HAS(get(p, p->client, "time\n"), "HTTP/1.1 504 ");
    EXPECT(*get(p, p->up, "") == '\0');
}

START_TEST(first_byte_timeout_is_504)
{
    static struct result r;

    run(play_slow_origin, ",\"timeouts\":{\"first_byte\":\"200ms\"}", true, &r);
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"first_byte_timeout\""));
}
END_TEST

static void play_slow_upload(struct peers *p)
{
    dial(p);
    put(p->client, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhalf");
    take(p);
    get(p, p->up, "half");
    HAS(get(p, p->client, ""), "HTTP/1.1 408 ");
    EXPECT(*get(p, p->up, "") == '\0');
}

START_TEST(a_request_that_takes_too_long_to_come_is_not_judged)
{
    static struct result r;
    const struct stats_slab *slab;

    run(play_slow_upload, ",\"timeouts\":{\"idle\":\"100ms\",\"request\":\"500ms\"}", true, &r);
    slab = &r.stats->slabs[0];
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"body_timeout\""));
    ck_assert_uint_eq(stat_get(&slab->versions[1].judged), 0);
    ck_assert_uint_eq(stat_get(&slab->versions[1].errors), 0);
    ck_assert_uint_eq(stat_get(&slab->endpoints[1].errors), 0);
}
END_TEST

/* Ten retries are free, more cost of a budget that there is not. */
static void play_broke(struct peers *p)
{
    dial(p);
    for (int i = 0; i < 10; i++) {
        put(p->client, GET);
        if (i == 0)
            take(p);
        get(p, p->up, "\r\n\r\n");
        EXPECT(stat_get(&p->seen->held[STATS_RETRYING]) == 0);
        put(p->up, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
        hang_up(&p->up);
        take(p);
        get(p, p->up, "\r\n\r\n");
        EXPECT(stat_get(&p->seen->held[STATS_RETRYING]) == 1);
        put(p->up, OK_TWO);
        get(p, p->client, "hi");
    }
    put(p->client, GET);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nn");
    HAS(get(p, p->client, "\r\n\r\nn"), "HTTP/1.1 503 ");
    EXPECT(stat_get(&p->seen->held[STATS_RETRYING]) == 0);
    put(p->up, "o");
    get(p, p->client, "o");
}

START_TEST(a_retry_that_the_budget_refuses_takes_no_turn_from_others)
{
    static struct result r;

    run(play_broke,
        ",\"limits\":{\"max_retries\":1},\"retry\":{\"on\":[\"503\"],\"budget\":0,"
        "\"backoff\":{\"base\":\"1ms\"}}",
        true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].retries), 10);
}
END_TEST

static void play_sticky(struct peers *p)
{
    dial(p);
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, OK_TWO);
    HAS(get(p, p->client, "hi"), "Set-Cookie: k=");
    put(p->client, "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: k=abc\r\n\r\n");
    get(p, p->up, "\r\n\r\n");
    put(p->up, OK_TWO);
    LACK(get(p, p->client, "hi"), "Set-Cookie");
}

START_TEST(a_sticky_cookie_is_minted_once)
{
    static struct result r;

    run(play_sticky, ",\"sticky\":{\"by\":\"cookie\",\"name\":\"k\",\"ttl\":\"1h\"}", true, &r);
}
END_TEST

static void play_flags(struct peers *p)
{
    char *m;

    dial(p);
    put(p->client,
        "OPTIONS * HTTP/1.1\r\nHost: A.test:80\r\nX-Beta: 1\r\nx-flag-beta: no\r\n\r\n");
    take(p);
    m = get(p, p->up, "\r\n\r\n");
    HAS(m, "OPTIONS * HTTP/1.1\r\n");
    HAS(m, "X-Flag-beta: on\r\n");
    LACK(m, "x-flag-beta: no");
    put(p->up, OK_TWO);
    get(p, p->client, "hi");
}

START_TEST(flags_are_evaluated_and_handed_on)
{
    static struct result r;

    flags_doc =
        "{\"format\":1,\"sequence\":3,\"env\":\"t\",\"source\":\"bootstrap\","
        "\"epoch\":\"e\",\"version\":1,\"flags\":{\"beta\":{\"state\":\"ENABLED\","
        "\"variants\":{\"on\":true,\"off\":false},\"defaultVariant\":\"off\","
        "\"targeting\":{\"if\":[{\"==\":[{\"var\":\"http.header.x-beta\"},\"1\"]},"
        "\"on\",\"off\"]}}},\"overrides\":{},\"cells\":{\"beta\":{\"on\":3,\"off\":4}}}";
    run(play_flags, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].flag_evaluations[3][FLAG_TARGETING_MATCH]),
                      1);
}
END_TEST

static void play_many_flags(struct peers *p)
{
    char *m;
    size_t bytes = 0, lines = 0;

    dial(p);
    put(p->client, "OPTIONS * HTTP/1.1\r\nHost: A.test:80\r\n\r\n");
    take(p);
    m = get(p, p->up, "\r\n\r\n");
    while ((m = strstr(m, "X-Flag-")) != NULL) {
        char *end = strstr(m, "\r\n") + 2;

        ck_assert_int_eq(atoi(m + strlen("X-Flag-")), (int)lines); /* the first of the set */
        bytes += (size_t)(end - m);
        lines++;
        m = end;
    }
    ck_assert_uint_gt(lines, 10);
    ck_assert_uint_lt(lines, 60);
    ck_assert_uint_le(bytes, 4096);
    ck_assert_uint_gt(bytes, 3900);
    put(p->up, OK_TWO);
    get(p, p->client, "hi");
}

START_TEST(flags_that_are_handed_on_are_bounded)
{
    static struct result r;
    char *doc = NULL;
    size_t size;
    FILE *out = open_memstream(&doc, &size);

    fputs("{\"format\":1,\"flags\":{", out);
    for (int i = 0; i < 60; i++)
        fprintf(out,
                "%s\"%d\":{\"state\":\"ENABLED\",\"variants\":{\"%0100d\":1},"
                "\"defaultVariant\":\"%0100d\",\"metadata\":{\"proxy.upstream\":true}}",
                i ? "," : "", i, 0, 0);
    fputs("}}", out);
    fclose(out);
    flags_doc = doc;
    run(play_many_flags, "", true, &r);
    /* none has a cell: they are counted together, all of them */
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].flag_evaluations[0][FLAG_STATIC]), 60);
    free(doc);
}
END_TEST

static void play_large(struct peers *p)
{
    static char body[1000001];
    size_t n = 0;
    ssize_t r;

    memset(body, 'b', 1000000);
    dial(p);
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    if (fork() == 0) {
        put(p->up, body);
        _exit(0);
    }
    HAS(get(p, p->client, "\r\n\r\n"), "Content-Length: 1000000\r\n");
    for (; n < 1000000; n += (size_t)r) {
        usleep(1000); /* slower than the origin: it has to wait */
        r = recv(p->client, p->buf, 16384, 0);
        EXPECT(r > 0);
        for (ssize_t i = 0; i < r; i++)
            EXPECT(p->buf[i] == 'b');
    }
    EXPECT(n == 1000000);
}

START_TEST(a_slow_reader_gets_all_of_a_large_body)
{
    static struct result r;

    run(play_large, "", true, &r);
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].versions[1].bytes_out), 1000000);
}
END_TEST

static void play_early(struct peers *p)
{
    static char body[1000001];
    char *m;

    memset(body, 'b', 1000000);
    dial(p);
    put(p->client, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8000000\r\n\r\n");
    if (fork() == 0) {
        for (int i = 0; i < 8; i++)
            (void)!send(p->client, body, 1000000, MSG_NOSIGNAL);
        _exit(0);
    }
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    hang_up(&p->up); /* with bytes unread: a reset */
    m = get(p, p->client, "no");
    HAS(m, "HTTP/1.1 413 ");
    HAS(m, "Connection: close\r\n");
}

START_TEST(an_early_answer_comes_through)
{
    static struct result r;

    run(play_early, "", true, &r);
    ck_assert_ptr_nonnull(strstr(r.log, "\"status\":413"));
}
END_TEST

/* An answer of SIZE bytes, complete while the client has not taken much of it yet. */
static void take_late(struct peers *p, size_t size)
{
    static char body[400001];
    struct timeval patience = {.tv_sec = 2};
    int little = 65536;
    char head[80];
    ssize_t n;

    memset(body, 'b', size);
    body[size] = '\0';
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
    dial(p);
    setsockopt(p->client, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
    setsockopt(p->client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    put(p->client, GET);
    take(p);
    get(p, p->up, "\r\n\r\n");
    put(p->up, head);
    if (fork() == 0) {
        (void)!send(p->up, body, size, MSG_NOSIGNAL);
        _exit(0);
    }
    usleep(200000);
    while ((n = recv(p->client, p->buf, sizeof(p->buf), 0)) > 0)
        continue;
    EXPECT(n == 0); /* closed for being idle, long before patience is lost */
    hang_up(&p->client);
    hang_up(&p->up);
}

/* One of the sizes ends just when the output is too much to go on reading. */
static void play_taken_late(struct peers *p)
{
    for (size_t size = 131072; size < 380000; size += 24000)
        take_late(p, size);
}

START_TEST(an_answer_taken_late_leaves_the_idle_timeout_alone)
{
    static struct result r;

    listener_more = ",\"timeouts\":{\"idle\":\"100ms\"}";
    send_room = 8192;
    run(play_taken_late, "", true, &r);
    ck_assert_ptr_nonnull(strstr(r.log, "\"end\":\"done\""));
}
END_TEST

static void play_many(struct peers *p)
{
    dial(p);
    for (int i = 0; i < 300; i++) {
        put(p->client, GET);
        if (p->up < 0)
            take(p);
        get(p, p->up, "\r\n\r\n");
        put(p->up, OK_TWO);
        get(p, p->client, "hi");
        if (i == 100 || i == 299)
            EXPECT(write(p->mark[1], "m", 1) == 1);
    }
    usleep(200000);
}

START_TEST(steady_state_allocates_nothing)
{
    static struct result r;

    run(play_many, "", true, &r);
    ck_assert_int_eq(r.nmarks, 2);
#if !defined(__SANITIZE_ADDRESS__)
    ck_assert_uint_eq(r.marks[1], r.marks[0]);
#endif
    ck_assert_uint_eq(stat_get(&r.stats->slabs[0].requests_total), 300);
}
END_TEST

static TCase *cases(const char *name, void (*way)(void))
{
    TCase *t = tcase_create(name);

    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, way, NULL);
    tcase_add_test(t, pipelined_requests_share_an_upstream_connection);
    tcase_add_test(t, messages_may_be_split_anywhere);
    tcase_add_test(t, after_a_malformed_request_nothing_is_parsed);
    tcase_add_test(t, no_route_is_404_and_trace_405);
    tcase_add_test(t, no_healthy_endpoint_is_503);
    tcase_add_test(t, a_stale_connection_is_retried_if_safe);
    tcase_add_test(t, a_post_that_cannot_have_arrived_is_sent_again);
    tcase_add_test(t, expect_100_is_relayed);
    tcase_add_test(t, a_broken_answer_is_seen_as_broken);
    tcase_add_test(t, a_malformed_answer_is_502_and_ends_its_connection);
    tcase_add_test(t, an_answer_with_a_broken_or_overlong_body_is_502);
    tcase_add_test(t, a_client_that_leaves_is_not_judged);
    tcase_add_test(t, fin_before_an_answer_gives_it_up);
    tcase_add_test(t, a_client_that_closes_its_half_gets_its_answers);
    tcase_add_test(t, trailers_go_both_ways_but_not_those_that_rule);
    tcase_add_test(t, a_websocket_is_a_tunnel_from_101_to_the_end);
    tcase_add_test(t, half_a_tunnel_may_close_before_the_other);
    tcase_add_test(t, an_idle_tunnel_is_closed_and_not_judged_bad);
    tcase_add_test(t, no_other_upgrade_leaves_http);
    tcase_add_test(t, first_byte_timeout_is_504);
    tcase_add_test(t, a_retry_that_the_budget_refuses_takes_no_turn_from_others);
    tcase_add_test(t, a_request_that_takes_too_long_to_come_is_not_judged);
    tcase_add_test(t, a_sticky_cookie_is_minted_once);
    tcase_add_test(t, flags_are_evaluated_and_handed_on);
    tcase_add_test(t, flags_that_are_handed_on_are_bounded);
    tcase_add_test(t, a_slow_reader_gets_all_of_a_large_body);
    tcase_add_test(t, an_early_answer_comes_through);
    tcase_add_test(t, an_answer_taken_late_leaves_the_idle_timeout_alone);
    tcase_add_test(t, steady_state_allocates_nothing);
    return t;
}

int main(void)
{
    Suite *s = suite_create("plane");

    suite_add_tcase(s, cases("plain", send_one_by_one));
    suite_add_tcase(s, cases("io_uring", send_through_ring));
    return unit_run(s);
}
