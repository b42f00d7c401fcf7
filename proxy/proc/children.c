/*
 * children.c - start, watch, reap and restart.
 *
 * Death is learned from SIGCHLD alone. The end of a child's socket comes a little earlier or
 * later and only closes our end.
 */
#include "proxy/proc/children.h"

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/base/sys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

struct children { /* owned by the supervisor */
    struct loop *loop;
    unsigned workers;
    int stats_fd; /* borrowed */
    const struct spawn_user *user;
    const struct children_callbacks *callbacks;
    void *arg;
    bool quiet; /* nobody is started again */
    bool held;  /* nor now */
    struct sig sigchld;
    struct child *list; /* workers, then the controller */
};

static void child_start(struct child *c);

static const char *child_name(const struct child *c, char *buf, size_t cap)
{
    if (c->slot == c->set->workers)
        return "controller";
    snprintf(buf, cap, "worker %u", c->slot);
    return buf;
}

static void child_enter(struct child *c, enum ipc_worker_state state)
{
    c->state = state;
    c->set->callbacks->changed(c->set->arg, c);
}

static void on_message(void *arg, const struct ipc_msg *msg)
{
    struct child *c = arg;

    if (!msg) {
        ipc_close(c->ipc);
        c->ipc = NULL;
        return;
    }
    c->set->callbacks->message(c->set->arg, c, msg);
}

static void on_restart(void *arg)
{
    struct child *c = arg;

    if (!c->set->quiet && !c->set->held)
        child_start(c);
}

/* C is dead or could not be born: start it again, now or later. */
static void child_again(struct child *c)
{
    uint64_t lived_ms = (loop_now_us(c->set->loop) - c->started_us) / 1000;

    if (c->set->quiet || c->set->held)
        return;
    c->restarts++;
    c->backoff_ms = backoff_next(&c->backoff, lived_ms);
    if (!c->backoff_ms) {
        child_start(c);
        return;
    }
    timer_start(&c->restart, c->backoff_ms);
    child_enter(c, IPC_WORKER_BACKOFF);
}

static void child_start(struct child *c)
{
    struct children *s = c->set;
    char name[32];
    int fds[2];
    pid_t pid = -1;

    c->started_us = loop_now_us(s->loop);
    c->generation = c->sequence = 0;
    if (ipc_pair(fds) == 0) {
        pid = spawn(c->path, c->argv, fds[1], s->stats_fd, s->user);
        sys_close(fds[1]);
        if (pid < 0)
            sys_close(fds[0]);
    }
    if (pid < 0) {
        snprintf(c->reason, sizeof(c->reason), "cannot start: %s", strerror(errno));
        log_error("%s: %s", child_name(c, name, sizeof(name)), c->reason);
        c->backoff.young += c->backoff.young == 0; /* never at once: this would spin */
        child_again(c);
        return;
    }
    c->pid = pid;
    c->backoff_ms = 0;
    c->reason[0] = '\0';
    c->ipc = ipc_open(s->loop, fds[0], on_message, c);
    log_info("%s started, pid %ld", child_name(c, name, sizeof(name)), (long)pid);
    child_enter(c, IPC_WORKER_UP);
}

static void reason_write(struct child *c, int status)
{
    if (WIFSIGNALED(status))
        snprintf(c->reason, sizeof(c->reason), "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(c->reason, sizeof(c->reason), "exited with status %d", WEXITSTATUS(status));
}

static void child_died(struct child *c, int status)
{
    char name[32];

    reason_write(c, status);
    log_write(c->set->quiet || c->set->held ? LOG_INFO : LOG_WARN, "%s (pid %ld) %s",
              child_name(c, name, sizeof(name)), (long)c->pid, c->reason);
    c->pid = 0;
    ipc_close(c->ipc);
    c->ipc = NULL;
    child_enter(c, IPC_WORKER_DOWN);
    child_again(c);
}

static void on_sigchld(void *arg)
{
    struct children *s = arg;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        unsigned i = 0;

        while (i <= s->workers && s->list[i].pid != pid)
            i++;
        if (i <= s->workers)
            child_died(&s->list[i], status);
        else
            s->callbacks->stranger(s->arg, pid, status);
    }
}

struct children *children_new(struct loop *l, unsigned workers, int stats_fd,
                              const struct spawn_user *user,
                              const struct children_callbacks *callbacks, void *arg)
{
    struct children *s = xcalloc(1, sizeof(*s));

    s->loop = l;
    s->workers = workers;
    s->stats_fd = stats_fd;
    s->user = user;
    s->callbacks = callbacks;
    s->arg = arg;
    s->list = xcalloc(workers + 1, sizeof(*s->list));
    for (unsigned i = 0; i <= workers; i++) {
        s->list[i].slot = i;
        s->list[i].set = s;
        s->list[i].state = IPC_WORKER_DOWN;
        timer_init(&s->list[i].restart, l, on_restart, &s->list[i]);
    }
    sig_start(&s->sigchld, l, SIGCHLD, on_sigchld, s);
    return s;
}

static void child_release(struct child *c)
{
    timer_stop(&c->restart);
    ipc_close(c->ipc);
    if (c->pid) {
        kill(c->pid, SIGKILL);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    for (char **a = c->argv; *a; a++)
        xfree(*a);
}

void children_free(struct children *s)
{
    if (!s)
        return;
    sig_stop(&s->sigchld);
    for (unsigned i = 0; i <= s->workers; i++)
        child_release(&s->list[i]);
    xfree(s->list);
    xfree(s);
}

void children_program(struct children *s, unsigned slot, const char *path,
                      const char *const *argv)
{
    struct child *c = &s->list[slot];
    size_t n = 0;

    ASSERT(slot <= s->workers);
    c->path = path;
    for (; argv[n]; n++) {
        ASSERT(n + 1 < ARRAY_LEN(c->argv));
        c->argv[n] = xstrdup(argv[n]);
    }
}

void children_start(struct children *s)
{
    for (unsigned i = 0; i <= s->workers; i++)
        child_start(&s->list[i]);
}

void children_hold(struct children *s)
{
    s->held = true;
}

void children_resume(struct children *s)
{
    s->held = false;
    for (unsigned i = 0; i <= s->workers && !s->quiet; i++)
        if (!s->list[i].pid && !timer_pending(&s->list[i].restart))
            child_start(&s->list[i]);
}

void children_quiesce(struct children *s)
{
    s->quiet = true;
    for (unsigned i = 0; i <= s->workers; i++)
        timer_stop(&s->list[i].restart);
}

unsigned children_workers(const struct children *s)
{
    return s->workers;
}

struct child *children_worker(struct children *s, unsigned slot)
{
    ASSERT(slot < s->workers);
    return &s->list[slot];
}

struct child *children_controller(struct children *s)
{
    return &s->list[s->workers];
}

bool children_workers_gone(const struct children *s)
{
    for (unsigned i = 0; i < s->workers; i++)
        if (s->list[i].pid)
            return false;
    return true;
}

void child_signal(struct child *c, int signo)
{
    if (c->pid)
        kill(c->pid, signo);
}

void child_send(struct child *c, const struct ipc_msg *msg)
{
    if (c->ipc)
        ipc_send(c->ipc, msg);
}

struct str child_json(const struct child *c, char *buf, size_t cap)
{
    int n = snprintf(buf, cap,
                     "{\"pid\":%ld,\"restarts\":%llu,\"backoff_ms\":%llu,\"reason\":\"%s\"}",
                     (long)c->pid, (unsigned long long)c->restarts,
                     (unsigned long long)c->backoff_ms, c->reason);

    ASSERT(n > 0 && (size_t)n < cap);
    return (struct str){buf, (size_t)n};
}
