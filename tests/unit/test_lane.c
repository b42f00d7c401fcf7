/* test_lane.c - exchanges on shared HTTP/2 connections: which one carries them, when one is
 * worn out, and whose request was never sent. */
#include "proxy/http/h2_session.h"
#include "proxy/upstream/lane.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIDES 4

struct side { /* the server's, of one connection */
    int fd;
    struct h2_session *session;
    int asked;
    bool over; /* the client has closed it */
};

static struct server {
    int listener;
    struct blocks blocks;
    size_t memory;
    struct side sides[SIDES];
    int n;
    bool holds; /* it does not answer */
} server;

struct exchange {
    struct upconn *up;
    struct head head;
    int status;
    bool opened, ended, aborted;
    enum codec_abort why;
};

static struct loop *loop;
static struct io_set ios;
static struct deadlines *deadlines;
static struct stats_slab slab;
static struct pool pool;
static struct endpoint *ep;
static struct timer tick; /* so that every turn ends */

/* ---- the server ---- */

static void *on_request(void *self, int32_t id, struct h2_fields *f, bool last)
{
    static struct head h;
    struct side *side = self;
    struct h1_parser p;
    struct block *text;

    head_reset(&h);
    ck_assert(h2_fields_request(f, last, &p, &h, &text));
    block_put(&server.blocks, text);
    side->asked++;
    if (!server.holds)
        h2_session_head(side->session, id, &(struct message){.status = 204, .bodyless = true});
    return side;
}

static void on_bytes(void *self, void *stream, struct str bytes)
{
    (void)self;
    (void)stream;
    (void)bytes;
}

static struct h2_piece on_pull(void *self, void *stream, char *to, size_t cap)
{
    (void)self;
    (void)stream;
    (void)to;
    (void)cap;
    return (struct h2_piece){.last = true};
}

static bool on_wants(void *self, void *stream)
{
    (void)self;
    return stream != NULL;
}

static void on_closed(void *self, void *stream)
{
    (void)self;
    (void)stream;
}

static void on_word(void *self)
{
    (void)self;
}

static const struct h2_events events = {.head = on_request,
                                        .data = on_bytes,
                                        .end = on_bytes,
                                        .pull = on_pull,
                                        .wants = on_wants,
                                        .closed = on_closed,
                                        .violation = on_word,
                                        .pong = on_word};

static void say(struct side *side)
{
    struct str out;

    while ((out = h2_session_send(side->session)).n)
        (void)!send(side->fd, out.p, out.n, MSG_NOSIGNAL);
}

static void hear(struct side *side)
{
    char room[16384];
    ssize_t n;

    while ((n = recv(side->fd, room, sizeof(room), MSG_DONTWAIT)) > 0)
        h2_session_recv(side->session, (struct str){room, (size_t)n}, 0);
    side->over |= n == 0;
    say(side);
}

static void serve(void)
{
    int fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        struct side *side = &server.sides[server.n++];

        ck_assert_int_le(server.n, SIDES);
        *side = (struct side){.fd = fd};
        side->session = h2_session_new(&events, side, &server.blocks, &server.memory, 100, 0);
    }
    for (int i = 0; i < server.n; i++)
        hear(&server.sides[i]);
}

/* ---- the borrower ---- */

static void on_open(void *arg)
{
    ((struct exchange *)arg)->opened = true;
}

static void on_head(void *self, const struct message *m)
{
    ((struct exchange *)self)->status = m->status;
}

static bool on_data(void *self, struct block *b)
{
    (void)self;
    block_put(&ios.blocks, b);
    return true;
}

static void on_end(void *self, struct str trailers)
{
    (void)trailers;
    ((struct exchange *)self)->ended = true;
}

static void on_abort(void *self, enum codec_abort why)
{
    struct exchange *x = self;

    x->aborted = true;
    x->why = why;
}

static void on_resume(void *self)
{
    (void)self;
}

static const struct codec_ops ops = {
    .head = on_head, .data = on_data, .end = on_end, .abort = on_abort, .resume = on_resume};

/* A GET on a connection with room, on a new one if there is none. */
static void ask(struct exchange *x)
{
    *x = (struct exchange){.up = pool_take(ep, false, on_open)};
    if (!x->up)
        x->up = upconn_connect(ep, on_open);
    ck_assert_ptr_nonnull(x->up);
    head_reset(&x->head);
    upconn_borrow(x->up, &ops, x, &x->head);
    upconn_text(x->up, METHOD_GET, STR("GET / HTTP/1.1\r\nHost: shop\r\n"), false, 0);
}

/* ---- both ---- */

static void on_tick(void *arg)
{
    timer_start(arg, 5);
}

static void turn(void)
{
    serve();
    loop_turn(loop);
}

static void until_over(struct exchange *x)
{
    while (!x->ended && !x->aborted)
        turn();
}

static void done(struct exchange *x)
{
    until_over(x);
    ck_assert(x->ended);
    ck_assert_int_eq(x->status, 204);
    upconn_return(x->up);
}

static struct upconn2 *newest(void)
{
    return LIST_FIRST(&ep->share.conns);
}

static struct conf_endpoint listening(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);

    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(server.listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
    ck_assert_int_eq(listen(server.listener, 16), 0);
    ck_assert_int_eq(getsockname(server.listener, (struct sockaddr *)&sa, &len), 0);
    return (struct conf_endpoint){.name = STR("127.0.0.1:9"),
                                  .host = STR("127.0.0.1"),
                                  .port = ntohs(sa.sin_port),
                                  .cell = 3};
}

static void begin(void)
{
    struct conf_endpoint address = listening();

    blocks_init(&server.blocks);
    loop = loop_new();
    io_set_init(&ios, loop);
    deadlines = deadlines_new(loop);
    pool_init(&pool, &ios, deadlines, &slab, 1);
    timer_init(&tick, loop, on_tick, &tick);
    timer_start(&tick, 5);
    ep = pool_use(&pool, &address, CONF_UPSTREAM_H2C, NULL, NULL);
    loop_turn(loop); /* it knows the time */
}

static void finish(void)
{
    pool_leave(&pool, ep);
    turn();
    timer_stop(&tick);
    pool_release(&pool);
    pool_release_slabs(&pool);
    deadlines_free(deadlines);
    io_set_release(&ios);
    loop_free(loop);
    for (int i = 0; i < server.n; i++) {
        h2_session_free(server.sides[i].session);
        close(server.sides[i].fd);
    }
    close(server.listener);
    ck_assert_uint_eq(server.memory, 0);
    blocks_release(&server.blocks);
}

START_TEST(they_share_a_connection)
{
    struct exchange x[3];

    for (int i = 0; i < 3; i++)
        ask(&x[i]);
    for (int i = 0; i < 3; i++)
        done(&x[i]);
    ck_assert(x[0].opened);
    ck_assert_int_eq(server.sides[0].asked + server.sides[1].asked + server.sides[2].asked, 3);
    ck_assert_uint_ge(newest()->carried, 1);
}
END_TEST

/* WEARS makes the connection one that is to carry no more: what is on it is completed, others
 * go to a new one, and then it says goodbye. */
static void check_worn(void (*wears)(struct upconn2 *u))
{
    struct exchange first, under_way, next;
    struct upconn2 *old;

    ask(&first);
    done(&first);
    old = newest();
    server.holds = true;
    ask(&under_way);
    while (server.sides[0].asked < 2)
        turn();
    ck_assert_uint_eq(old->busy, 1);
    wears(old);
    server.holds = false;
    ask(&next);
    done(&next);
    ck_assert_int_eq(server.n, 2);
    ck_assert_int_eq(server.sides[0].asked, 2);
    ck_assert_int_eq(server.sides[1].asked, 1);
    ck_assert(!server.sides[0].over && !under_way.aborted);
    h2_session_head(server.sides[0].session, 3,
                    &(struct message){.status = 204, .bodyless = true});
    done(&under_way);
    while (!server.sides[0].over)
        turn();
    ck_assert(!server.sides[1].over);
    ck_assert_uint_eq(ep->share.nconns, 1);
}

static void age(struct upconn2 *u)
{
    u->opened_us -= UPCONN2_AGE_US;
}

static void carry(struct upconn2 *u)
{
    u->carried = UPCONN2_CARRIES;
}

START_TEST(an_old_connection_is_left)
{
    check_worn(age);
}
END_TEST

START_TEST(a_connection_that_carried_enough_is_left)
{
    check_worn(carry);
}
END_TEST

/* The last one that it carries is answered there. */
START_TEST(a_connection_carries_as_many_as_it_may)
{
    struct exchange first, last, next;

    ask(&first);
    done(&first);
    newest()->carried = UPCONN2_CARRIES - 1;
    ask(&last);
    done(&last);
    ck_assert_int_eq(server.sides[0].asked, 2);
    while (!server.sides[0].over)
        turn();
    ask(&next);
    done(&next);
    ck_assert_int_eq(server.sides[1].asked, 1);
}
END_TEST

/* GOAWAY and the end of the connection are there when the request is put on it. */
START_TEST(what_was_never_sent_may_be_repeated)
{
    struct exchange first, late;
    struct side *side = &server.sides[0];

    ask(&first);
    done(&first);
    turn();
    h2_session_goaway(side->session, _i ? H2_CALM : H2_NO_ERROR);
    say(side);
    shutdown(side->fd, SHUT_WR);
    ask(&late);
    ck_assert(upconn_is_open(late.up));
    until_over(&late);
    ck_assert(late.aborted);
    ck_assert_int_eq(late.why, CODEC_RESET);
    ck_assert(upconn_was_dead(late.up, late.why));
    ck_assert(upconn_unreached(late.up));
    upconn_return(late.up);
    ck_assert_int_eq(side->asked, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lane");
    TCase *t = tcase_create("lane");

    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, they_share_a_connection);
    tcase_add_test(t, an_old_connection_is_left);
    tcase_add_test(t, a_connection_that_carried_enough_is_left);
    tcase_add_test(t, a_connection_carries_as_many_as_it_may);
    tcase_add_loop_test(t, what_was_never_sent_may_be_repeated, 0, 2);
    suite_add_tcase(s, t);
    return unit_run(s);
}
