/*
 * upgrade.c - the program file is new: run it in the place of this one (SIGUSR2).
 *
 * The new program first checks the configuration in a trial of its own; until that is passed
 * nothing has changed, and what fails leaves everything as it was. Then the controller ends,
 * and this process executes the new file with the listening sockets, the counters, the newest
 * documents and the lines of its workers open (handover.h). The process id stays. The workers
 * serve on until those of the new program do; no socket is ever closed in between.
 *
 * Invariant: an upgrade that is under way has workers that serve; it never waits for them to
 * end.
 */
#include "proxy/base/log.h"
#include "proxy/base/shm.h"
#include "proxy/base/sys.h"
#include "proxy/proc/handover.h"
#include "proxy/proc/supervisor_state.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_MS      30000
#define LOOK_MS       10   /* between looks whether all is said that was to be said */
#define CONTROLLER_MS 5000 /* to end by itself */

/* ---- the end of this program ---- */

static void collect_listeners(const struct supervisor *s, struct handover *h)
{
    for (size_t i = 0; i < listeners_count(s->listeners); i++) {
        struct handover_listener *l = vec_add(&h->listeners);
        unsigned n = h->workers;

        *l = (struct handover_listener){
            .name = str_of(listeners_name(s->listeners, i)),
            .host = str_of(listeners_host(s->listeners, i)),
            .port = listeners_port(s->listeners, i),
            .fds = arena_alloc(&h->arena, n * sizeof(*l->fds)),
        };
        for (unsigned k = 0; k < n; k++)
            l->fds[k] = listeners_fd(s->listeners, i, k);
    }
}

/* Who serves until the next program does: our workers, or, if they never did, those before. */
static void collect_elders(const struct supervisor *s, struct handover *h)
{
    for (size_t i = 0; !s->announced && i < s->elders.list.n; i++)
        *vec_add(&h->elders.list) = s->elders.list.v[i];
    for (unsigned i = 0; s->announced && i < children_workers(s->children); i++) {
        const struct child *c = children_worker(s->children, i);

        if (c->pid && c->ipc)
            *vec_add(&h->elders.list) =
                (struct elder){.pid = c->pid, .slab = s->base + i, .fd = ipc_fd(c->ipc)};
    }
}

static unsigned next_base(const struct supervisor *s)
{
    if (!s->announced)
        return s->base;
    return s->base ? 0 : s->conf->workers;
}

/* Its documents are made here and owned by the caller. */
static void collect(const struct supervisor *s, struct handover *h)
{
    char *config = conf_dump(s->conf, false);

    handover_init(h);
    h->workers = s->conf->workers;
    h->base = next_base(s);
    h->config_fd = shm_seal("sluice-config", str_of(config));
    h->keys_fd = shm_seal("sluice-keys", ticket_keys_text(&s->ticket_keys));
    h->stats_fd = s->stats_fd;
    h->limits_fd = s->limits_fd;
    memcpy(h->fd, s->handout.fd, sizeof(h->fd));
    memcpy(h->number, s->handout.number, sizeof(h->number));
    for (int k = 0; k < APISOCK_KINDS; k++)
        h->api[k] = s->apisock.open[k] ? s->apisock.fd[k] : -1;
    collect_listeners(s, h);
    collect_elders(s, h);
    xfree(config);
}

static void show(int fd, void *arg)
{
    (void)arg;
    ASSERT(sys_cloexec(fd, false) == 0);
}

static void hide(int fd, void *arg)
{
    (void)arg;
    ASSERT(sys_cloexec(fd, true) == 0);
}

/* What comes in between is delivered to the next program. */
static void hold_signals(int how)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        sigaddset(&set, ours[i]);
    sigprocmask(how, &set, NULL);
}

/* Returns only when it failed. */
static void become(struct supervisor *s, const struct handover *h, int text_fd)
{
    const struct supervisor_options *o = s->options;
    char *const argv[] = {(char *)o->program, (char *)"-c", (char *)o->config,
                          o->verbose ? (char *)"-v" : NULL, NULL};
    char number[16];

    snprintf(number, sizeof(number), "%d", text_fd);
    setenv(HANDOVER_VARIABLE, number, 1);
    notify_reloading(s->notify);
    notify_hand_on(s->notify);
    hold_signals(SIG_BLOCK);
    handover_each_fd(h, show, NULL);
    show(text_fd, NULL);
    execv(o->program, argv);
    log_error("upgrade: cannot run %s, going on as before: %s", o->program, strerror(errno));
    handover_each_fd(h, hide, NULL);
    hold_signals(SIG_UNBLOCK);
    unsetenv(HANDOVER_VARIABLE);
    notify_take_back(s->notify);
    notify_ready(s->notify);
}

static void go_on_as_before(struct supervisor *s)
{
    s->upgrade.state = UPGRADE_NONE;
    timer_stop(&s->upgrade.timer);
    children_resume(s->children);
}

static void hand_over(struct supervisor *s)
{
    struct handover h;
    int text_fd;

    collect(s, &h);
    text_fd = shm_seal("sluice-handover", handover_write(&h));
    if (text_fd >= 0 && h.config_fd >= 0 && h.keys_fd >= 0)
        become(s, &h, text_fd);
    else
        log_error("upgrade: no memory for what is handed over: %s", strerror(errno));
    sys_close(text_fd);
    sys_close(h.config_fd);
    sys_close(h.keys_fd);
    handover_release(&h);
    go_on_as_before(s);
}

/* ---- what has to happen before ---- */

static bool is_said(const struct supervisor *s)
{
    for (unsigned i = 0; i < children_workers(s->children); i++) {
        const struct child *c = children_worker(s->children, i);

        if (c->ipc && !ipc_is_flushed(c->ipc))
            return false;
    }
    return true;
}

void upgrade_go_on(struct supervisor *s)
{
    if (s->upgrade.state != UPGRADE_CLEARING || children_controller(s->children)->pid)
        return;
    if (!s->announced && !children_workers_gone(s->children))
        return;
    if (is_said(s))
        hand_over(s);
    else
        timer_start(&s->upgrade.timer, LOOK_MS);
}

/* The trial is passed. */
static void clear(struct supervisor *s)
{
    s->upgrade.state = UPGRADE_CLEARING;
    children_hold(s->children);
    if (s->announced)
        tell_workers(s,
                     &(struct ipc_msg){.type = IPC_HANDOVER, .a = s->conf->drain_ms, .fd = -1});
    for (unsigned i = 0; !s->announced && i < children_workers(s->children); i++)
        child_signal(children_worker(s->children, i), SIGKILL);
    child_signal(children_controller(s->children), SIGTERM);
    timer_start(&s->upgrade.timer, CONTROLLER_MS);
    upgrade_go_on(s);
}

static void on_timer(void *arg)
{
    struct supervisor *s = arg;

    if (s->upgrade.state == UPGRADE_TRIAL) {
        log_error("upgrade: %s takes too long for its check: killed", s->options->program);
        kill(s->upgrade.trial, SIGKILL);
    } else {
        child_signal(children_controller(s->children), SIGKILL);
        upgrade_go_on(s);
    }
}

/* ---- the trial ---- */

void upgrade_init(struct supervisor *s)
{
    timer_init(&s->upgrade.timer, s->loop, on_timer, s);
}

static const char *reason_against(const struct supervisor *s)
{
    if (s->phase != RUNNING)
        return "the proxy is going down";
    if (s->upgrade.state != UPGRADE_NONE)
        return "one is under way";
    if (s->announced && s->elders.list.n)
        return "workers of the one before are still draining";
    if (2 * s->conf->workers > STATS_MAX_WORKERS)
        return "there are more than 32 workers, and the new ones need as many again";
    return NULL;
}

void upgrade_start(struct supervisor *s)
{
    const struct supervisor_options *o = s->options;
    static const struct spawn_user as_we_are = {.set = false};
    const char *why = reason_against(s);
    char *const argv[] = {(char *)o->program,
                          (char *)"--adopts",
                          (char *)HANDOVER_VERSION,
                          (char *)"-t",
                          (char *)"-c",
                          (char *)o->config,
                          NULL};

    if (why) {
        log_warn("no upgrade: %s", why);
        return;
    }
    s->upgrade.trial = spawn(o->program, argv, s->stats_fd, s->stats_fd, &as_we_are);
    if (s->upgrade.trial < 0) {
        log_error("upgrade: cannot try %s: %s", o->program, strerror(errno));
        return;
    }
    log_info("upgrade: trying %s", o->program);
    s->upgrade.state = UPGRADE_TRIAL;
    timer_start(&s->upgrade.timer, TRIAL_MS);
}

void upgrade_cancel(struct supervisor *s)
{
    if (s->upgrade.state == UPGRADE_TRIAL)
        kill(s->upgrade.trial, SIGKILL);
    timer_stop(&s->upgrade.timer);
    s->upgrade.state = UPGRADE_NONE;
}

static void trial_ended(struct supervisor *s, int status)
{
    s->upgrade.trial = 0;
    if (s->upgrade.state != UPGRADE_TRIAL)
        return;
    timer_stop(&s->upgrade.timer);
    s->upgrade.state = UPGRADE_NONE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        clear(s);
    else if (WIFEXITED(status))
        log_error("upgrade: %s fails its check with status %d, going on as before",
                  s->options->program, WEXITSTATUS(status));
    else
        log_error("upgrade: %s is killed by signal %d in its check, going on as before",
                  s->options->program, WTERMSIG(status));
}

void upgrade_reaped(struct supervisor *s, pid_t pid, int status)
{
    unsigned slab;

    if (pid == s->upgrade.trial) {
        trial_ended(s, status);
    } else if (elders_reaped(&s->elders, pid, &slab)) {
        log_info("worker of the program before (pid %ld) is gone, %zu left", (long)pid,
                 s->elders.list.n);
        if (s->elders_count) {
            stats_retire(s->stats, s->stats_fd, slab);
            limits_retire(s->limits, slab);
        }
    }
}
