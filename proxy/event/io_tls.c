/*
 * io_tls.c - TLS below an io.
 *
 * Invariant: OpenSSL never blocks and never waits to write: its output goes into `wire`, which
 * io.c sends and of which out_bytes counts every byte. It is asked for plain bytes only when
 * there may be some: after a wake-up, or by a posted call for what was left in its buffers.
 */
#include "proxy/event/io_tls.h"

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/event/tls_impl.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>

#define KEEP_TLS    4096
#define WIRE_HIGH   65536 /* encrypted bytes that are worth a send */
#define SUBJECT_MAX 1024  /* a longer one is not passed on */
#define WARN_MS     1000  /* at most one warning in so many */

struct io_tls {                  /* owned by its io */
    struct tls_server_ssl asked; /* server side; .server is a reference */
    struct tls_client *client;   /* client side; borrowed */
    struct tls_session *session;
    struct io *io;
    SSL *ssl;
    struct block_list wire;
    struct post again;
    struct io_tls_facts facts;
    char *subject; /* of the peer's certificate, or NULL */
    bool drained;  /* the last recv got less than it asked for: nothing more is there */
    bool starved;  /* OpenSSL holds nothing that could be read */
    bool ended;    /* the peer closed the socket */
    bool parted;   /* close_notify was queued */
};

/* ---- the transport ---- */

static int on_read(BIO *b, char *p, int room)
{
    struct io_tls *t = BIO_get_data(b);
    ssize_t n;

    BIO_clear_retry_flags(b);
    if (!t->drained) {
        n = recv(t->io->fd, p, (size_t)room, 0);
        t->drained = n < room;
        t->ended = n == 0;
        if (n >= 0)
            return (int)n;
        if (errno != EAGAIN && errno != EINTR) {
            t->io->error = errno;
            return -1;
        }
    }
    BIO_set_retry_read(b);
    return -1;
}

static int on_write(BIO *b, const char *p, int n)
{
    struct io_tls *t = BIO_get_data(b);
    struct str left = {p, (size_t)n};
    struct block *last = STAILQ_EMPTY(&t->wire)
                             ? NULL
                             : CONTAINER_OF(t->wire.stqh_last, struct block, link.stqe_next);

    BIO_clear_retry_flags(b);
    while (left.n) {
        size_t fits;

        if (!last || block_room(last) == 0) {
            last = block_get(&t->io->set->blocks, left.n > BLOCK_SMALL / 2);
            STAILQ_INSERT_TAIL(&t->wire, last, link);
        }
        fits = block_room(last) < left.n ? block_room(last) : left.n;
        block_append(last, (struct str){left.p, fits});
        left = str_skip(left, fits);
    }
    t->io->out_bytes += (uint32_t)n;
    return n;
}

static long on_ctrl(BIO *b, int what, long n, void *p)
{
    const struct io_tls *t = BIO_get_data(b);

    (void)n;
    (void)p;
    return what == BIO_CTRL_FLUSH || (what == BIO_CTRL_EOF && t->ended);
}

static BIO_METHOD *transport(struct io_set *set)
{
    BIO_METHOD *m = set->tls_transport;

    if (m)
        return m;
    m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice io");
    ASSERT(m && BIO_meth_set_read(m, on_read) && BIO_meth_set_write(m, on_write) &&
           BIO_meth_set_ctrl(m, on_ctrl));
    set->tls_transport = m;
    return m;
}

void io_tls_set_init(struct io_set *set)
{
    slab_init(&set->tls, sizeof(struct io_tls), KEEP_TLS);
}

void io_tls_set_release(struct io_set *set)
{
    slab_release(&set->tls);
    BIO_meth_free(set->tls_transport);
}

/* ---- beginning and end ---- */

static void attach(struct io *io, struct io_tls *t, SSL *ssl)
{
    BIO *b = BIO_new(transport(io->set));

    ASSERT(b);
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    t->io = io;
    t->ssl = ssl;
    t->starved = true;
    STAILQ_INIT(&t->wire);
    io->tls = t;
    io->shaking = true;
}

void io_accept_tls(struct io *io, struct tls_server *server)
{
    struct io_tls *t = slab_get(&io->set->tls);

    *t = (struct io_tls){0};
    attach(io, t, tls_server_ssl_new(tls_server_ref(server), &t->asked));
}

bool io_connect_tls(struct io *io, struct tls_client *client, struct tls_session *session,
                    struct str host, unsigned protocol)
{
    SSL *ssl = tls_client_ssl_new(client, session, host, protocol);
    struct io_tls *t;

    if (!ssl)
        return false;
    t = slab_get(&io->set->tls);
    *t = (struct io_tls){.client = client, .session = session};
    attach(io, t, ssl);
    return true;
}

unsigned io_tls_protocol(const struct io *io)
{
    return tls_protocol_of(io->tls->ssl);
}

void io_tls_farewell(struct io *io)
{
    struct io_tls *t = io->tls;

    if (t->parted || io->shaking || io->error)
        return;
    t->parted = true;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
}

void io_tls_close(struct io *io)
{
    struct io_tls *t = io->tls;
    struct block *b;

    if (!io->eof && STAILQ_EMPTY(&io->out)) {
        io_tls_farewell(io);
        b = STAILQ_FIRST(&t->wire);
        if (b && !io->error)
            (void)send(io->fd, b->data + b->start, b->end - b->start, MSG_NOSIGNAL);
    }
    if (!io->error && !io->shaking) /* else its session is not to be resumed */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    while ((b = STAILQ_FIRST(&t->wire))) {
        STAILQ_REMOVE_HEAD(&t->wire, link);
        block_put(&io->set->blocks, b);
    }
    loop_unpost(io->set->loop, &t->again);
    SSL_free(t->ssl);
    tls_server_unref(t->asked.server);
    xfree(t->subject);
    slab_put(&io->set->tls, t);
    io->tls = NULL;
}

/* ---- the handshake ---- */

static void keep_subject(struct io_tls *t)
{
    X509 *x = t->asked.server ? SSL_get0_peer_certificate(t->ssl) : NULL;
    BIO *b = x ? BIO_new(BIO_s_mem()) : NULL;
    char *p;
    long n;

    if (!b)
        return;
    if (SSL_get_verify_result(t->ssl) == X509_V_OK &&
        X509_NAME_print_ex(b, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >= 0 &&
        (n = BIO_get_mem_data(b, &p)) > 0 && n <= SUBJECT_MAX)
        t->subject = xstrndup(p, (size_t)n);
    BIO_free(b);
}

/* Clients fail all the time and that is their matter; a service that fails is the operator's.
 */
static void warn_failed(struct io_tls *t)
{
    struct io_set *set = t->io->set;
    uint64_t now = loop_now_ms(set->loop);
    long verdict = SSL_get_verify_result(t->ssl);
    char reason[128];

    tls_error(reason, sizeof(reason));
    if (!t->client || (set->tls_warned_ms && now < set->tls_warned_ms + WARN_MS))
        return;
    set->tls_warned_ms = now;
    log_warn("TLS to an endpoint of %.*s failed: %s", STR_ARG(tls_client_name(t->client)),
             verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
             : t->ended           ? "the connection was closed"
                                  : reason);
}

int io_tls_shake(struct io *io)
{
    struct io_tls *t = io->tls;
    int rc;

    t->drained = false;
    ERR_clear_error();
    rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        keep_subject(t);
        t->starved = false;
        return 1;
    }
    if (SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ)
        return 0;
    if (t->ended && !io->error)
        io->error = ECONNRESET;
    warn_failed(t);
    if (t->session)
        tls_session_clear(t->session);
    return -1;
}

const struct io_tls_facts *io_tls_facts(const struct io *io)
{
    struct io_tls *t = io->tls;

    t->facts = (struct io_tls_facts){
        .version = SSL_get_version(t->ssl),
        .server = t->asked.server,
        .policy = t->asked.policy,
        .protocol = tls_protocol_of(t->ssl),
        .subject = str_of(t->subject),
    };
    return &t->facts;
}

/* ---- bytes ---- */

/* SSL_read has failed without giving a byte: what recv would say. */
static ssize_t no_bytes(struct io *io, int why)
{
    const struct io_tls *t = io->tls;

    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (why == SSL_ERROR_WANT_READ)
        errno = EAGAIN;
    else /* also a connection that was cut: what came may not be all */
        errno = io->error = io->error ? io->error : t->ended ? ECONNRESET : EPROTO;
    return -1;
}

ssize_t io_tls_recv(struct io *io, char *p, size_t room)
{
    struct io_tls *t = io->tls;
    size_t got = 0, n;
    int ok, why;

    t->drained = false;
    do {
        ERR_clear_error();
        ok = SSL_read_ex(t->ssl, p + got, room - got, &n);
        got += ok == 1 ? n : 0;
    } while (ok == 1 && got < room && SSL_has_pending(t->ssl));
    why = ok == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, ok);
    /* The end, or a failure, is told by the next call. */
    t->starved = ok == 1 ? !SSL_has_pending(t->ssl) : why == SSL_ERROR_WANT_READ;
    return got ? (ssize_t)got : no_bytes(io, why);
}

static void on_again(void *arg)
{
    struct io *io = ((struct io_tls *)arg)->io;

    if (io->reading && !io->paused)
        io_read_now(io);
}

void io_tls_read_later(struct io *io)
{
    struct io_tls *t = io->tls;

    if (!t->starved && io->reading && !io->paused && !io->shaking && !io->error && !io->eof)
        loop_post(io->set->loop, &t->again, on_again, t);
}

struct block_list *io_tls_seal(struct io *io)
{
    struct io_tls *t = io->tls;
    struct block *b;
    size_t n, wire = 0;

    STAILQ_FOREACH (b, &t->wire, link)
        wire += b->end - b->start;
    while (!io->shaking && wire < WIRE_HIGH && (b = STAILQ_FIRST(&io->out))) {
        if (b->start < b->end) {
            ERR_clear_error();
            if (SSL_write_ex(t->ssl, b->data + b->start, b->end - b->start, &n) != 1) {
                io->error = EPROTO;
                break;
            }
            b->start += (uint32_t)n;
            io->out_bytes -= (uint32_t)n;
            wire += n;
        }
        if (b->start == b->end) {
            STAILQ_REMOVE_HEAD(&io->out, link);
            block_put(&io->set->blocks, b);
        }
    }
    return &t->wire;
}
