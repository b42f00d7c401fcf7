/*
 * supervisor.c - boot, relay, drain.
 *
 * What a child needs is kept here and sent in full whenever one starts, so a child may die at
 * any moment. No answer is ever waited for: a peer that says nothing delays nothing.
 */
#include "proxy/proc/supervisor.h"

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/shm.h"
#include "proxy/base/sys.h"
#include "proxy/proc/foster.h"
#include "proxy/proc/supervisor_state.h"

#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GRACE_MS 5000 /* over a child's own deadline, before it is killed */

/* Everybody who matters hears about it. */

void tell_workers(struct supervisor *s, const struct ipc_msg *msg)
{
    for (unsigned i = 0; i < children_workers(s->children); i++)
        child_send(children_worker(s->children, i), msg);
}

void tell_controller(struct supervisor *s, const struct ipc_msg *msg)
{
    child_send(children_controller(s->children), msg);
}

void log_diags(const struct conf_diags *d)
{
    for (size_t i = 0; i < d->list.n; i++) {
        const struct conf_diag *g = &d->list.v[i];

        log_error("%.*s:%u:%u: %.*s%s%.*s%s%.*s", STR_ARG(g->file), g->line, g->column,
                  STR_ARG(g->pointer), g->pointer.n ? ": " : "", STR_ARG(g->message),
                  g->hint.n ? "; " : "", STR_ARG(g->hint));
    }
}

/* A child starts: what it needs, in full. */

static void greet_worker(struct supervisor *s, struct child *c)
{
    const struct handout *h = &s->handout;

    child_send(c, &(struct ipc_msg){.type = IPC_LIMITS, .fd = s->limits_fd});
    child_send(c, &(struct ipc_msg){.type = IPC_LOG, .fd = s->log_fd});
    child_send(c, &(struct ipc_msg){.type = IPC_TICKET_KEYS,
                                    .fd = -1,
                                    .text = ticket_keys_text(&s->ticket_keys)});
    child_send(c, &(struct ipc_msg){.type = IPC_TLS, .fd = s->material.secret_fd});
    if (h->fd[HANDOUT_FLAGS] >= 0)
        child_send(c, &(struct ipc_msg){.type = IPC_FLAGS,
                                        .a = h->number[HANDOUT_FLAGS],
                                        .fd = h->fd[HANDOUT_FLAGS]});
    child_send(c, &(struct ipc_msg){.type = IPC_SNAPSHOT,
                                    .a = h->number[HANDOUT_SNAPSHOT],
                                    .fd = h->fd[HANDOUT_SNAPSHOT]});
    /* Last, so that no request is answered before there are routes. */
    for (size_t i = 0; i < listeners_count(s->listeners); i++)
        child_send(c, &(struct ipc_msg){.type = IPC_LISTEN,
                                        .fd = listeners_fd(s->listeners, i, c->slot),
                                        .text = str_of(listeners_name(s->listeners, i))});
}

void send_config(struct supervisor *s)
{
    char *doc = conf_dump(s->conf, false);
    int fd = shm_seal("sluice-config", str_of(doc));

    xfree(doc);
    if (fd < 0) {
        log_error("cannot hand out the config: %s", strerror(errno));
        return;
    }
    tell_controller(s, &(struct ipc_msg){.type = IPC_CONFIG,
                                         .a = s->handout.number[HANDOUT_SNAPSHOT],
                                         .b = s->handout.number[HANDOUT_FLAGS],
                                         .fd = fd,
                                         .text = str_of(s->options->config)});
    sys_close(fd);
}

void send_certificates(struct supervisor *s)
{
    tell_controller(s,
                    &(struct ipc_msg){.type = IPC_CERTIFICATES, .fd = s->material.listing_fd});
    tell_controller(s, &(struct ipc_msg){.type = IPC_CHECK_TLS, .fd = s->material.checks_fd});
}

static void send_worker(struct supervisor *s, const struct child *c)
{
    char json[384];

    tell_controller(s, &(struct ipc_msg){.type = IPC_WORKER,
                                         .a = c->state,
                                         .b = c->slot,
                                         .fd = -1,
                                         .text = child_json(c, json, sizeof(json))});
}

static void send_ack(struct supervisor *s, enum ipc_type type, uint64_t number, unsigned slot)
{
    tell_controller(s, &(struct ipc_msg){.type = type, .a = number, .b = slot, .fd = -1});
}

/* Workers first: a controller that publishes when it gets its config knows whom to wait for. */
static void greet_controller(struct supervisor *s)
{
    for (unsigned i = 0; i < children_workers(s->children); i++) {
        const struct child *c = children_worker(s->children, i);

        send_worker(s, c);
        if (c->generation)
            send_ack(s, IPC_ACK_SNAPSHOT, c->generation, i);
        if (c->sequence)
            send_ack(s, IPC_ACK_FLAGS, c->sequence, i);
    }
    send_config(s);
    send_certificates(s);
    for (int k = 0; k < APISOCK_KINDS; k++)
        if (s->apisock.open[k])
            tell_controller(s, &(struct ipc_msg){.type = IPC_LISTEN_API,
                                                 .fd = s->apisock.fd[k],
                                                 .text = apisock_name(k)});
}

/* Going down. */

static void stop_controller(struct supervisor *s)
{
    struct child *c = children_controller(s->children);

    if (s->phase == STOPPING)
        return;
    s->phase = STOPPING;
    if (!c->pid) {
        loop_stop(s->loop);
        return;
    }
    child_signal(c, SIGTERM);
    timer_start(&s->patience, GRACE_MS);
}

static void on_patience(void *arg)
{
    struct supervisor *s = arg;

    if (s->phase == STOPPING) {
        log_warn("the controller does not end: killed");
        loop_stop(s->loop); /* children_free kills */
        return;
    }
    log_warn("workers are still there after %d ms: killed", (int)s->conf->drain_ms + GRACE_MS);
    for (unsigned i = 0; i < children_workers(s->children); i++)
        child_signal(children_worker(s->children, i), SIGKILL);
    elders_kill(&s->elders);
}

static bool workers_gone(const struct supervisor *s)
{
    return children_workers_gone(s->children) && s->elders.list.n == 0;
}

static void drain(struct supervisor *s)
{
    struct ipc_msg msg = {.type = IPC_DRAINING, .a = s->conf->drain_ms, .fd = -1};

    log_info("draining: %d s for what is in flight", (int)(s->conf->drain_ms / 1000));
    s->phase = DRAINING;
    upgrade_cancel(s);
    notify_stopping(s->notify);
    children_quiesce(s->children);
    tell_controller(s, &msg);
    msg.type = IPC_DRAIN;
    tell_workers(s, &msg);
    elders_drain(&s->elders);
    listeners_close(s->listeners);
    timer_start(&s->patience, s->conf->drain_ms + GRACE_MS);
    if (workers_gone(s))
        stop_controller(s);
}

static void on_quit(void *arg)
{
    struct supervisor *s = arg;

    log_info("stopping at once");
    children_quiesce(s->children);
    loop_stop(s->loop);
}

static void on_term(void *arg)
{
    struct supervisor *s = arg;

    if (s->phase == RUNNING)
        drain(s);
}

static void on_interrupt(void *arg)
{
    struct supervisor *s = arg;

    if (s->phase == RUNNING)
        drain(s);
    else
        on_quit(s);
}

/* Children come, go and speak. */

static void worker_changed(struct supervisor *s, struct child *c)
{
    if (c->state == IPC_WORKER_DOWN) {
        stats_retire(s->stats, s->stats_fd, s->base + c->slot);
        limits_retire(s->limits, s->base + c->slot);
    }
    if (c->state == IPC_WORKER_UP) {
        stat_add(&s->stats->worker_restarts, c->restarts > 0);
        greet_worker(s, c);
        if (c->restarts)
            foster_end(s->children, s->listeners, c->slot);
    }
    if (c->state == IPC_WORKER_BACKOFF)
        foster_begin(s->children, s->listeners, c->slot);
    send_worker(s, c);
    if (s->phase == DRAINING && workers_gone(s))
        stop_controller(s);
    else if (c->state == IPC_WORKER_DOWN)
        upgrade_go_on(s);
}

static void controller_changed(struct supervisor *s, struct child *c)
{
    if (c->state == IPC_WORKER_UP) {
        stat_add(&s->stats->controller_restarts, c->restarts > 0);
        greet_controller(s);
    } else if (s->phase == STOPPING) {
        loop_stop(s->loop);
    } else if (c->state == IPC_WORKER_DOWN) {
        upgrade_go_on(s);
    }
}

static void on_changed(void *arg, struct child *c)
{
    struct supervisor *s = arg;

    if (c == children_controller(s->children))
        controller_changed(s, c);
    else
        worker_changed(s, c);
}

static void on_stranger(void *arg, pid_t pid, int status)
{
    struct supervisor *s = arg;

    upgrade_reaped(s, pid, status);
    if (s->phase == DRAINING && workers_gone(s))
        stop_controller(s);
}

static void relay(struct supervisor *s, enum handout_kind kind)
{
    tell_workers(s, &(struct ipc_msg){.type = kind == HANDOUT_FLAGS ? IPC_FLAGS : IPC_SNAPSHOT,
                                      .a = s->handout.number[kind],
                                      .fd = s->handout.fd[kind]});
}

/* A snapshot from disk that parses but cannot be run: the config alone is better than nothing.
 */
static void on_refused(struct supervisor *s, uint64_t generation)
{
    if (generation != s->handout.saved || generation != s->handout.number[HANDOUT_SNAPSHOT])
        return;
    s->handout.saved = 0;
    if (handout_rebuild(&s->handout, s->conf) == 0)
        relay(s, HANDOUT_SNAPSHOT);
}

static void announce(struct supervisor *s)
{
    if (s->announced)
        return;
    for (unsigned i = 0; i < children_workers(s->children); i++)
        if (!children_worker(s->children, i)->generation)
            return;
    s->announced = true;
    log_info("ready, %u workers", children_workers(s->children));
    notify_ready(s->notify);
    if (!s->elders.list.n)
        return;
    log_info("upgraded: %zu workers of the program before drain", s->elders.list.n);
    elders_drain(&s->elders);
    timer_start(&s->farewell, s->conf->drain_ms + GRACE_MS);
}

static void on_farewell(void *arg)
{
    struct supervisor *s = arg;

    if (s->elders.list.n)
        log_warn("%zu workers of the program before do not end: killed", s->elders.list.n);
    elders_kill(&s->elders);
}

static void worker_message(struct supervisor *s, struct child *c, const struct ipc_msg *msg)
{
    struct ipc_msg up = *msg;

    up.b = c->slot;
    switch (msg->type) {
    case IPC_ACK_SNAPSHOT:
        c->generation = msg->a;
        announce(s);
        break;
    case IPC_ACK_FLAGS:
        c->sequence = msg->a;
        break;
    case IPC_NACK:
    case IPC_NACK_FLAGS:
        log_error("worker %u refuses %s %llu: %.*s", c->slot,
                  msg->type == IPC_NACK ? "snapshot" : "flag set", (unsigned long long)msg->a,
                  STR_ARG(msg->text));
        break;
    default:
        log_error("worker %u sent %s", c->slot, ipc_name(msg->type));
        return;
    }
    tell_controller(s, &up);
    if (msg->type == IPC_NACK)
        on_refused(s, msg->a);
}

static void on_message(void *arg, struct child *c, const struct ipc_msg *msg)
{
    struct supervisor *s = arg;
    enum handout_kind kind = msg->type == IPC_FLAGS ? HANDOUT_FLAGS : HANDOUT_SNAPSHOT;

    if (c != children_controller(s->children)) {
        sys_close(msg->fd); /* workers have none to send */
        worker_message(s, c, msg);
        return;
    }
    switch (msg->type) {
    case IPC_SNAPSHOT:
    case IPC_FLAGS:
        if (handout_offer(&s->handout, kind, msg->a, msg->fd))
            relay(s, kind);
        return;
    case IPC_RELOAD:
        reload(s);
        break;
    case IPC_READY:
        log_info("control API is up");
        break;
    default:
        log_error("controller sent %s", ipc_name(msg->type));
        break;
    }
    sys_close(msg->fd);
}

static void on_rotation(void *arg)
{
    struct supervisor *s = arg;

    ticket_keys_rotate(&s->ticket_keys);
    tell_workers(s, &(struct ipc_msg){.type = IPC_TICKET_KEYS,
                                      .fd = -1,
                                      .text = ticket_keys_text(&s->ticket_keys)});
    timer_start(&s->rotation, TICKET_KEYS_MS);
}

static void on_hangup(void *arg)
{
    reload(arg);
}

static void on_usr1(void *arg)
{
    reopen_log(arg);
}

static void on_usr2(void *arg)
{
    upgrade_start(arg);
}

/* Boot. */

/* The controller's program: beside ours, or wherever PATH finds it. */
static char *controller_path(void)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *path;

    if (n > 0) {
        self[n] = '\0';
        path = xasprintf("%s/sluice-control", dirname(self));
        if (access(path, X_OK) == 0)
            return path;
        xfree(path);
    }
    return xstrdup("sluice-control");
}

static void start_children(struct supervisor *s, const char *controller)
{
    static const struct children_callbacks callbacks = {on_changed, on_message, on_stranger};
    const char *verbose = s->options->verbose ? "-v" : NULL;
    unsigned n = s->conf->workers;
    char slot[16], workers[16], slab[16];

    s->children = children_new(s->loop, n, s->stats_fd, &s->user, &callbacks, s);
    snprintf(workers, sizeof(workers), "%u", n);
    for (unsigned i = 0; i < n; i++) {
        snprintf(slot, sizeof(slot), "%u", i);
        snprintf(slab, sizeof(slab), "%u", s->base + i);
        /* Our own image, even when the file was replaced by an upgrade meanwhile. */
        children_program(s->children, i, "/proc/self/exe",
                         (const char *[]){"sluice", "--worker", slot, "--workers", workers,
                                          "--slab", slab, verbose, NULL});
    }
    if (verbose)
        setenv("SLUICE_DEBUG", "1", 1); /* the controller takes no arguments */
    children_program(s->children, n, controller, (const char *[]){"sluice-control", NULL});
    children_start(s->children);
}

static void start_signals(struct supervisor *s)
{
    sig_start(&s->term, s->loop, SIGTERM, on_term, s);
    sig_start(&s->interrupt, s->loop, SIGINT, on_interrupt, s);
    sig_start(&s->quit, s->loop, SIGQUIT, on_quit, s);
    sig_start(&s->hangup, s->loop, SIGHUP, on_hangup, s);
    sig_start(&s->usr1, s->loop, SIGUSR1, on_usr1, s);
    sig_start(&s->usr2, s->loop, SIGUSR2, on_usr2, s);
    upgrade_init(s);
    timer_init(&s->farewell, s->loop, on_farewell, s);
    timer_init(&s->patience, s->loop, on_patience, s);
    timer_init(&s->rotation, s->loop, on_rotation, s);
    timer_start(&s->rotation, TICKET_KEYS_MS);
}

static void stop_signals(struct supervisor *s)
{
    sig_stop(&s->term);
    sig_stop(&s->interrupt);
    sig_stop(&s->quit);
    sig_stop(&s->hangup);
    sig_stop(&s->usr1);
    sig_stop(&s->usr2);
    upgrade_cancel(s);
    timer_stop(&s->farewell);
    timer_stop(&s->patience);
    timer_stop(&s->rotation);
}

static void release(struct supervisor *s)
{
    children_free(s->children);
    elders_release(&s->elders);
    listeners_free(s->listeners);
    apisock_close(&s->apisock);
    handout_release(&s->handout);
    material_release(&s->material);
    notify_free(s->notify);
    sys_close(s->log_fd);
    stats_unmap(s->stats);
    sys_close(s->stats_fd);
    limits_unmap(s->limits);
    sys_close(s->limits_fd);
    conf_free(s->conf);
}

int supervisor_run(const struct supervisor_options *o)
{
    struct supervisor s = {.options = o, .conf = o->conf, .notify = notify_new()};
    sigset_t none;
    char *controller;
    int rc = 1;

    if (boot(&s) == 0) {
        controller = controller_path();
        s.loop = loop_new();
        start_signals(&s);
        start_children(&s, controller);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL); /* held back by the program before */
        loop_run(s.loop);
        stop_signals(&s);
        children_free(s.children);
        s.children = NULL;
        loop_free(s.loop);
        xfree(controller);
        rc = 0;
    }
    release(&s);
    log_info("gone");
    return rc;
}
