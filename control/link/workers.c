/*
 * workers.c - what the supervisor says about the workers, and who waits for their acks.
 *
 * A publication ends once: when all workers that are up have acked its number or a higher one,
 * when one refuses it, or when its time is over. It is settled when something changes and told
 * from the loop's end of turn, never from inside the call that asked.
 */
#include "control/link/workers.h"

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/shm.h"
#include "proxy/base/sys.h"
#include "proxy/base/vec.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

enum kind { SNAPSHOT, FLAGS };

struct publication { /* owned by its workers' list */
    TAILQ_ENTRY(publication) link;
    enum kind kind;
    uint64_t number;
    uint64_t deadline_ms;
    workers_applied_cb *cb;
    void *arg;
    bool settled;
    char *error; /* owned; NULL: applied */
};

struct workers { /* owned by the controller */
    struct loop *loop;
    struct ipc *ipc; /* NULL: the supervisor is gone */
    const struct workers_callbacks *callbacks;
    void *arg;
    VEC(struct workers_row) rows;
    TAILQ_HEAD(publications, publication) pending; /* oldest first */
    struct timer patience;                         /* for the oldest that is not settled */
    struct post settle;
    struct grave grave;
    bool closed;
};

static uint64_t acked(const struct workers_row *r, enum kind kind)
{
    return kind == SNAPSHOT ? r->generation : r->sequence;
}

static bool is_missing(const struct workers_row *r, const struct publication *p)
{
    return r->state == IPC_WORKER_UP && acked(r, p->kind) < p->number;
}

/* "no answer from worker 1 within 5 s", malloc'd. */
static char *silence(const struct workers *w, const struct publication *p)
{
    char slots[256] = "";
    size_t at = 0, n = 0;

    for (size_t i = 0; i < w->rows.n; i++)
        if (is_missing(&w->rows.v[i], p) && at < sizeof(slots) - 16)
            at += (size_t)snprintf(slots + at, sizeof(slots) - at, "%s%u", n++ ? ", " : "",
                                   w->rows.v[i].slot);
    if (!n)
        return xstrdup("the supervisor is gone");
    return xasprintf("no answer from worker%s %s within %d s", n > 1 ? "s" : "", slots,
                     WORKERS_TIMEOUT_MS / 1000);
}

static bool is_applied(const struct workers *w, const struct publication *p)
{
    for (size_t i = 0; i < w->rows.n; i++)
        if (is_missing(&w->rows.v[i], p))
            return false;
    return true;
}

static void publication_settle(struct publication *p, char *error)
{
    if (p->settled)
        xfree(error);
    else
        p->error = error;
    p->settled = true;
}

static void on_settle(void *arg);

/* Something changed: look at what is pending once this turn is over. */
static void workers_look(struct workers *w)
{
    loop_post(w->loop, &w->settle, on_settle, w);
}

static void on_patience(void *arg)
{
    workers_look(arg);
}

static void settle_all(struct workers *w)
{
    struct publication *p;

    TAILQ_FOREACH (p, &w->pending, link) {
        if (p->settled)
            continue;
        if (!w->ipc)
            publication_settle(p, xstrdup("the supervisor is gone"));
        else if (is_applied(w, p))
            publication_settle(p, NULL);
        else if (loop_now_ms(w->loop) >= p->deadline_ms)
            publication_settle(p, silence(w, p));
    }
}

static struct publication *first_settled(const struct workers *w)
{
    struct publication *p;

    TAILQ_FOREACH (p, &w->pending, link)
        if (p->settled)
            return p;
    return NULL;
}

static void wait_for_oldest(struct workers *w)
{
    const struct publication *p = TAILQ_FIRST(&w->pending);
    uint64_t now = loop_now_ms(w->loop);

    timer_stop(&w->patience);
    if (p)
        timer_start(&w->patience, p->deadline_ms > now ? p->deadline_ms - now : 1);
}

static void on_settle(void *arg)
{
    struct workers *w = arg;
    struct publication *p;

    settle_all(w);
    while (!w->closed && (p = first_settled(w))) {
        TAILQ_REMOVE(&w->pending, p, link);
        if (p->cb)
            p->cb(p->arg, p->error);
        xfree(p->error);
        xfree(p);
    }
    if (!w->closed)
        wait_for_oldest(w);
}

/* Rows. */

static struct workers_row *row_of(struct workers *w, uint64_t slot)
{
    ASSERT(slot < 65536);
    while (w->rows.n <= slot) {
        unsigned n = (unsigned)w->rows.n;

        *vec_add(&w->rows) = (struct workers_row){.slot = n, .state = IPC_WORKER_DOWN};
    }
    return &w->rows.v[slot];
}

static void on_worker(struct workers *w, const struct ipc_msg *msg)
{
    struct workers_row *r = row_of(w, msg->b);
    json_t *doc = json_loadb(msg->text.p, msg->text.n, 0, NULL);
    long pid = (long)json_integer_value(json_object_get(doc, "pid"));
    const char *reason = json_string_value(json_object_get(doc, "reason"));

    if (pid != r->pid || msg->a != IPC_WORKER_UP)
        r->generation = r->sequence = 0; /* those were another process's */
    r->state = (enum ipc_worker_state)msg->a;
    r->pid = pid;
    r->restarts = (uint64_t)json_integer_value(json_object_get(doc, "restarts"));
    r->backoff_ms = (uint64_t)json_integer_value(json_object_get(doc, "backoff_ms"));
    str_copy(r->reason, sizeof(r->reason), str_of(reason));
    json_decref(doc);
    workers_look(w);
    if (w->callbacks->worker)
        w->callbacks->worker(w->arg, r);
}

static void on_refused(struct workers *w, enum kind kind, const struct ipc_msg *msg)
{
    struct publication *p;

    TAILQ_FOREACH (p, &w->pending, link)
        if (p->kind == kind && p->number == msg->a)
            publication_settle(p, xasprintf("worker %llu: refused: %.*s",
                                            (unsigned long long)msg->b, STR_ARG(msg->text)));
    workers_look(w);
}

static void on_acked(struct workers *w, const struct ipc_msg *msg)
{
    struct workers_row *r = row_of(w, msg->b);

    *(msg->type == IPC_ACK_SNAPSHOT ? &r->generation : &r->sequence) = msg->a;
    workers_look(w);
}

static void on_config(struct workers *w, const struct ipc_msg *msg)
{
    struct str doc;

    if (shm_map(msg->fd, &doc) < 0) {
        log_error("cannot read the config: %s", strerror(errno));
        return;
    }
    if (w->callbacks->config)
        w->callbacks->config(w->arg, doc, msg->text, msg->a, msg->b);
    shm_unmap(doc);
}

static void on_certificates(struct workers *w, const struct ipc_msg *msg)
{
    struct str doc;

    if (shm_map(msg->fd, &doc) < 0) {
        log_error("cannot read the list of certificates: %s", strerror(errno));
        return;
    }
    if (w->callbacks->certificates)
        w->callbacks->certificates(w->arg, doc);
    shm_unmap(doc);
}

static void on_check_tls(struct workers *w, const struct ipc_msg *msg)
{
    struct str doc;

    if (shm_map(msg->fd, &doc) < 0) {
        log_error("cannot read how health checks speak TLS: %s", strerror(errno));
        return;
    }
    if (w->callbacks->check_tls)
        w->callbacks->check_tls(w->arg, doc);
    shm_unmap(doc);
}

static void on_gone(struct workers *w)
{
    ipc_close(w->ipc);
    w->ipc = NULL;
    workers_look(w);
    if (w->callbacks->gone)
        w->callbacks->gone(w->arg);
}

static void dispatch(struct workers *w, const struct ipc_msg *msg)
{
    const struct workers_callbacks *cb = w->callbacks;

    switch (msg->type) {
    case IPC_WORKER:
        on_worker(w, msg);
        break;
    case IPC_ACK_SNAPSHOT:
    case IPC_ACK_FLAGS:
        on_acked(w, msg);
        break;
    case IPC_NACK:
    case IPC_NACK_FLAGS:
        on_refused(w, msg->type == IPC_NACK ? SNAPSHOT : FLAGS, msg);
        break;
    case IPC_CONFIG:
        on_config(w, msg);
        break;
    case IPC_CERTIFICATES:
        on_certificates(w, msg);
        break;
    case IPC_CHECK_TLS:
        on_check_tls(w, msg);
        break;
    case IPC_RELOADED:
        if (cb->reloaded)
            cb->reloaded(w->arg, msg->a != 0, msg->text);
        break;
    case IPC_DRAINING:
        if (cb->draining)
            cb->draining(w->arg, msg->a);
        break;
    default:
        log_error("unexpected message: %s", ipc_name(msg->type));
        break;
    }
}

static void on_message(void *arg, const struct ipc_msg *msg)
{
    struct workers *w = arg;

    if (!msg) {
        on_gone(w);
        return;
    }
    if (msg->type == IPC_LISTEN_API && w->callbacks->listen_api) {
        w->callbacks->listen_api(w->arg, msg->text, msg->fd);
        return;
    }
    dispatch(w, msg);
    sys_close(msg->fd);
}

/* Life. */

struct workers *workers_open(struct loop *l, int fd, const struct workers_callbacks *callbacks,
                             void *arg)
{
    struct workers *w = xcalloc(1, sizeof(*w));

    w->loop = l;
    w->callbacks = callbacks;
    w->arg = arg;
    TAILQ_INIT(&w->pending);
    timer_init(&w->patience, l, on_patience, w);
    w->ipc = ipc_open(l, fd, on_message, w);
    return w;
}

static void on_buried(void *arg)
{
    struct workers *w = arg;

    vec_release(&w->rows);
    xfree(w);
}

void workers_close(struct workers *w)
{
    struct publication *p;

    if (!w || w->closed)
        return;
    w->closed = true;
    ipc_close(w->ipc);
    w->ipc = NULL;
    timer_stop(&w->patience);
    loop_unpost(w->loop, &w->settle);
    while ((p = TAILQ_FIRST(&w->pending))) {
        TAILQ_REMOVE(&w->pending, p, link);
        xfree(p->error);
        xfree(p);
    }
    loop_bury(w->loop, &w->grave, on_buried, w);
}

/* Publishing. */

static void send_document(struct workers *w, struct publication *p, struct str doc)
{
    int fd = shm_seal(p->kind == FLAGS ? "sluice-flags" : "sluice-snapshot", doc);

    if (fd < 0) {
        publication_settle(p, xasprintf("cannot seal it: %s", strerror(errno)));
        return;
    }
    if (w->ipc)
        ipc_send(w->ipc, &(struct ipc_msg){.type = p->kind == FLAGS ? IPC_FLAGS : IPC_SNAPSHOT,
                                           .a = p->number,
                                           .fd = fd});
    sys_close(fd);
}

static void publish(struct workers *w, enum kind kind, uint64_t number, struct str doc,
                    workers_applied_cb *cb, void *arg)
{
    struct publication *p = xcalloc(1, sizeof(*p));

    p->kind = kind;
    p->number = number;
    p->deadline_ms = loop_now_ms(w->loop) + WORKERS_TIMEOUT_MS;
    p->cb = cb;
    p->arg = arg;
    TAILQ_INSERT_TAIL(&w->pending, p, link);
    send_document(w, p, doc);
    workers_look(w);
}

void workers_publish_snapshot(struct workers *w, uint64_t generation, struct str doc,
                              workers_applied_cb *cb, void *arg)
{
    publish(w, SNAPSHOT, generation, doc, cb, arg);
}

void workers_publish_flags(struct workers *w, uint64_t sequence, struct str doc,
                           workers_applied_cb *cb, void *arg)
{
    publish(w, FLAGS, sequence, doc, cb, arg);
}

static void send_plain(struct workers *w, enum ipc_type type)
{
    if (w->ipc)
        ipc_send(w->ipc, &(struct ipc_msg){.type = type, .fd = -1});
}

void workers_request_reload(struct workers *w)
{
    send_plain(w, IPC_RELOAD);
}

void workers_ready(struct workers *w)
{
    send_plain(w, IPC_READY);
}

const struct workers_row *workers_rows(const struct workers *w, size_t *n)
{
    *n = w->rows.n;
    return w->rows.v;
}
