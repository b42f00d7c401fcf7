/*
 * io.h - one non-blocking stream socket: bytes in as blocks, bytes out once a loop turn.
 *
 * Reading: on readiness bytes are received into io->in and IO_DATA is called; the owner
 * consumes them there by moving `start`, or takes the block away (io_take). What it leaves
 * stays, and the next bytes are appended; when nothing is left, the io gives the block back, so
 * an idle connection owns no buffer. When the block is full and nobody consumes, reading
 * pauses.
 *
 * Writing: io_queue takes a block over; everything queued is sent at the end of the turn, or
 * at io_flush. EV_WRITE is registered only after a short write. An io is registered for
 * reading once, when it opens, and stays registered.
 *
 * TLS (io_accept_tls, io_connect_tls) lies under all of this: IO_DATA and io_queue are about
 * plain bytes, which come and go only after the handshake; out_bytes counts what waits in
 * either form.
 *
 * The io is embedded in its owner (conn, upconn). After io_close no callback comes any more,
 * but the memory must stay until the turn is over: the owner buries itself.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/event/block.h"
#include "proxy/event/loop.h"

#include <sys/socket.h>

enum io_event {
    IO_OPEN, /* connected (io_connect only); with TLS, on both sides: the handshake is over */
    IO_DATA, /* io->in has fresh bytes */
    IO_DRAINED, /* all output is in the kernel; only after io_want_drained */
    IO_EOF,     /* the peer will send nothing more; writing may go on */
    IO_ERROR    /* reset or refused; io->error is the errno. Close it */
};

struct io;
typedef void io_cb(struct io *io, enum io_event ev, void *owner);

/* The connections of one worker: where blocks come from and who has output to flush. */
struct io_set {
    struct loop *loop;
    struct blocks blocks;
    TAILQ_HEAD(, io) dirty;
    struct flusher flusher;
    struct slab write_events;
    struct ring *ring;   /* sends of a turn leave together; NULL: one by one */
    struct slab tls;     /* of io_tls */
    void *tls_transport; /* OpenSSL's way to our sockets; made when first needed */
    uint64_t tls_warned_ms;
    uint64_t sent_bytes; /* by all, for tests and metrics */
};
void io_set_init(struct io_set *set, struct loop *l);
/* From now on what many connections have to send at the end of a turn goes to the kernel in one
 * system call. RING (may be NULL) is the set's. */
void io_set_use_ring(struct io_set *set, struct ring *ring);
void io_set_release(struct io_set *set);

struct io {
    struct event readable;
    struct event *writable; /* the set's, while EV_WRITE is registered */
    struct io_set *set;
    io_cb *cb;
    void *owner;
    struct block *in;
    struct block_list out;
    struct io_tls *tls; /* owned; NULL: plain */
    TAILQ_ENTRY(io) dirty_link;
    uint32_t out_bytes;
    int fd; /* -1: closed */
    int error;
    bool dirty : 1;        /* on the set's list */
    bool reading : 1;      /* EV_READ is registered */
    bool connecting : 1;   /* TCP is not there yet */
    bool shaking : 1;      /* TLS is not there yet: nothing of ours is sent */
    bool paused : 1;       /* by io_pause */
    bool eof : 1;          /* IO_EOF was called */
    bool want_drained : 1; /* call IO_DRAINED once */
    bool bulk : 1;         /* read into large blocks */
    bool keep : 1;         /* the owner refers to bytes of io->in: do not give it back */
    bool ending : 1;       /* shut down once all is sent */
};

/* Take over a connected, non-blocking FD. It is registered by the first io_resume: bytes that
 * came with the connection are best read before (io_read_now). */
void io_open(struct io *io, struct io_set *set, int fd, io_cb *cb, void *owner);
/* Receive what is there already; the callback may run before this returns. */
void io_read_now(struct io *io);
/* Begin to connect. IO_OPEN or IO_ERROR follows on a later turn; -1: errno, nothing was opened
 * and nothing follows. */
int io_connect(struct io *io, struct io_set *set, const struct sockaddr *sa, socklen_t len,
               io_cb *cb, void *owner) MUST_CHECK;

struct tls_server;
struct tls_client;
struct tls_session;
/* Speak TLS on an io that was just opened or connected; nothing was read or queued. IO_OPEN
 * tells that the handshake is over, IO_ERROR that it failed. SERVER gets one more reference. */
void io_accept_tls(struct io *io, struct tls_server *server);
/* HOST: the peer as configured, for its certificate. SESSION: room for what resumes the next
 * connection; CLIENT and SESSION outlive the io. PROTOCOL (a bit of tls_protocol) is offered by
 * ALPN. False: CLIENT cannot speak yet, close it. */
bool io_connect_tls(struct io *io, struct tls_client *client, struct tls_session *session,
                    struct str host, unsigned protocol) MUST_CHECK;
/* After IO_OPEN: what was agreed on by ALPN, a bit of tls_protocol; 0: nothing. */
unsigned io_tls_protocol(const struct io *io);

struct io_tls_facts {    /* of a server's side */
    const char *version; /* "TLSv1.3" */
    const struct tls_server *server;
    unsigned policy;    /* see tls_server_policy */
    unsigned protocol;  /* bit of tls_protocol; 0: the client did not say */
    struct str subject; /* of the client's verified certificate (RFC 4514); or empty */
};
/* After IO_OPEN; good as long as the io is open. */
const struct io_tls_facts *io_tls_facts(const struct io *io);

/* Drop output that was not sent, give blocks back, close the descriptor. Idempotent. */
void io_close(struct io *io);

/* The bytes that were read, with the block, now the caller's; NULL when there are none. */
struct block *io_take(struct io *io);
/* Put S (at most BLOCK_LARGE bytes) back as what was read last; after io_take. */
void io_unread(struct io *io, struct str s);
/* Nothing refers to io->in any more: give it back when it is empty, and go on reading. */
void io_idle(struct io *io);
/* Room for more in io->in: what is consumed in front of it is cut off, or it is moved to a
 * large block. Offsets from in->start stay true, pointers do not. False: it is full and large.
 */
bool io_grow(struct io *io) MUST_CHECK;
/* No IO_DATA until io_resume; a peer that closes meanwhile is noticed then. */
void io_pause(struct io *io);
/* IO_DATA may come again, on a later turn. Bytes still in io->in are not announced again. */
void io_resume(struct io *io);

void io_queue(struct io *io, struct block *b); /* B is the io's now, also when empty */
/* Copy S behind what is queued. For heads and small bodies: one send for all of it. */
void io_write(struct io *io, struct str s);
/* N contiguous bytes (at most BLOCK_SMALL) to fill in, then io_wrote(how many of them). */
char *io_room(struct io *io, size_t n);
void io_wrote(struct io *io, size_t n);
bool io_fits(const struct io *io, size_t n); /* N bytes more stay one send with what waits */
void io_flush(struct io *io);        /* send now; errors come as IO_ERROR on a later turn */
void io_want_drained(struct io *io); /* IO_DRAINED once, on a later turn */
/*
 * Bytes that the other side has not taken: queued here and in the kernel, which holds megabytes
 * and asks for more only when a third of them is gone. A system call.
 */
size_t io_untaken(const struct io *io);
/* There are bytes to read, here or in the kernel. A system call. */
bool io_has_input(const struct io *io);
/* No more output: FIN after what is queued. Call with nothing queued. */
void io_shutdown(struct io *io);
/* The same once all that is queued is sent. Reading goes on. */
void io_end(struct io *io);
