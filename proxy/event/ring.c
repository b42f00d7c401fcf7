/*
 * ring.c - many sends in one system call, through io_uring.
 *
 * Invariant: between calls nothing is submitted that was not reaped. MSG_DONTWAIT makes every
 * send complete while it is submitted: it succeeds in part or in full, or is refused.
 */
#include "proxy/event/ring.h"

#include <errno.h>

#ifdef HAVE_LIBURING

#include "proxy/base/mem.h"

#include <liburing.h>
#include <sys/socket.h>

#define RING_SENDS 256 /* a system call; more take turns */

struct ring { /* owned by an io_set */
    struct io_uring uring;
    unsigned waiting; /* collected, not submitted */
};

struct ring *ring_new(void)
{
    struct ring *r = xcalloc(1, sizeof(*r));
    int rc = io_uring_queue_init(RING_SENDS, &r->uring,
                                 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

    if (rc == 0)
        return r;
    xfree(r);
    errno = -rc;
    return NULL;
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    ASSERT(r->waiting == 0);
    io_uring_queue_exit(&r->uring);
    xfree(r);
}

bool ring_send(struct ring *r, int fd, struct str s, void *who)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

    if (!sqe)
        return false;
    io_uring_prep_send(sqe, fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    io_uring_sqe_set_data(sqe, who);
    r->waiting++;
    return true;
}

static void reap(struct ring *r, ring_cb *done)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;

    io_uring_for_each_cqe(&r->uring, head, cqe)
    {
        done(io_uring_cqe_get_data(cqe), cqe->res);
        n++;
    }
    io_uring_cq_advance(&r->uring, n);
    r->waiting -= n;
}

void ring_submit(struct ring *r, ring_cb *done)
{
    while (r->waiting) {
        int rc = io_uring_submit_and_wait(&r->uring, r->waiting);

        ASSERT(rc >= 0 || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY);
        reap(r, done);
    }
}

#else

struct ring *ring_new(void)
{
    errno = ENOSYS;
    return NULL;
}

void ring_free(struct ring *r)
{
    ASSERT(!r);
}

bool ring_send(struct ring *r, int fd, struct str s, void *who)
{
    (void)r;
    (void)fd;
    (void)s;
    (void)who;
    return false;
}

void ring_submit(struct ring *r, ring_cb *done)
{
    (void)r;
    (void)done;
}

#endif
