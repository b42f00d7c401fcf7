/*
 * accept.c - the listening sockets of a worker.
 *
 * Invariant: a listener in plane->listeners has an open fd, and is watched unless accepting is
 * paused; connections keep the listener they came in by, but never its fd.
 */
#include "proxy/stream/accept.h"

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/listen.h"
#include "proxy/stream/conn.h"
#include "proxy/stream/preface.h"

#include <errno.h>
#include <netinet/tcp.h>

#define ACCEPTS_A_TURN  64
#define ACCEPT_PAUSE_MS 100 /* after running out of descriptors, or nearly */
#define LEAVING_MS      200 /* a handshake over the longest ways takes so long */

struct listener *listener_ref(struct listener *l)
{
    l->refs++;
    return l;
}

void listener_unref(struct listener *l)
{
    if (--l->refs)
        return;
    tls_server_unref(l->tls);
    xfree(l->name);
    xfree(l);
}

static void set_timeouts(struct listener *l)
{
    struct deadlines *ds = l->plane->deadlines;
    struct conf_client_timeouts t = {CLIENT_HEAD_MS, CLIENT_IDLE_MS, CLIENT_STALL_MS};

    if (l->conf)
        t = l->conf->timeouts;
    l->ping = deadline_queue(ds, l->conf ? l->conf->http2.ping_ms : 0);
    l->head = deadline_queue(ds, t.head_ms);
    l->idle = deadline_queue(ds, t.idle_ms);
    l->stall = deadline_queue(ds, t.stall_ms);
}

/* What the newest snapshot says about L. */
void listener_find_conf(struct listener *l)
{
    const struct tables *t = l->plane->tables;
    struct str rest = str_of(l->name), name = str_cut(&rest, '@');

    l->conf = NULL;
    for (size_t i = 0; t && i < t->conf->nlisteners; i++)
        if (str_eq(t->conf->listeners[i].name, name))
            l->conf = &t->conf->listeners[i];
    set_timeouts(l);
}

static void pause_accepting(struct plane *p)
{
    struct listener *l;

    LIST_FOREACH (l, &p->listeners, link)
        watch_stop(&l->watch);
    timer_start(&p->accept_timer, ACCEPT_PAUSE_MS);
}

static void accept_failed(struct plane *p)
{
    stat_add(&p->stats->accept_failed, 1);
    pause_accepting(p);
}

/* -1 and errno: there is nobody, or no descriptor for him. */
static int accept_one(struct listener *l)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof(peer);
    int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return errno == ECONNABORTED || errno == EINTR ? 0 : -1;
    if (l->conf && l->conf->proxy_protocol.nfrom)
        preface_open(l, fd, &peer);
    else
        conn_open(l, fd, (struct sockaddr *)&peer);
    return 0;
}

static void on_acceptable(void *arg, unsigned what)
{
    struct listener *l = arg;

    (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        if (overload_is_full(l->plane)) {
            pause_accepting(l->plane);
            return;
        }
        if (accept_one(l) == 0)
            continue;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            accept_failed(l->plane);
        return;
    }
}

static void on_accept_timer(void *arg)
{
    struct plane *p = arg;
    struct listener *l;

    LIST_FOREACH (l, &p->listeners, link)
        watch_start(&l->watch, p->loop, l->fd, WATCH_READ, on_acceptable, l);
}

/* What the newest document says about L. */
void listener_set_tls(struct listener *l)
{
    struct str rest = str_of(l->name);
    struct tls_server *s = secrets_server(&l->plane->secrets, str_cut(&rest, '@'));

    tls_server_unref(l->tls);
    l->tls = tls_server_ref(s);
}

void plane_listen(struct plane *p, const char *name, int fd)
{
    struct listener *l = xcalloc(1, sizeof(*l));
    int one = 1;

    l->refs = 1;
    l->plane = p;
    l->name = xstrdup(name);
    l->fd = fd;
    listener_find_conf(l);
    listener_set_tls(l);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* inherited */
    LIST_INSERT_HEAD(&p->listeners, l, link);
    if (!timer_pending(&p->accept_timer))
        watch_start(&l->watch, p->loop, fd, WATCH_READ, on_acceptable, l);
}

static void listener_close(struct listener *l)
{
    watch_stop(&l->watch);
    LIST_REMOVE(l, link);
    sys_close(l->fd);
    l->fd = -1;
    l->conf = NULL;
    listener_unref(l);
}

/* Those in the queue are served as clients of L, whatever happens to L. */
static void accept_rest(struct listener *l)
{
    while (accept_one(l) == 0)
        ;
}

void plane_unlisten(struct plane *p, const char *name)
{
    struct listener *l, *next;

    for (l = LIST_FIRST(&p->listeners); l; l = next) {
        next = LIST_NEXT(l, link);
        if (strcmp(l->name, name) != 0)
            continue;
        accept_rest(l);
        listener_close(l);
    }
}

static void on_left(void *arg)
{
    struct plane *p = arg;
    struct listener *l;

    while ((l = LIST_FIRST(&p->listeners))) {
        accept_rest(l);
        listener_close(l);
    }
    timer_stop(&p->accept_timer);
    plane_check_drained(p);
}

void accept_drain(struct plane *p)
{
    struct listener *l;

    LIST_FOREACH (l, &p->listeners, link)
        if (listen_hush(l->fd) < 0)
            log_warn("listener %s lets clients in until it is closed: %s", l->name,
                     strerror(errno));
    timer_start(&p->leaving_timer, LIST_EMPTY(&p->listeners) ? 0 : LEAVING_MS);
}

void accept_init(struct plane *p)
{
    LIST_INIT(&p->listeners);
    timer_init(&p->accept_timer, p->loop, on_accept_timer, p);
    timer_init(&p->leaving_timer, p->loop, on_left, p);
}

void accept_release(struct plane *p)
{
    struct listener *l;

    timer_stop(&p->accept_timer);
    timer_stop(&p->leaving_timer);
    while ((l = LIST_FIRST(&p->listeners)))
        listener_close(l);
}
