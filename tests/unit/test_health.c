/* test_health.c - fetches and health checks against a server in the same loop. */
#include "control/link/fetch.h"
#include "control/link/health.c"
#include "control/link/httpd.h"
#include "proxy/base/clock.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct world {
    struct loop *loop;
    struct httpd *httpd;
    struct fetcher *fetcher;
    struct httpd_request *held;
    int port, asked, status; /* what /up says */
    int answers;
    struct fetch_result last;
    char error[200], body[200];
    /* of health */
    int changes;
    bool up;
    char who[100], why[100];
};

static void handle(void *arg, struct httpd_request *req)
{
    struct world *w = arg;
    struct str p = httpd_path(req);

    w->asked++;
    if (str_eq(p, STR("/hold")))
        w->held = req;
    else if (str_eq(p, STR("/echo")))
        httpd_reply(req, 201, "text/plain", httpd_body(req));
    else if (str_eq(p, STR("/moved"))) {
        httpd_set_header(req, "Location", "/echo");
        httpd_reply(req, 302, NULL, STR_NONE);
    } else
        httpd_reply(req, w->status, "text/plain", STR("0123456789"));
}

static int listen_tcp(int *port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    ck_assert_int_eq(listen(fd, 64), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
    *port = ntohs(sin.sin_port);
    return fd;
}

static struct world *world_new(void)
{
    struct world *w = xcalloc(1, sizeof(*w));

    w->loop = loop_new();
    w->httpd = httpd_new(w->loop, handle, w);
    w->fetcher = fetcher_new(w->loop);
    w->status = 200;
    ck_assert_int_eq(httpd_listen(w->httpd, listen_tcp(&w->port), 0), 0);
    return w;
}

static void world_free(struct world *w)
{
    fetcher_free(w->fetcher);
    httpd_free(w->httpd);
    loop_free(w->loop);
    xfree(w);
}

static void tick(void *arg)
{
    (void)arg;
}

static void turn(struct world *w)
{
    struct timer t = {0};

    timer_init(&t, w->loop, tick, NULL);
    timer_start(&t, 2);
    loop_turn(w->loop);
    timer_stop(&t);
}

static void spin(struct world *w, int ms)
{
    uint64_t end = clock_mono_us() + (uint64_t)ms * 1000;

    while (clock_mono_us() < end)
        turn(w);
}

static void on_fetched(void *arg, const struct fetch_result *r)
{
    struct world *w = arg;

    w->answers++;
    w->last = *r;
    snprintf(w->error, sizeof(w->error), "%s", r->error ? r->error : "");
    str_copy(w->body, sizeof(w->body), r->body);
}

static void fetch_one(struct world *w, const char *path, struct fetch_options o)
{
    char url[100];
    int before = w->answers;

    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", w->port, path);
    o.url = url;
    fetch_start(w->fetcher, &o, on_fetched, w);
    ck_assert_int_eq(w->answers, before); /* never from inside */
    for (int i = 0; i < 2000 && w->answers == before; i++)
        turn(w);
    ck_assert_int_eq(w->answers, before + 1);
}

START_TEST(test_fetch)
{
    struct world *w = world_new();

    fetch_one(w, "/", (struct fetch_options){.body_max = 100});
    ck_assert_int_eq(w->last.status, 200);
    ck_assert_str_eq(w->body, "0123456789");
    ck_assert(!w->last.truncated);
    fetch_one(w, "/", (struct fetch_options){.body_max = 4});
    ck_assert_int_eq(w->last.status, 200);
    ck_assert_str_eq(w->body, "0123");
    ck_assert(w->last.truncated);
    fetch_one(w, "/echo",
              (struct fetch_options){
                  .method = "PUT", .body = STR("hello"), .body_max = 100, .fresh = true});
    ck_assert_int_eq(w->last.status, 201);
    ck_assert_str_eq(w->body, "hello");
    fetch_one(w, "/moved", (struct fetch_options){0}); /* not followed */
    ck_assert_int_eq(w->last.status, 302);
    world_free(w);
}
END_TEST

START_TEST(test_fetch_failures)
{
    struct world *w = world_new();
    struct fetch *f;
    char url[100];

    fetch_one(w, "/hold", (struct fetch_options){.timeout_ms = 50});
    ck_assert_int_eq(w->last.status, 0);
    ck_assert_str_eq(w->error, "timed out");
    for (int i = 0; i < 2; i++) {
        struct fetch_options o = {.url = i ? "file:///etc/passwd" : "http://127.0.0.1:1/"};
        int before = w->answers;

        fetch_start(w->fetcher, &o, on_fetched, w);
        ck_assert_int_eq(w->answers, before);
        spin(w, 100);
        ck_assert_int_eq(w->answers, before + 1);
        ck_assert_int_eq(w->last.status, 0);
        ck_assert(w->error[0]);
    }
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/hold", w->port);
    f = fetch_start(w->fetcher, &(struct fetch_options){.url = url}, on_fetched, w);
    spin(w, 30);
    fetch_cancel(f);
    fetch_start(w->fetcher, &(struct fetch_options){.url = url}, on_fetched, w);
    spin(w, 30);
    ck_assert_int_eq(w->answers, 3);
    world_free(w); /* with one under way */
}
END_TEST

static void on_health(void *arg, struct str service, struct str version, struct str endpoint,
                      const struct health_row *row)
{
    struct world *w = arg;

    (void)endpoint;
    w->changes++;
    w->up = row->up;
    snprintf(w->who, sizeof(w->who), "%.*s/%.*s", STR_ARG(service), STR_ARG(version));
    snprintf(w->why, sizeof(w->why), "%s", row->error);
}

static void wait_change(struct world *w, int n)
{
    for (int i = 0; i < 2000 && w->changes < n; i++)
        turn(w);
    ck_assert_int_eq(w->changes, n);
}

START_TEST(test_rise_and_fall)
{
    struct world *w = world_new();
    char name[40];
    struct conf_endpoint e = {.host = STR("127.0.0.1"), .port = (uint16_t)w->port, .up = true};
    struct conf_version v = {.name = STR("v1"), .endpoints = &e, .nendpoints = 1};
    struct conf_service s = {.name = STR("shop"), .versions = &v, .nversions = 1};
    struct conf c = {.services = &s, .nservices = 1};
    struct health *h = health_new(w->loop, w->fetcher, 1, on_health, w);
    struct health_row row;
    int asked;

    s.health = (struct conf_health){.enabled = true,
                                    .path = STR("/up"),
                                    .interval_ms = 10,
                                    .timeout_ms = 500,
                                    .rise = 2,
                                    .fall = 3};
    snprintf(name, sizeof(name), "127.0.0.1:%d", w->port);
    e.name = str_of(name);
    health_configure(h, &c);
    ck_assert(health_get(h, s.name, v.name, e.name, &row));
    ck_assert(row.state == HEALTH_UNKNOWN && row.up);
    wait_change(w, 1); /* the first result decides */
    ck_assert(w->up);
    ck_assert_str_eq(w->who, "shop/v1");
    w->status = 503;
    asked = w->asked;
    wait_change(w, 2);
    ck_assert_int_ge(w->asked - asked, 3);
    ck_assert(!w->up);
    ck_assert_str_eq(w->why, "HTTP 503");
    health_configure(h, &c); /* keeps the state */
    ck_assert(health_get(h, s.name, v.name, e.name, &row) && row.state == HEALTH_DOWN);
    w->status = 302;
    asked = w->asked;
    wait_change(w, 3);
    ck_assert_int_ge(w->asked - asked, 2);
    ck_assert(w->up);
    v.nendpoints = 0;
    health_configure(h, &c);
    ck_assert(!health_get(h, s.name, v.name, e.name, &row));
    asked = w->asked;
    spin(w, 40);
    ck_assert_int_eq(w->asked, asked);
    health_free(h);
    world_free(w);
}
END_TEST

START_TEST(test_tcp_asks_for_a_connection_only)
{
    struct world *w = world_new();
    struct conf_endpoint e = {.host = STR("127.0.0.1"), .port = (uint16_t)w->port, .up = true};
    struct conf_version v = {.name = STR("v1"), .endpoints = &e, .nendpoints = 1};
    struct conf_service s = {.name = STR("shop"), .versions = &v, .nversions = 1};
    struct conf c = {.services = &s, .nservices = 1};
    struct health *h = health_new(w->loop, w->fetcher, 1, on_health, w);

    s.health = (struct conf_health){true, CONF_CHECK_TCP, STR("/"), STR_NONE, 10, 500, 2, 3};
    e.name = STR("one");
    w->status = 503;
    health_configure(h, &c);
    wait_change(w, 1);
    ck_assert(w->up);
    spin(w, 100);
    ck_assert_int_eq(w->asked, 0);
    e.name = STR("two");
    e.port = 1; /* nobody listens there */
    health_configure(h, &c);
    wait_change(w, 2);
    ck_assert(!w->up);
    ck_assert_int_gt((int)strlen(w->why), 0);
    health_free(h);
    world_free(w);
}
END_TEST

START_TEST(test_thousands_do_not_burst)
{
    struct world *w = world_new();
    static struct conf_endpoint e[2000];
    static char names[2000][32];
    struct conf_version v = {.name = STR("v1"), .endpoints = e, .nendpoints = 2000};
    struct conf_service s = {.name = STR("shop"), .versions = &v, .nversions = 1};
    struct conf c = {.services = &s, .nservices = 1};
    struct health *h = health_new(w->loop, w->fetcher, 1, on_health, w);
    struct target *t;
    int soon = 0;

    s.health = (struct conf_health){.enabled = true,
                                    .path = STR("/up"),
                                    .interval_ms = 10000,
                                    .timeout_ms = 500,
                                    .rise = 1,
                                    .fall = 1};
    for (int i = 0; i < 2000; i++) {
        snprintf(names[i], sizeof(names[i]), "127.0.0.1:%d", i + 1);
        e[i] = (struct conf_endpoint){
            .name = str_of(names[i]), .host = STR("127.0.0.1"), .port = (uint16_t)(i + 1)};
    }
    health_configure(h, &c);
    LIST_FOREACH (t, &h->targets, link) {
        struct timeval at, now;

        ck_assert(event_pending(&t->timer.ev, EV_TIMEOUT, &at));
        gettimeofday(&now, NULL);
        soon += (at.tv_sec - now.tv_sec) * 1000 + (at.tv_usec - now.tv_usec) / 1000 < 1000;
    }
    ck_assert_int_lt(soon, 1000);
    health_free(h);
    world_free(w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("health");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_fetch);
    tcase_add_test(tc, test_fetch_failures);
    tcase_add_test(tc, test_rise_and_fall);
    tcase_add_test(tc, test_tcp_asks_for_a_connection_only);
    tcase_add_test(tc, test_thousands_do_not_burst);
    suite_add_tcase(s, tc);
    return unit_run(s);
}
