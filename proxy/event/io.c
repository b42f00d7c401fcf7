/*
 * io.c - one non-blocking stream socket on raw libevent events.
 *
 * Invariant: an io with queued output is on the dirty list or has EV_WRITE registered.
 * Callbacks to the owner are the last statement, or the io is looked at again after them (fd <
 * 0: closed).
 */
#include "proxy/event/io.h"

#include "proxy/event/io_tls.h"
#include "proxy/event/ring.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define READS_PER_WAKEUP 4 /* fairness: then the other connections have their turn */
#define IOV_MAX_BLOCKS   8
#define KEEP_EVENTS      64

static void on_readable(evutil_socket_t fd, short what, void *arg);
static bool send_all(struct io *io);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_flush(void *arg);

void io_set_init(struct io_set *set, struct loop *l)
{
    *set = (struct io_set){.loop = l};
    blocks_init(&set->blocks);
    slab_init(&set->write_events, sizeof(struct event), KEEP_EVENTS);
    TAILQ_INIT(&set->dirty);
    io_tls_set_init(set);
    loop_add_flusher(l, &set->flusher, on_flush, set);
}

void io_set_use_ring(struct io_set *set, struct ring *ring)
{
    ring_free(set->ring);
    set->ring = ring;
}

void io_set_release(struct io_set *set)
{
    ASSERT(TAILQ_EMPTY(&set->dirty));
    loop_remove_flusher(set->loop, &set->flusher);
    io_tls_set_release(set);
    blocks_release(&set->blocks);
    slab_release(&set->write_events);
    ring_free(set->ring);
}

static void set_reading(struct io *io, bool on)
{
    if (io->reading == on)
        return;
    ASSERT((on ? event_add(&io->readable, NULL) : event_del(&io->readable)) == 0);
    io->reading = on;
}

static void set_writing(struct io *io, bool on)
{
    struct slab *events = &io->set->write_events;

    if (on == (io->writable != NULL))
        return;
    if (on) {
        io->writable = slab_get(events);
        event_assign(io->writable, loop_base(io->set->loop), io->fd, EV_WRITE | EV_PERSIST,
                     on_writable, io);
        ASSERT(event_add(io->writable, NULL) == 0);
    } else {
        ASSERT(event_del(io->writable) == 0);
        slab_put(events, io->writable);
        io->writable = NULL;
    }
}

static void io_setup(struct io *io, struct io_set *set, int fd, io_cb *cb, void *owner)
{
    struct event_base *base = loop_base(set->loop);

    *io = (struct io){.set = set, .fd = fd, .cb = cb, .owner = owner};
    STAILQ_INIT(&io->out);
    event_assign(&io->readable, base, fd, EV_READ | EV_PERSIST, on_readable, io);
}

void io_open(struct io *io, struct io_set *set, int fd, io_cb *cb, void *owner)
{
    io_setup(io, set, fd, cb, owner);
}

int io_connect(struct io *io, struct io_set *set, const struct sockaddr *sa, socklen_t len,
               io_cb *cb, void *owner)
{
    int one = 1, fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (sa->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, sa, len) < 0 && errno != EINPROGRESS) {
        int why = errno;

        close(fd);
        errno = why;
        return -1;
    }
    io_setup(io, set, fd, cb, owner);
    io->connecting = true;
    set_writing(io, true);
    return 0;
}

static void drop_output(struct io *io)
{
    struct block *b;

    while ((b = STAILQ_FIRST(&io->out))) {
        STAILQ_REMOVE_HEAD(&io->out, link);
        block_put(&io->set->blocks, b);
    }
    io->out_bytes = 0;
}

static void set_dirty(struct io *io, bool on)
{
    if (io->dirty == on)
        return;
    if (on)
        TAILQ_INSERT_TAIL(&io->set->dirty, io, dirty_link);
    else
        TAILQ_REMOVE(&io->set->dirty, io, dirty_link);
    io->dirty = on;
}

void io_close(struct io *io)
{
    if (io->fd < 0)
        return;
    set_reading(io, false);
    set_writing(io, false);
    if (io->tls)
        io_tls_close(io);
    set_dirty(io, false);
    drop_output(io);
    block_put(&io->set->blocks, io->in);
    io->in = NULL;
    close(io->fd);
    io->fd = -1;
}

/* ---- reading ---- */

static void give_back_empty(struct io *io)
{
    if (!io->in || io->keep || io->in->start < io->in->end)
        return;
    block_put(&io->set->blocks, io->in);
    io->in = NULL;
}

static void fail(struct io *io, int why)
{
    io->error = why;
    set_reading(io, false);
    set_writing(io, false);
    io->cb(io, IO_ERROR, io->owner);
}

static void on_end_of_input(struct io *io)
{
    io->eof = true;
    set_reading(io, false);
    give_back_empty(io);
    io->cb(io, IO_EOF, io->owner);
}

/* One recv and one callback. True: there may be more, and the owner wants it. */
static bool read_once(struct io *io)
{
    size_t room;
    ssize_t n;

    if (!io->in)
        io->in = block_get(&io->set->blocks, io->bulk);
    room = block_room(io->in);
    if (room == 0) {
        set_reading(io, false);
        return false;
    }
    n = io->tls ? io_tls_recv(io, io->in->data + io->in->end, room)
                : recv(io->fd, io->in->data + io->in->end, room, 0);
    if (io->tls && io->out_bytes && !io->writable)
        set_dirty(io, true); /* the protocol itself may have something to say */
    if (n > 0) {
        io->in->end += (uint32_t)n;
        io->cb(io, IO_DATA, io->owner);
        if (io->fd < 0)
            return false;
        give_back_empty(io);
        return (size_t)n == room && !io->paused && !io->eof;
    }
    give_back_empty(io);
    if (n == 0)
        on_end_of_input(io);
    else if (errno != EAGAIN && errno != EINTR)
        fail(io, errno);
    return false;
}

/* TLS: one step of the handshake. True: it is over, there may be bytes to read. */
static bool shake(struct io *io)
{
    int rc = io_tls_shake(io);

    if (rc < 0) {
        (void)send_all(io); /* the alert that says why */
        fail(io, io->error ? io->error : EPROTO);
        return false;
    }
    if (io->out_bytes && !io->writable)
        set_dirty(io, true);
    if (rc == 0)
        return false;
    io->shaking = false;
    io->cb(io, IO_OPEN, io->owner);
    return io->fd >= 0 && !io->error;
}

void io_read_now(struct io *io)
{
    if (io->shaking && !shake(io))
        return;
    for (int i = 0; i < READS_PER_WAKEUP; i++)
        if (io->fd < 0 || !read_once(io))
            break;
    if (io->fd >= 0 && io->tls)
        io_tls_read_later(io);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct io *io = arg;

    (void)fd;
    (void)what;
    loop_touch(io->set->loop);
    if (io->fd < 0)
        return;
    if (io->paused)
        set_reading(io, false); /* lazily: most pauses end before anything arrives */
    else
        io_read_now(io);
}

struct block *io_take(struct io *io)
{
    struct block *b;

    give_back_empty(io);
    b = io->in;
    io->in = NULL;
    return b;
}

void io_unread(struct io *io, struct str s)
{
    struct block *b;

    if (s.n == 0 || io->fd < 0)
        return;
    ASSERT(!io->in);
    b = block_get(&io->set->blocks, s.n > BLOCK_SMALL);
    block_append(b, s);
    io->in = b;
}

bool io_has_input(const struct io *io)
{
    char first;

    return (io->in && io->in->start < io->in->end) ||
           recv(io->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

void io_idle(struct io *io)
{
    io->keep = false;
    io->bulk = false;
    give_back_empty(io);
    io_resume(io);
}

bool io_grow(struct io *io)
{
    struct block *b = io->in, *big;
    uint32_t filled = b->end - b->start;

    if (b->start > BLOCK_HEADROOM) {
        memmove(b->data + BLOCK_HEADROOM, b->data + b->start, filled);
        b->start = BLOCK_HEADROOM;
        b->end = BLOCK_HEADROOM + filled;
        return true;
    }
    if (b->large)
        return block_room(b) > 0;
    big = block_get(&io->set->blocks, true);
    block_append(big, block_str(b));
    block_put(&io->set->blocks, b);
    io->in = big;
    return true;
}

void io_pause(struct io *io)
{
    io->paused = true;
}

void io_resume(struct io *io)
{
    io->paused = false;
    if (io->fd < 0 || io->eof || io->connecting || io->error)
        return;
    set_reading(io, true);
    if (io->tls)
        io_tls_read_later(io);
}

/* ---- writing ---- */

void io_queue(struct io *io, struct block *b)
{
    if (io->fd < 0 || b->start == b->end) {
        block_put(&io->set->blocks, b);
        return;
    }
    STAILQ_INSERT_TAIL(&io->out, b, link);
    io->out_bytes += b->end - b->start;
    if (!io->writable)
        set_dirty(io, true);
}

static struct block *last_block(struct io *io)
{
    if (STAILQ_EMPTY(&io->out))
        return NULL;
    return CONTAINER_OF(io->out.stqh_last, struct block, link.stqe_next);
}

bool io_fits(const struct io *io, size_t n)
{
    const struct block *last = last_block((struct io *)io);

    return last && block_room(last) >= n;
}

char *io_room(struct io *io, size_t n)
{
    struct block *last = last_block(io);

    ASSERT(n <= BLOCK_SMALL);
    if (!last || block_room(last) < n) {
        last = block_get(&io->set->blocks, false);
        STAILQ_INSERT_TAIL(&io->out, last, link);
    }
    return last->data + last->end;
}

void io_wrote(struct io *io, size_t n)
{
    struct block *last = last_block(io);

    last->end += (uint32_t)n;
    io->out_bytes += (uint32_t)n;
    if (!io->writable)
        set_dirty(io, true);
}

void io_write(struct io *io, struct str s)
{
    while (s.n && io->fd >= 0) {
        struct block *last = last_block(io);
        size_t n = last ? block_room(last) : 0;

        if (n == 0) {
            io_room(io, 1);
            continue;
        }
        n = n < s.n ? n : s.n;
        memcpy(last->data + last->end, s.p, n);
        io_wrote(io, n);
        s = str_skip(s, n);
    }
}

/* Send what one call takes of LIST; *ASKED is how much that was. */
static ssize_t send_some(struct io *io, struct block_list *list, size_t *asked)
{
    struct iovec iov[IOV_MAX_BLOCKS];
    struct msghdr msg = {.msg_iov = iov};
    struct block *b = STAILQ_FIRST(list);

    *asked = b->end - b->start;
    if (!STAILQ_NEXT(b, link))
        return send(io->fd, b->data + b->start, *asked, MSG_NOSIGNAL);
    *asked = 0;
    for (; b && msg.msg_iovlen < IOV_MAX_BLOCKS; b = STAILQ_NEXT(b, link)) {
        iov[msg.msg_iovlen++] = (struct iovec){b->data + b->start, b->end - b->start};
        *asked += b->end - b->start;
    }
    return sendmsg(io->fd, &msg, MSG_NOSIGNAL);
}

static void forget_sent(struct io *io, struct block_list *list, size_t n)
{
    io->out_bytes -= (uint32_t)n;
    io->set->sent_bytes += n;
    while (n) {
        struct block *b = STAILQ_FIRST(list);
        size_t filled = b->end - b->start;

        if (n < filled) {
            b->start += (uint32_t)n;
            return;
        }
        n -= filled;
        STAILQ_REMOVE_HEAD(list, link);
        block_put(&io->set->blocks, b);
    }
}

/* What a send of ASKED bytes came to. True: the kernel took all of them. */
static bool sent(struct io *io, struct block_list *list, ssize_t n, size_t asked, int why)
{
    if (n >= 0)
        forget_sent(io, list, (size_t)n);
    else if (why != EAGAIN)
        io->error = why;
    return n >= 0 && (size_t)n == asked;
}

/* What the socket is to take next. */
static struct block_list *outgoing(struct io *io)
{
    return io->tls ? io_tls_seal(io) : &io->out;
}

/* True: the kernel took all of it, or all that there is before the end of a handshake. */
static bool send_all(struct io *io)
{
    while (io->out_bytes) {
        struct block_list *list = outgoing(io);
        size_t asked;
        ssize_t n;

        if (STAILQ_EMPTY(list))
            return io->error == 0;
        n = send_some(io, list, &asked);

        if (n < 0 && errno == EINTR)
            continue;
        if (!sent(io, list, n, asked, errno))
            return false;
    }
    return true;
}

static void after_send(struct io *io, bool all)
{
    if (all && io->ending && !io->shaking) {
        io->ending = false;
        io_shutdown(io);
    }
    set_writing(io, !all || (io->want_drained && !io->shaking));
}

/*
 * Owners are never called from here: what they must know comes through on_writable, on a later
 * turn. A socket with an error is writable, so a failed send takes the same way.
 */
void io_flush(struct io *io)
{
    set_dirty(io, false);
    if (io->fd < 0 || io->connecting)
        return;
    after_send(io, send_all(io));
}

static void on_ring_sent(void *who, int rc)
{
    struct io *io = who;

    after_send(io, sent(io, outgoing(io), rc, io->out_bytes, -rc));
}

/* The one block that is all there is to send; NULL: that is for send and sendmsg. */
static struct block *fits_ring(struct io *io)
{
    struct block *b = io->connecting ? NULL : STAILQ_FIRST(outgoing(io));

    return b && !io->error && b->end - b->start == io->out_bytes ? b : NULL;
}

/* The kernel has taken, or refused, everything when this returns: nothing stays behind that a
 * close would have to wait for. */
static void flush_ring(struct io_set *set)
{
    struct io *io;

    while ((io = TAILQ_FIRST(&set->dirty))) {
        struct block *b = fits_ring(io);

        if (!b) {
            io_flush(io);
            continue;
        }
        if (!ring_send(set->ring, io->fd, block_str(b), io)) {
            ring_submit(set->ring, on_ring_sent);
            continue;
        }
        set_dirty(io, false);
    }
    ring_submit(set->ring, on_ring_sent);
}

static void on_flush(void *arg)
{
    struct io_set *set = arg;
    struct io *io = TAILQ_FIRST(&set->dirty);

    if (set->ring && io && TAILQ_NEXT(io, dirty_link))
        flush_ring(set);
    while ((io = TAILQ_FIRST(&set->dirty)))
        io_flush(io);
}

void io_want_drained(struct io *io)
{
    io->want_drained = true;
    if (io->fd >= 0 && !io->dirty)
        set_writing(io, true);
}

static void on_connected(struct io *io)
{
    socklen_t len = sizeof(io->error);

    io->connecting = false;
    set_writing(io, false);
    if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &io->error, &len) < 0)
        io->error = errno;
    if (io->error) {
        fail(io, io->error);
        return;
    }
    set_reading(io, true);
    if (io->shaking) {
        (void)shake(io);
        return;
    }
    if (io->out_bytes)
        set_dirty(io, true);
    io->cb(io, IO_OPEN, io->owner);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct io *io = arg;

    (void)fd;
    (void)what;
    loop_touch(io->set->loop);
    if (io->fd < 0)
        return;
    if (io->connecting) {
        on_connected(io);
        return;
    }
    if (!io->error && send_all(io)) {
        set_writing(io, false);
        if (io->want_drained && !io->shaking) {
            io->want_drained = false;
            io->cb(io, IO_DRAINED, io->owner);
        }
        return;
    }
    if (io->error && io->reading && !io->paused)
        io_read_now(io); /* what the peer said before it hung up: an early answer */
    if (io->error && io->fd >= 0)
        fail(io, io->error);
}

size_t io_untaken(const struct io *io)
{
    int queued = 0;

    (void)ioctl(io->fd, SIOCOUTQ, &queued);
    return io->out_bytes + (size_t)queued;
}

void io_shutdown(struct io *io)
{
    if (io->fd < 0)
        return;
    if (io->tls) {
        io_tls_farewell(io);
        (void)send_all(io);
    }
    (void)shutdown(io->fd, SHUT_WR);
}

void io_end(struct io *io)
{
    io->ending = true;
    if (io->fd >= 0 && !io->writable)
        set_dirty(io, true);
}
