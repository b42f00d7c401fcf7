/* test_tls.c - the document, contexts and their faults, tickets, names, a talk between two ios.
 */
#include "proxy/base/mem.h"
#include "proxy/event/io.h"
#include "proxy/event/ring.h"
#include "proxy/event/tls_cert.h"
#include "proxy/event/tls_client.h"
#include "proxy/event/tls_server.h"
#include "tests/unit/certificate.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct arena arena;
static bool through_ring; /* set by the fixtures below */
static struct tls_tickets tickets;

static struct tls_cert_spec make(const char *names)
{
    return certificate_new(&arena, names);
}

static struct tls_listener_spec listener(struct tls_cert_spec *certs, uint32_t n)
{
    return (struct tls_listener_spec){.name = STR("web"),
                                      .min_version = 2,
                                      .protocols = TLS_HTTP1,
                                      .certs = certs,
                                      .ncerts = n};
}

START_TEST(a_document_comes_back)
{
    struct tls_cert_spec cert = {STR("cert"), STR("key"), STR("ocsp"), STR("ca"),
                                 TLS_AUTH_REQUIRE};
    struct tls_listener_spec l = {.name = STR("web"),
                                  .ciphers = STR("AES"),
                                  .min_version = 3,
                                  .protocols = TLS_HTTP1,
                                  .certs = &cert,
                                  .ncerts = 1};
    struct tls_upstream_spec u = {.name = STR("shop"), .ca = STR("CA"), .verify = 2};
    struct tls_spec s = {&l, &u, 1, 1}, back;
    struct str doc = tls_spec_write(&arena, &s);

    ck_assert(tls_spec_read(&arena, doc, &back));
    ck_assert_uint_eq(back.nlisteners, 1);
    ck_assert(str_eq(back.listeners[0].ciphers, STR("AES")));
    ck_assert_uint_eq(back.listeners[0].protocols, TLS_HTTP1);
    ck_assert_uint_eq(back.listeners[0].certs[0].client_auth, TLS_AUTH_REQUIRE);
    ck_assert(str_eq(back.listeners[0].certs[0].client_ca, STR("ca")));
    ck_assert(str_eq(back.upstreams[0].ca, STR("CA")) && back.upstreams[0].verify == 2);
    for (size_t n = 0; n < doc.n; n++)
        ck_assert(!tls_spec_read(&arena, (struct str){doc.p, n}, &back));
}
END_TEST

START_TEST(names_have_policies)
{
    struct tls_cert_spec certs[4] = {make("DNS:a.test"), make("DNS:*.b.test"),
                                     make("DNS:c.test,DNS:x.b.test"), make("DNS:d.test")};
    struct tls_listener_spec l = listener(certs, 4);
    struct tls_fault f;
    struct tls_server *s;

    certs[2].client_auth = certs[3].client_auth = TLS_AUTH_REQUEST;
    certs[2].client_ca = certs[3].client_ca = certs[0].cert;
    s = tls_server_new(&l, &tickets, &f);
    ck_assert_msg(s != NULL, "%s", f.text);

    unsigned other = tls_server_policy(s, STR("c.test"));

    ck_assert_uint_ne(other, 0);
    ck_assert_uint_eq(tls_server_policy(s, STR("d.test")), other);   /* the same demands */
    ck_assert_uint_eq(tls_server_policy(s, STR("x.b.test")), other); /* exact before wildcard */
    ck_assert_uint_eq(tls_server_policy(s, STR("X.B.test")), other);
    ck_assert_uint_eq(tls_server_policy(s, STR("y.b.test")), 0);
    ck_assert_uint_eq(tls_server_policy(s, STR("a.test")), 0);
    ck_assert_uint_eq(tls_server_policy(s, STR("nobody.test")), 0);
    ck_assert_uint_eq(tls_server_policy(s, STR("")), 0);
    tls_server_unref(s);
}
END_TEST

START_TEST(faults_name_their_field)
{
    struct tls_cert_spec certs[2] = {make("DNS:a.test"), make("DNS:b.test")};
    struct tls_listener_spec l = listener(certs, 2);
    struct str key = certs[1].key;
    struct tls_fault f;

    certs[1].key = certs[0].key;
    ck_assert_ptr_null(tls_server_new(&l, &tickets, &f));
    ck_assert(f.field == TLS_FIELD_KEY && f.cert == 1);
    certs[1].key = STR("junk");
    ck_assert_ptr_null(tls_server_new(&l, &tickets, &f));
    ck_assert(f.field == TLS_FIELD_KEY && f.cert == 1);
    certs[1].key = key;
    certs[0].cert = STR("junk");
    ck_assert_ptr_null(tls_server_new(&l, &tickets, &f));
    ck_assert(f.field == TLS_FIELD_CERT && f.cert == 0);
    certs[0] = make("DNS:a.test");
    certs[0].client_auth = TLS_AUTH_REQUEST;
    certs[0].client_ca = STR("junk");
    ck_assert_ptr_null(tls_server_new(&l, &tickets, &f));
    ck_assert(f.field == TLS_FIELD_CLIENT_CA);
    certs[0].client_auth = TLS_AUTH_NONE;
    l.ciphers = STR("NOT-A-CIPHER");
    ck_assert_ptr_null(tls_server_new(&l, &tickets, &f));
    ck_assert(f.field == TLS_FIELD_CIPHERS);
    l.ciphers = STR_NONE;
    l.suites = STR("TLS_NOTHING");
    ck_assert_ptr_null(tls_server_new(&l, &tickets, &f));
    ck_assert(f.field == TLS_FIELD_SUITES);
    l.suites = STR_NONE;
    l.curves = STR("X25519:nonsense");
    ck_assert_ptr_null(tls_server_new(&l, &tickets, &f));
    ck_assert(f.field == TLS_FIELD_CURVES);
}
END_TEST

START_TEST(ticket_keys_are_counted)
{
    static const char keys[4 * TLS_TICKET_KEY] = {0};
    struct tls_tickets some = {0};

    ck_assert(!tls_tickets_set(&some, (struct str){keys, 0}));
    ck_assert(!tls_tickets_set(&some, (struct str){keys, TLS_TICKET_KEY - 1}));
    ck_assert(!tls_tickets_set(&some, (struct str){keys, sizeof(keys)}));
    ck_assert(tls_tickets_set(&some, (struct str){keys, 3 * TLS_TICKET_KEY}));
    ck_assert_uint_eq(some.n, 3);
}
END_TEST

START_TEST(a_certificate_is_described)
{
    struct tls_cert_spec c = make("DNS:a.test,DNS:*.b.test");
    uint64_t end;
    char names[64];

    ck_assert(tls_cert_describe(c.cert, &end, names, sizeof(names)));
    ck_assert_str_eq(names, "a.test, *.b.test");
    ck_assert(!tls_cert_describe(STR("junk"), &end, names, sizeof(names)));
}
END_TEST

/* ---- two ios that talk ---- */

#define BULK (1u << 20)

struct end {
    struct io io;
    unsigned opened, errors, eofs;
    size_t got;
    bool echo; /* answer with as much as came */
};

static void on_io(struct io *io, enum io_event ev, void *owner)
{
    struct end *e = owner;
    struct block *b;
    unsigned wrong = 0;

    e->opened += ev == IO_OPEN;
    e->errors += ev == IO_ERROR;
    e->eofs += ev == IO_EOF;
    if (ev != IO_DATA || !(b = io_take(io)))
        return;
    for (uint32_t i = b->start; i < b->end; i++, e->got++)
        wrong += (unsigned char)b->data[i] != (unsigned char)(e->got * 7);
    ck_assert_uint_eq(wrong, 0);
    if (e->echo)
        io_queue(io, b);
    else
        block_put(&io->set->blocks, b);
}

struct talk {
    struct loop *loop;
    struct io_set set;
    struct end server, client;
    struct tls_server *context;
    struct tls_client *service;
    struct tls_session session;
};

static void talk_open(struct talk *t, struct tls_cert_spec *cert, uint32_t verify)
{
    struct tls_listener_spec l = listener(cert, 1);
    struct tls_upstream_spec u = {.name = STR("shop"), .ca = cert->cert, .verify = verify};
    struct tls_fault f;
    int fds[2];

    *t = (struct talk){.loop = loop_new()};
    io_set_init(&t->set, t->loop);
    if (through_ring)
        io_set_use_ring(&t->set, ring_new());
    t->context = tls_server_new(&l, &tickets, &f);
    t->service = tls_client_new(STR("shop"));
    ck_assert(t->context && tls_client_set(t->service, &u, &f));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    io_open(&t->server.io, &t->set, fds[0], on_io, &t->server);
    io_open(&t->client.io, &t->set, fds[1], on_io, &t->client);
    io_accept_tls(&t->server.io, t->context);
    ck_assert(io_connect_tls(&t->client.io, t->service, &t->session, STR("a.test"), TLS_HTTP1));
    t->server.echo = true;
    io_resume(&t->server.io);
    io_resume(&t->client.io);
    io_read_now(&t->client.io); /* begins the handshake */
}

static void talk_close(struct talk *t)
{
    io_close(&t->server.io);
    io_close(&t->client.io);
    tls_session_clear(&t->session);
    tls_server_unref(t->context);
    tls_client_free(t->service);
    io_set_release(&t->set);
    loop_free(t->loop);
}

static void on_done(void *arg)
{
    loop_stop(arg);
}

static void run(struct talk *t, uint64_t ms)
{
    struct timer timer;

    timer_init(&timer, t->loop, on_done, t->loop);
    timer_start(&timer, ms);
    loop_run(t->loop);
    timer_stop(&timer);
}

/* Let them talk until COND holds, for some seconds at most. */
#define UNTIL(cond)                                                                            \
    do {                                                                                       \
        for (int step_ = 0; step_ < 500 && !(cond); step_++)                                   \
            run(&t, 10);                                                                       \
        ck_assert(cond);                                                                       \
    } while (0)

static void say(struct io *io, size_t from, size_t n)
{
    char piece[1000];

    for (size_t i = 0; i < n;) {
        size_t k = 0;

        for (; k < sizeof(piece) && i < n; k++, i++)
            piece[k] = (char)((from + i) * 7);
        io_write(io, (struct str){piece, k});
    }
}

START_TEST(a_megabyte_there_and_back)
{
    struct tls_cert_spec cert = make("DNS:a.test");
    struct talk t;

    talk_open(&t, &cert, TLS_VERIFY_FULL);
    say(&t.client.io, 0, 10); /* before the handshake is over: it waits */
    UNTIL(t.client.got == 10);
    ck_assert(t.server.opened == 1 && t.client.opened == 1);
    say(&t.client.io, 10, BULK);
    UNTIL(t.client.got == 10 + BULK);
    ck_assert_uint_eq(t.server.got, 10 + BULK);
    ck_assert_uint_eq(t.client.io.out_bytes, 0);
    ck_assert(t.client.io.in == NULL && t.server.io.in == NULL); /* idle: no buffer */
    io_close(&t.client.io);
    UNTIL(t.server.eofs == 1);
    ck_assert_uint_eq(t.server.errors, 0); /* it said farewell */
    talk_close(&t);
}
END_TEST

START_TEST(requests_allocate_nothing_of_ours)
{
    struct tls_cert_spec cert = make("DNS:a.test");
    struct talk t;
    uint64_t before;

    talk_open(&t, &cert, TLS_VERIFY_FULL);
    say(&t.client.io, 0, 100);
    UNTIL(t.client.got == 100);
    before = mem_allocations();
    for (size_t i = 1; i <= 20; i++) {
        say(&t.client.io, i * 100, 100);
        UNTIL(t.client.got == (i + 1) * 100);
    }
#ifndef SLUICE_DEBUG /* there every block is an allocation */
    ck_assert_uint_eq(mem_allocations() - before, 0);
#endif
    talk_close(&t);
    (void)before;
}
END_TEST

START_TEST(a_wrong_name_is_an_error)
{
    struct tls_cert_spec cert = make("DNS:other.test");
    struct talk t;

    talk_open(&t, &cert, TLS_VERIFY_FULL);
    UNTIL(t.client.errors == 1 && t.server.errors == 1);
    ck_assert_uint_eq(t.client.opened, 0);
    talk_close(&t);
    talk_open(&t, &cert, TLS_VERIFY_CA);
    UNTIL(t.client.opened == 1);
    ck_assert_uint_eq(t.client.errors, 0);
    talk_close(&t);
}
END_TEST

START_TEST(a_cut_connection_is_no_end)
{
    struct tls_cert_spec cert = make("DNS:a.test");
    struct talk t;

    talk_open(&t, &cert, TLS_VERIFY_FULL);
    UNTIL(t.client.opened == 1 && t.server.opened == 1);
    ck_assert_int_eq(shutdown(t.client.io.fd, SHUT_WR), 0); /* without close_notify */
    UNTIL(t.server.errors == 1);
    ck_assert_uint_eq(t.server.eofs, 0);
    talk_close(&t);
}
END_TEST

START_TEST(plain_text_fails_a_handshake)
{
    struct tls_cert_spec cert = make("DNS:a.test");
    struct talk t;

    talk_open(&t, &cert, TLS_VERIFY_NONE);
    ck_assert_int_eq(write(t.server.io.fd, "HTTP/1.1 200 OK\r\n\r\n", 19), 19);
    UNTIL(t.client.errors == 1);
    ck_assert(t.client.opened == 0 && t.client.got == 0);
    talk_close(&t);
}
END_TEST

static void setup(void)
{
    static const char keys[3 * TLS_TICKET_KEY] = "next";

    arena_init(&arena, NULL, 0);
    ck_assert(tls_tickets_set(&tickets, (struct str){keys, sizeof(keys)}));
}

static void setup_ring(void)
{
    setup();
    through_ring = true;
}

static void teardown(void)
{
    through_ring = false;
    arena_release(&arena);
}

static TCase *talks(const char *name, void (*begin)(void))
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, begin, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_megabyte_there_and_back);
    tcase_add_test(tc, requests_allocate_nothing_of_ours);
    tcase_add_test(tc, a_wrong_name_is_an_error);
    tcase_add_test(tc, a_cut_connection_is_no_end);
    tcase_add_test(tc, plain_text_fails_a_handshake);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("tls");
    TCase *tc = tcase_create("tls");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_document_comes_back);
    tcase_add_test(tc, names_have_policies);
    tcase_add_test(tc, faults_name_their_field);
    tcase_add_test(tc, ticket_keys_are_counted);
    tcase_add_test(tc, a_certificate_is_described);
    suite_add_tcase(s, tc);
    suite_add_tcase(s, talks("send", setup));
    suite_add_tcase(s, talks("io_uring", setup_ring));
    return unit_run(s);
}
