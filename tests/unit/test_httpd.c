/* test_httpd.c - the control API's HTTP server: real sockets, one loop, a scripted client. */
#include "control/link/httpd.c"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>

struct world {
    struct loop *loop;
    struct httpd *httpd;
    int unix_fd, port;
    char path[64];
    struct httpd_request *held; /* kept by the handler for later */
    char seen[256];             /* what the last request said */
    size_t body_n;
    int gone, calls;
};

static void on_gone(void *arg)
{
    struct world *w = arg;

    w->gone++;
    httpd_reply(w->held, 200, NULL, STR_NONE);
    w->held = NULL;
}

static void handle(void *arg, struct httpd_request *req)
{
    struct world *w = arg;
    struct str m = httpd_method(req), p = httpd_path(req), q = httpd_query(req);

    w->calls++;
    w->body_n = httpd_body(req).n;
    snprintf(w->seen, sizeof(w->seen), "%s %s ?%s [%.32s] tag %d uid %ld", m.p, p.p, q.p,
             httpd_body(req).p, httpd_tag(req), (long)(int)httpd_peer(req)->uid);
    if (str_eq(p, STR("/hold")) || str_eq(p, STR("/stream"))) {
        w->held = req;
        httpd_on_gone(req, on_gone, w);
        if (p.n == 7)
            httpd_start(req, 200, "text/event-stream");
        return;
    }
    httpd_set_header(req, "X-Test", "1");
    httpd_reply(req, 200, "application/json", STR("{\"ok\":true}\n"));
}

static struct world *world_new(void)
{
    struct world *w = xcalloc(1, sizeof(*w));
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    int tcp;

    w->loop = loop_new();
    w->httpd = httpd_new(w->loop, handle, w);
    snprintf(w->path, sizeof(w->path), "/tmp/test_httpd.%d", (int)getpid());
    unlink(w->path);
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", w->path);
    w->unix_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(w->unix_fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
    ck_assert_int_eq(listen(w->unix_fd, 64), 0);
    ck_assert_int_eq(httpd_listen(w->httpd, w->unix_fd, 7), 0);
    tcp = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(tcp, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(listen(tcp, 64), 0);
    ck_assert_int_eq(getsockname(tcp, (struct sockaddr *)&sin, &len), 0);
    w->port = ntohs(sin.sin_port);
    ck_assert_int_eq(httpd_listen(w->httpd, tcp, 8), 0);
    return w;
}

static void world_free(struct world *w)
{
    httpd_free(w->httpd);
    loop_free(w->loop);
    unlink(w->path);
    xfree(w);
}

static int dial(struct world *w, bool tcp)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)w->port)};
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);

    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", w->path);
    if (tcp)
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    else
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
    ck_assert_int_eq(sys_nonblock(fd), 0);
    return fd;
}

static void tick(void *arg)
{
    (void)arg;
}

/* Turn the loop for MS. */
static void spin(struct world *w, int ms)
{
    uint64_t end = clock_mono_us() + (uint64_t)ms * 1000;
    struct timer t = {0};

    timer_init(&t, w->loop, tick, NULL);
    while (clock_mono_us() < end) {
        timer_start(&t, 2);
        loop_turn(w->loop);
    }
    timer_stop(&t);
}

/* Send TEXT, turn until nothing more comes, return what came. */
static char *talk(struct world *w, int fd, struct str text)
{
    static char got[1 << 16];
    size_t n = 0;
    ssize_t r;
    int quiet = 0;

    while (quiet < 4) {
        if (text.n) {
            r = send(fd, text.p, text.n, MSG_NOSIGNAL);
            if (r > 0)
                text = str_skip(text, (size_t)r);
            else if (r < 0 && errno != EAGAIN)
                text.n = 0;
        }
        spin(w, 4);
        r = recv(fd, got + n, sizeof(got) - 1 - n, 0);
        if (r > 0)
            n += (size_t)r;
        quiet = r > 0 || text.n ? 0 : quiet + 1;
    }
    got[n] = '\0';
    return got;
}

static char *once(struct world *w, bool tcp, struct str text)
{
    int fd = dial(w, tcp);
    char *got = talk(w, fd, text);

    close(fd);
    spin(w, 4);
    return got;
}

#define HAS(text, part)                                                                        \
    ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in: %s", part, text)

START_TEST(test_request_and_answer)
{
    struct world *w = world_new();
    char *got, want[200];

    got = once(w, false,
               STR("PUT /v1/a?x=1&y HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"));
    HAS(got, "HTTP/1.1 200 OK\r\n");
    HAS(got, "Content-Length: 12\r\n");
    HAS(got, "X-Test: 1\r\n");
    HAS(got, "\r\n\r\n{\"ok\":true}\n");
    snprintf(want, sizeof(want), "PUT /v1/a ?x=1&y [body] tag 7 uid %d", (int)getuid());
    ck_assert_str_eq(w->seen, want);
    got = once(w, false, STR("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"));
    HAS(got, "Content-Length: 12\r\n");
    ck_assert_ptr_null(strstr(got, "{"));
    got = once(w, true,
               STR("PATCH / HTTP/1.1\r\nHost: localhost:1\r\nTransfer-Encoding: "
                   "chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"));
    HAS(got, "200 OK");
    ck_assert_str_eq(w->seen, "PATCH / ? [abcde] tag 8 uid -1");
    world_free(w);
}
END_TEST

START_TEST(test_keep_alive_and_pipelining)
{
    struct world *w = world_new();
    char *got = once(w, false,
                     STR("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                         "GET /4 HTTP/1.1\r\nHost: x\r\n\r\n"));

    ck_assert_int_eq(w->calls, 3);
    HAS(got, "Connection: close");
    ck_assert_int_eq((int)httpd_connections(w->httpd), 0);
    world_free(w);
}
END_TEST

START_TEST(test_byte_by_byte)
{
    struct world *w = world_new();
    struct str text = STR("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    int fd = dial(w, false);

    for (size_t i = 0; i < text.n; i++) {
        ck_assert_int_eq(send(fd, text.p + i, 1, 0), 1);
        spin(w, 1);
    }
    HAS(talk(w, fd, STR_NONE), "200 OK");
    HAS(w->seen, "POST /slow ? [abc]");
    close(fd);
    world_free(w);
}
END_TEST

START_TEST(test_refusals)
{
    static const struct {
        bool tcp;
        const char *text, *want;
    } rows[] = {
        {false, "GET / HTTP/1.1\r\n\r\n", "400 Bad"},
        {false, "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505 "},
        {false, "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n",
         "\r\nAllow: GET, HEAD, POST, PUT, DELETE\r\n"},
        {false, "GET HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad"},
        {false, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad"},
        {false, "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400 Bad"},
        {false, "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400 Bad"},
        {false, "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "400 Bad"},
        {false, "GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n", "400 Bad"},
        {false, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", "413 "},
        {false, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400 Bad"},
        {false,
         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: "
         "chunked\r\n\r\n",
         "400 Bad"},
        {false, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "501 "},
        {false, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
         "400 Bad"},
        {true, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421 "},
        {true, "GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", "421 "},
        {true, "POST / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n",
         "403 "},
    };
    struct world *w = world_new();

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *got = once(w, rows[i].tcp, str_of(rows[i].text));

        HAS(got, rows[i].want);
        HAS(got, "application/problem+json");
        HAS(got, "Connection: close");
    }
    ck_assert_int_eq(w->calls, 0);
    ck_assert_int_eq((int)httpd_connections(w->httpd), 0);
    world_free(w);
}
END_TEST

START_TEST(test_sizes)
{
    struct world *w = world_new();
    size_t n = HTTPD_BODY_MAX + 100;
    char *big = xmalloc(n);
    int head;

    memset(big, 'a', n);
    head = snprintf(big, 100, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n",
                    HTTPD_BODY_MAX);
    big[head] = 'a';
    HAS(once(w, false, (struct str){big, (size_t)head + HTTPD_BODY_MAX}), "200 OK");
    ck_assert_uint_eq(w->body_n, HTTPD_BODY_MAX);
    memset(big, 'a', n);
    memcpy(big, "GET /", 5);
    HAS(once(w, true, (struct str){big, HTTPD_HEAD_MAX + 1000}), "431 ");
    xfree(big);
    world_free(w);
}
END_TEST

START_TEST(test_late_answer_and_gone)
{
    struct world *w = world_new();
    int fd = dial(w, false);
    struct str hold = STR("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");

    ck_assert_str_eq(talk(w, fd, hold), "");
    ck_assert_ptr_nonnull(w->held);
    httpd_reply(w->held, 404, "text/plain", STR("late"));
    HAS(talk(w, fd, STR_NONE), "404 Not Found");
    talk(w, fd, hold);
    close(fd);
    spin(w, 10);
    ck_assert_int_eq(w->gone, 1);
    ck_assert_ptr_null(w->held);
    fd = dial(w, false); /* gone without anybody to tell: the answer goes nowhere */
    talk(w, fd, hold);
    httpd_on_gone(w->held, NULL, NULL);
    close(fd);
    spin(w, 10);
    ck_assert(httpd_gone(w->held));
    httpd_reply(w->held, 200, NULL, STR_NONE);
    fd = dial(w, false); /* and one that is never answered */
    talk(w, fd, hold);
    close(fd);
    world_free(w);
}
END_TEST

START_TEST(test_stream)
{
    struct world *w = world_new();
    struct str get = STR("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    int fd = dial(w, false);
    char *got = talk(w, fd, get);
    static char block[32768];

    HAS(got, "Transfer-Encoding: chunked");
    ck_assert(httpd_send(w->held, STR("data: 1\n\n")));
    HAS(talk(w, fd, STR_NONE), "9\r\ndata: 1\n\n\r\n");
    httpd_end(w->held);
    HAS(talk(w, fd, get), "0\r\n\r\nHTTP/1.1 200");
    for (int i = 0; i < 200 && httpd_send(w->held, (struct str){block, sizeof(block)}); i++)
        ; /* nobody reads */
    spin(w, 10);
    ck_assert_int_eq(w->gone, 1);
    ck_assert_int_eq((int)httpd_connections(w->httpd), 0);
    close(fd);
    world_free(w);
}
END_TEST

START_TEST(test_too_many)
{
    struct world *w = world_new();
    int fds[HTTPD_CONNECTIONS_MAX], fd;

    for (int i = 0; i < HTTPD_CONNECTIONS_MAX; i++) {
        fds[i] = dial(w, false);
        spin(w, 1);
    }
    fd = dial(w, false);
    HAS(talk(w, fd, STR_NONE), "503 ");
    close(fd);
    close(fds[0]);
    spin(w, 10);
    HAS(once(w, false, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), "200 OK");
    for (int i = 1; i < HTTPD_CONNECTIONS_MAX; i++)
        close(fds[i]);
    world_free(w);
}
END_TEST

START_TEST(test_slow_client)
{
    struct world *w = world_new();
    int fd = dial(w, false);

    talk(w, fd, STR("GET / HT"));
    timer_start(&TAILQ_FIRST(&w->httpd->conns)->deadline, 1);
    HAS(talk(w, fd, STR_NONE), "408 ");
    close(fd);
    world_free(w);
}
END_TEST

START_TEST(test_escapes)
{
    struct arena a;
    struct str q = STR("a=1&wait=30s&r=two+w%C3%B6rds&flag&bad=%zz");

    arena_init(&a, NULL, 0);
    ck_assert(str_eq(httpd_query_value(&a, q, "wait"), STR("30s")));
    ck_assert(str_eq(httpd_query_value(&a, q, "r"), STR("two w\xc3\xb6rds")));
    ck_assert(httpd_query_value(&a, q, "flag").p && !httpd_query_value(&a, q, "flag").n);
    ck_assert_ptr_null(httpd_query_value(&a, q, "bad").p);
    ck_assert_ptr_null(httpd_query_value(&a, q, "nope").p);
    ck_assert(str_eq(httpd_unescape(&a, STR("a%2Fb+c")), STR("a/b+c")));
    ck_assert_ptr_null(httpd_unescape(&a, STR("a%00")).p);
    ck_assert_ptr_null(httpd_unescape(&a, STR("a%4")).p);
    arena_release(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("httpd");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_request_and_answer);
    tcase_add_test(tc, test_keep_alive_and_pipelining);
    tcase_add_test(tc, test_byte_by_byte);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_sizes);
    tcase_add_test(tc, test_late_answer_and_gone);
    tcase_add_test(tc, test_stream);
    tcase_add_test(tc, test_too_many);
    tcase_add_test(tc, test_slow_client);
    tcase_add_test(tc, test_escapes);
    suite_add_tcase(s, tc);
    return unit_run(s);
}
