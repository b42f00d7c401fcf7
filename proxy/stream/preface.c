/* preface.c - a connection that owes its PROXY header. */
#include "proxy/stream/preface.h"

#include "proxy/base/sys.h"
#include "proxy/stream/conn.h"
#include "proxy/stream/metrics.h"

#include <errno.h>
#include <sys/socket.h>

static void on_grave(void *arg)
{
    struct preface *f = arg;
    struct listener *l = f->listener;

    slab_put(&l->plane->prefaces, f);
    listener_unref(l);
}

/* The socket is not ours any more. */
static void leave(struct preface *f)
{
    watch_stop(&f->watch);
    deadline_stop(&f->deadline);
    LIST_REMOVE(f, link);
    f->fd = -1;
    loop_bury(f->listener->plane->loop, &f->grave, on_grave, f);
}

void preface_close(struct preface *f)
{
    struct plane *p = f->listener->plane;

    sys_close(f->fd);
    leave(f);
    plane_check_drained(p);
}

static void refuse(struct preface *f)
{
    metrics_violation(f->listener->plane, STATS_BAD_PROXY_HEADER);
    preface_close(f);
}

static void hand_on(struct preface *f, const struct proxy_header *h)
{
    int fd = f->fd;
    struct listener *l = f->listener;

    leave(f);
    conn_open(l, fd, h->known ? &h->from.any : (const struct sockaddr *)&f->peer);
}

/* Take what belongs to the header off the socket: it was peeked at, so it is all there. */
static bool take(struct preface *f, size_t n)
{
    ssize_t got = recv(f->fd, f->in + f->n, n, 0);

    if (got != (ssize_t)n)
        return false;
    f->n += n;
    return true;
}

static void on_readable(void *arg, unsigned what)
{
    struct preface *f = arg;
    struct proxy_header h;
    ssize_t seen = recv(f->fd, f->in + f->n, sizeof(f->in) - f->n, MSG_PEEK);

    (void)what;
    if (seen < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (seen <= 0) { /* gone without a word, or in the middle of one */
        preface_close(f);
        return;
    }
    switch (proxy_header_parse((struct str){f->in, f->n + (size_t)seen}, &h)) {
    case PROXY_HEADER_MORE:
        if (!take(f, (size_t)seen))
            preface_close(f);
        return;
    case PROXY_HEADER_BAD:
        refuse(f);
        return;
    case PROXY_HEADER_DONE:
        if (take(f, h.size - f->n))
            hand_on(f, &h);
        else
            preface_close(f);
        return;
    }
}

static void on_deadline(void *arg)
{
    refuse(arg);
}

void preface_open(struct listener *l, int fd, const struct sockaddr_storage *peer)
{
    struct plane *p = l->plane;
    struct preface *f;
    uint8_t ip[16];

    if (!network_of((const struct sockaddr *)peer, ip) ||
        !network_match(l->conf->proxy_protocol.from, l->conf->proxy_protocol.nfrom, ip)) {
        metrics_violation(p, STATS_BAD_PROXY_HEADER);
        sys_close(fd);
        return;
    }
    f = slab_get(&p->prefaces);
    memset(f, 0, offsetof(struct preface, in));
    f->listener = listener_ref(l);
    f->fd = fd;
    f->peer = *peer;
    deadline_init(&f->deadline, on_deadline, f);
    deadline_start(&f->deadline, p->hurrying ? p->last_queue : l->head);
    LIST_INSERT_HEAD(&p->prefaces_open, f, link);
    watch_start(&f->watch, p->loop, fd, WATCH_READ, on_readable, f);
}
