/*
 * supervisor.c - boot, relay, reload, drain.
 *
 * What a child needs is kept here and sent in full whenever one starts, so a child may die at
 * any moment. No answer is ever waited for: a peer that says nothing delays nothing.
 */
#include "proxy/proc/supervisor.h"

#include "proxy/base/limits.h"
#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/shm.h"
#include "proxy/base/stats.h"
#include "proxy/base/sys.h"
#include "proxy/proc/apisock.h"
#include "proxy/proc/children.h"
#include "proxy/proc/foster.h"
#include "proxy/proc/handout.h"
#include "proxy/proc/listeners.h"
#include "proxy/proc/material.h"
#include "proxy/proc/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GRACE_MS 5000 /* over a child's own deadline, before it is killed */

enum phase { RUNNING, DRAINING, STOPPING };

struct supervisor { /* on the stack of supervisor_run */
    const struct supervisor_options *options;
    struct conf *conf;
    struct loop *loop;
    enum phase phase;
    bool announced; /* every worker has routed once */
    int stats_fd;
    struct stats *stats;
    int limits_fd;
    struct limits *limits;
    struct spawn_user user;
    struct listeners *listeners;
    struct apisock apisock;
    struct handout handout;
    struct material material;
    struct material next_material; /* of a config that is being adopted */
    bool adopting;
    struct ticket_keys ticket_keys;
    struct timer rotation; /* of these */
    struct children *children;
    struct notify *notify;
    int log_fd; /* access log; -1: off */
    struct sig term, interrupt, quit, hangup, usr1;
    struct timer patience; /* runs out: who is left is killed */
};

/* Everybody who matters hears about it. */

static void tell_workers(struct supervisor *s, const struct ipc_msg *msg)
{
    for (unsigned i = 0; i < children_workers(s->children); i++)
        child_send(children_worker(s->children, i), msg);
}

static void tell_controller(struct supervisor *s, const struct ipc_msg *msg)
{
    child_send(children_controller(s->children), msg);
}

static void log_diags(const struct conf_diags *d)
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
    if (h->number[HANDOUT_FLAGS])
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

static void send_config(struct supervisor *s)
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

static void send_certificates(struct supervisor *s)
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
}

static void drain(struct supervisor *s)
{
    struct ipc_msg msg = {.type = IPC_DRAINING, .a = s->conf->drain_ms, .fd = -1};

    log_info("draining: %d s for what is in flight", (int)(s->conf->drain_ms / 1000));
    s->phase = DRAINING;
    notify_stopping(s->notify);
    children_quiesce(s->children);
    tell_controller(s, &msg);
    msg.type = IPC_DRAIN;
    tell_workers(s, &msg);
    listeners_close(s->listeners);
    timer_start(&s->patience, s->conf->drain_ms + GRACE_MS);
    if (children_workers_gone(s->children))
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
        stats_retire(s->stats, s->stats_fd, c->slot);
        limits_retire(s->limits, c->slot);
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
    if (s->phase == DRAINING && children_workers_gone(s->children))
        stop_controller(s);
}

static void controller_changed(struct supervisor *s, struct child *c)
{
    if (c->state == IPC_WORKER_UP) {
        stat_add(&s->stats->controller_restarts, c->restarts > 0);
        greet_controller(s);
    } else if (s->phase == STOPPING) {
        loop_stop(s->loop);
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

static void reload(struct supervisor *s);

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

/* The access log. */

/* A descriptor for C's access log in *FD; -1 there: off. 0, or -1 and errno. */
static int open_log(const struct conf_access_log *c, int *fd)
{
    *fd = -1;
    if (c->format == CONF_LOG_OFF)
        return 0;
    if (str_eq(c->path, STR("-")))
        *fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        *fd = open(c->path.p, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    return *fd < 0 ? -1 : 0;
}

static int try_log(const struct conf *c, int *fd, struct conf_diags *d)
{
    if (open_log(&c->access_log, fd) == 0)
        return 0;
    *vec_add(&d->list) =
        (struct conf_diag){.pointer = STR("/access_log/path"),
                           .message = arena_printf(&d->arena, "cannot open %s: %s",
                                                   c->access_log.path.p, strerror(errno))};
    return -1;
}

static void set_log(struct supervisor *s, int fd)
{
    sys_close(s->log_fd);
    s->log_fd = fd;
    tell_workers(s, &(struct ipc_msg){.type = IPC_LOG, .fd = fd});
}

static void on_usr1(void *arg)
{
    struct supervisor *s = arg;
    int fd;

    if (open_log(&s->conf->access_log, &fd) < 0) {
        log_error("cannot open %s again, writing to the old file: %s",
                  s->conf->access_log.path.p, strerror(errno));
        return;
    }
    set_log(s, fd);
    log_info("access log opened again");
}

/* Reload. */

static void keep_str(struct conf *next, struct str *new, struct str old, const char *field)
{
    if (str_eq(*new, old))
        return;
    log_warn("%s changes with a restart only: still %.*s", field, STR_ARG(old));
    *new = arena_str(&next->arena, old);
}

/* What was fixed when the processes were started stays in NEXT as it is in OLD. */
static void keep_fixed(struct conf *next, const struct conf *old)
{
    keep_str(next, &next->user, old->user, "user");
    keep_str(next, &next->state_dir, old->state_dir, "state_dir");
    keep_str(next, &next->control.socket, old->control.socket, "control.socket");
    keep_str(next, &next->control.listen, old->control.listen, "control.listen");
    keep_str(next, &next->control.telemetry, old->control.telemetry, "control.telemetry");
    if (next->workers != old->workers)
        log_warn("workers changes with a restart only: still %u", old->workers);
    if (next->control.mode != old->control.mode)
        log_warn("control.mode changes with a restart only: still %04o", old->control.mode);
    next->workers = old->workers;
    next->control.mode = old->control.mode;
}

/* What was read for the new config goes out, once, before anybody accepts by it. */
static void publish_material(struct supervisor *s)
{
    if (!s->adopting)
        return;
    material_release(&s->material);
    s->material = s->next_material;
    s->adopting = false;
    tell_workers(s, &(struct ipc_msg){.type = IPC_TLS, .fd = s->material.secret_fd});
    send_certificates(s);
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

static void on_listener_removed(void *arg, const char *name)
{
    log_info("listener %s is closed", name);
    tell_workers(arg, &(struct ipc_msg){.type = IPC_UNLISTEN, .fd = -1, .text = str_of(name)});
}

static void on_listener_added(void *arg, const char *name, const int *fds)
{
    struct supervisor *s = arg;

    log_info("listener %s is open", name);
    publish_material(s);
    for (unsigned i = 0; i < children_workers(s->children); i++)
        child_send(children_worker(s->children, i),
                   &(struct ipc_msg){.type = IPC_LISTEN, .fd = fds[i], .text = str_of(name)});
}

/* NEXT becomes the config, or nothing changes and D says why. */
static int adopt(struct supervisor *s, struct conf *next, struct conf_diags *d)
{
    static const struct listeners_callbacks callbacks = {on_listener_removed,
                                                         on_listener_added};
    int fd;

    keep_fixed(next, s->conf);
    if (material_load(&s->next_material, next, d) < 0)
        return -1;
    if (try_log(next, &fd, d) < 0) {
        material_release(&s->next_material);
        return -1;
    }
    s->adopting = true;
    if (listeners_update(s->listeners, next, d, &callbacks, s) < 0) {
        s->adopting = false;
        material_release(&s->next_material);
        sys_close(fd);
        return -1;
    }
    publish_material(s);
    set_log(s, fd);
    conf_free(s->conf);
    s->conf = next;
    return 0;
}

static void send_reloaded(struct supervisor *s, bool ok, struct conf_diags *d)
{
    struct str text = conf_diags_json(&d->arena, d);

    while (text.n > IPC_TEXT_MAX) { /* the first of them say enough */
        d->list.n /= 2;
        text = conf_diags_json(&d->arena, d);
    }
    tell_controller(s,
                    &(struct ipc_msg){.type = IPC_RELOADED, .a = ok, .fd = -1, .text = text});
}

static void reload(struct supervisor *s)
{
    struct conf_diags d;
    struct conf *next;
    bool ok;

    if (s->phase != RUNNING)
        return;
    notify_reloading(s->notify);
    conf_diags_init(&d);
    next = conf_load(s->options->config, &d);
    ok = next && adopt(s, next, &d) == 0;
    if (ok) {
        log_info("config reloaded from %s", s->options->config);
        send_config(s);
    } else {
        conf_diags_locate(&d, s->options->config);
        log_diags(&d);
        log_error("config not reloaded, the old one stays: %zu mistakes", d.list.n);
        conf_free(next);
    }
    send_reloaded(s, ok, &d);
    conf_diags_release(&d);
    notify_ready(s->notify);
}

static void on_hangup(void *arg)
{
    reload(arg);
}

/* Boot. */

static int find_user(struct supervisor *s)
{
    const char *name = s->conf->user.p;

    if (geteuid() != 0) {
        if (s->conf->user.n)
            log_debug("not root: \"user\" is not used");
        return 0;
    }
    if (!s->conf->user.n) {
        log_warn("running as root without \"user\": workers and controller are root too");
        return 0;
    }
    if (spawn_user_find(name, &s->user) < 0) {
        log_error("there is no user %s", name);
        return -1;
    }
    return 0;
}

static int make_state_dir(const struct supervisor *s)
{
    const char *path = s->conf->state_dir.p;

    if (sys_mkdirs(path, 0750) == 0 &&
        (!s->user.set || chown(path, s->user.uid, s->user.gid) == 0))
        return 0;
    log_error("cannot make %s: %s", path, strerror(errno));
    return -1;
}

static int open_stats(struct supervisor *s)
{
    s->stats_fd = stats_create(s->conf->workers);
    s->stats = s->stats_fd < 0 ? NULL : stats_map(s->stats_fd, true);
    s->limits_fd = limits_create();
    s->limits = s->limits_fd < 0 ? NULL : limits_map(s->limits_fd);
    if (s->stats && s->limits)
        return 0;
    log_error("cannot make the shared counters: %s", strerror(errno));
    return -1;
}

static int load_material(struct supervisor *s)
{
    struct conf_diags d;
    int rc;

    conf_diags_init(&d);
    rc = material_load(&s->material, s->conf, &d);
    conf_diags_locate(&d, s->options->config);
    log_diags(&d);
    conf_diags_release(&d);
    return rc;
}

static int open_sockets(struct supervisor *s)
{
    struct conf_diags d;
    int rc;

    conf_diags_init(&d);
    s->listeners = listeners_new(s->conf->workers);
    rc = listeners_update(s->listeners, s->conf, &d, NULL, NULL);
    rc |= apisock_open(&s->apisock, &s->conf->control, &s->user, &d);
    rc |= try_log(s->conf, &s->log_fd, &d);
    conf_diags_locate(&d, s->options->config);
    log_diags(&d);
    conf_diags_release(&d);
    return rc;
}

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
    static const struct children_callbacks callbacks = {on_changed, on_message};
    const char *verbose = s->options->verbose ? "-v" : NULL;
    unsigned n = s->conf->workers;
    char slot[16], workers[16];

    s->children = children_new(s->loop, n, s->stats_fd, &s->user, &callbacks, s);
    snprintf(workers, sizeof(workers), "%u", n);
    for (unsigned i = 0; i < n; i++) {
        snprintf(slot, sizeof(slot), "%u", i);
        /* Our own image, even when the file was replaced by an upgrade meanwhile. */
        children_program(
            s->children, i, "/proc/self/exe",
            (const char *[]){"sluice", "--worker", slot, "--workers", workers, verbose, NULL});
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
    timer_stop(&s->patience);
    timer_stop(&s->rotation);
}

static int prepare(struct supervisor *s)
{
    s->stats_fd = s->limits_fd = s->log_fd = -1;
    handout_init(&s->handout);
    material_init(&s->material);
    ticket_keys_init(&s->ticket_keys);
    sys_raise_nofile();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR2, SIG_IGN); /* means nothing here, and must not end the proxy */
    ASSERT(s->conf->workers >= 1 && s->conf->workers <= STATS_MAX_WORKERS);
    if (load_material(s) < 0 || find_user(s) < 0 || make_state_dir(s) < 0 ||
        open_stats(s) < 0 || open_sockets(s) < 0)
        return -1;
    return handout_boot(&s->handout, s->conf);
}

static void release(struct supervisor *s)
{
    children_free(s->children);
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
    char *controller;
    int rc = 1;

    if (prepare(&s) == 0) {
        controller = controller_path();
        s.loop = loop_new();
        start_signals(&s);
        start_children(&s, controller);
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
