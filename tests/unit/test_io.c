/*
 * test_io.c - what is queued leaves in order and whole, whatever the peers do, both ways: one
 * send each, and all sends of a turn through io_uring.
 */
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/io.h"
#include "proxy/event/ring.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define PAIRS 600 /* more than fit into a ring at once */

static bool through_ring; /* set by the fixtures below */

static void use_ring(void)
{
    through_ring = true;
}

struct end { /* an io and the test's end of its socket */
    struct io io;
    int peer;
    int opened, drained, failed, eof;
};

struct bed {
    struct loop *loop;
    struct io_set set;
    struct end *ends;
    size_t n;
};

static void on_io(struct io *io, enum io_event ev, void *owner)
{
    struct end *e = owner;

    e->opened += ev == IO_OPEN;
    e->drained += ev == IO_DRAINED;
    e->eof += ev == IO_EOF;
    if (ev == IO_ERROR) {
        e->failed++;
        io_close(io);
    }
}

static void bed_init(struct bed *b, size_t n)
{
    signal(SIGPIPE, SIG_DFL); /* no send may raise it */
    *b = (struct bed){.loop = loop_new(), .n = n};
    io_set_init(&b->set, b->loop);
    if (through_ring) {
        struct ring *ring = ring_new();

        if (!ring)
            fprintf(stderr, "no io_uring here (%s): the plain way again\n", strerror(errno));
        io_set_use_ring(&b->set, ring);
    }
    b->ends = xcalloc(n, sizeof(*b->ends));
    for (size_t i = 0; i < n; i++) {
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        b->ends[i].peer = fds[1];
        io_open(&b->ends[i].io, &b->set, fds[0], on_io, &b->ends[i]);
        io_resume(&b->ends[i].io);
    }
}

static void on_nothing(void *arg)
{
    (void)arg;
}

/* A turn that does not wait. */
static void turn(struct bed *b)
{
    struct post p = {0};

    loop_post(b->loop, &p, on_nothing, NULL);
    loop_turn(b->loop);
}

static void bed_release(struct bed *b)
{
    for (size_t i = 0; i < b->n; i++) {
        io_close(&b->ends[i].io);
        if (b->ends[i].peer >= 0)
            close(b->ends[i].peer);
    }
    io_set_release(&b->set);
    loop_free(b->loop);
    xfree(b->ends);
}

static void fill(char *buf, size_t n, size_t salt)
{
    for (size_t i = 0; i < n; i++)
        buf[i] = (char)('a' + (i * 7 + i / 251 + salt) % 26);
}

/* What can be read of E right now, compared with what was sent from AT on. */
static size_t read_same(struct end *e, const char *sent, size_t at)
{
    char got[4096];
    ssize_t n;

    while ((n = recv(e->peer, got, sizeof(got), 0)) > 0) {
        ck_assert_mem_eq(got, sent + at, (size_t)n);
        at += (size_t)n;
    }
    return at;
}

START_TEST(many_that_write_in_a_turn_are_all_sent)
{
    struct bed b;
    char text[200];

    bed_init(&b, PAIRS);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < b.n; i++) {
            fill(text, sizeof(text), i);
            io_write(&b.ends[i].io, (struct str){text, sizeof(text)});
        }
        turn(&b);
        for (size_t i = 0; i < b.n; i++) {
            fill(text, sizeof(text), i);
            ck_assert_uint_eq(b.ends[i].io.out_bytes, 0);
            ck_assert_uint_eq(read_same(&b.ends[i], text, 0), sizeof(text));
        }
    }
    ck_assert_uint_eq(b.set.sent_bytes, 3 * PAIRS * sizeof(text));
    bed_release(&b);
}
END_TEST

/* A queue of blocks and one block at once, into sockets that take a part of it. */
START_TEST(partial_sends_go_on_where_they_stopped)
{
    enum { BYTES = 120000, ENDS = 8 };
    char *text = xmalloc(BYTES);
    size_t got[ENDS] = {0};
    bool partial = false;
    struct bed b;

    bed_init(&b, ENDS);
    fill(text, BYTES, 3);
    for (size_t i = 0; i < ENDS; i++) {
        struct block *large = block_get(&b.set.blocks, true);
        int small = 4096;

        setsockopt(b.ends[i].io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
        if (i % 2) {
            block_append(large, (struct str){text, 60000});
            io_queue(&b.ends[i].io, large);
            io_write(&b.ends[i].io, (struct str){text + 60000, BYTES - 60000});
        } else {
            block_append(large, (struct str){text, BLOCK_LARGE});
            io_queue(&b.ends[i].io, large);
        }
        io_want_drained(&b.ends[i].io);
    }
    for (int t = 0; t < 2000; t++) {
        turn(&b);
        for (size_t i = 0; i < ENDS; i++) {
            partial |= b.ends[i].io.out_bytes > 0 && b.ends[i].io.writable;
            got[i] = read_same(&b.ends[i], text, got[i]);
        }
    }
    ck_assert(partial);
    for (size_t i = 0; i < ENDS; i++) {
        ck_assert_uint_eq(got[i], i % 2 ? BYTES : BLOCK_LARGE);
        ck_assert_int_eq(b.ends[i].drained, 1);
        ck_assert_ptr_null(b.ends[i].io.writable);
    }
    bed_release(&b);
    xfree(text);
}
END_TEST

/* Some of the peers are gone: those fail, with one IO_ERROR each, and nobody else does. */
START_TEST(a_reset_in_the_middle_is_one_error)
{
    struct bed b;

    bed_init(&b, 40);
    for (size_t i = 0; i < b.n; i++) {
        io_write(&b.ends[i].io, STR("hello"));
        if (i % 4 == 0) {
            close(b.ends[i].peer);
            b.ends[i].peer = -1;
        }
    }
    for (int t = 0; t < 4; t++)
        turn(&b);
    for (size_t i = 0; i < b.n; i++) {
        if (i % 4 == 0)
            ck_assert_int_eq(b.ends[i].failed, 1);
        else
            ck_assert_uint_eq(read_same(&b.ends[i], "hello", 0), 5);
        ck_assert(i % 4 == 0 || b.ends[i].failed == 0);
    }
    bed_release(&b);
}
END_TEST

/* Nothing of a turn is still with the kernel when an io is closed: its descriptor's number and
 * its blocks may be somebody else's at once. */
START_TEST(closing_takes_back_what_is_queued)
{
    struct bed b;
    char got[8];

    bed_init(&b, 4);
    for (int i = 0; i < 4; i++)
        io_write(&b.ends[i].io, STR("hello"));
    io_close(&b.ends[1].io);
    turn(&b);
    io_close(&b.ends[2].io);
    ck_assert_int_eq((int)recv(b.ends[1].peer, got, sizeof(got), 0), 0);
    ck_assert_int_eq((int)recv(b.ends[2].peer, got, sizeof(got), 0), 5);
    ck_assert_int_eq((int)recv(b.ends[3].peer, got, sizeof(got), 0), 5);
    ck_assert_uint_eq(b.set.blocks.used, 0);
    bed_release(&b);
}
END_TEST

/* A socket that takes nothing at all waits for EV_WRITE, the others are not held up. */
START_TEST(a_full_socket_waits_alone)
{
    enum { LOTS = 4000 };
    struct bed b;
    char text[1024];
    size_t filled = 0;
    ssize_t n;

    bed_init(&b, 3);
    fill(text, sizeof(text), 0);
    while ((n = send(b.ends[1].io.fd, text, sizeof(text), MSG_DONTWAIT)) > 0)
        filled += (size_t)n;
    ck_assert_int_eq(errno, EAGAIN);
    for (int i = 0; i < 3; i++)
        io_write(&b.ends[i].io, STR("tail"));
    turn(&b);
    ck_assert_uint_eq(read_same(&b.ends[0], "tail", 0), 4);
    ck_assert_uint_eq(read_same(&b.ends[2], "tail", 0), 4);
    ck_assert_uint_eq(b.ends[1].io.out_bytes, 4);
    ck_assert_ptr_nonnull(b.ends[1].io.writable);
    while (filled) {
        n = recv(b.ends[1].peer, text, sizeof(text) < filled ? sizeof(text) : filled, 0);
        ck_assert_int_gt((int)n, 0);
        filled -= (size_t)n;
    }
    for (int t = 0; t < LOTS && b.ends[1].io.out_bytes; t++)
        turn(&b);
    ck_assert_uint_eq(read_same(&b.ends[1], "tail", 0), 4);
    ck_assert_ptr_null(b.ends[1].io.writable);
    bed_release(&b);
}
END_TEST

static TCase *cases(const char *name, void (*way)(void))
{
    TCase *t = tcase_create(name);

    tcase_set_timeout(t, 30);
    if (way)
        tcase_add_checked_fixture(t, way, NULL);
    tcase_add_test(t, many_that_write_in_a_turn_are_all_sent);
    tcase_add_test(t, partial_sends_go_on_where_they_stopped);
    tcase_add_test(t, a_reset_in_the_middle_is_one_error);
    tcase_add_test(t, closing_takes_back_what_is_queued);
    tcase_add_test(t, a_full_socket_waits_alone);
    return t;
}

int main(void)
{
    Suite *s = suite_create("io");

    sys_raise_nofile();
    suite_add_tcase(s, cases("plain", NULL));
    suite_add_tcase(s, cases("io_uring", use_ring));
    return unit_run(s);
}
