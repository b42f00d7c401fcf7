/*
 * reload.c - the config file and the access log, read and opened again while the proxy runs.
 *
 * A config is adopted as a whole: everything that can fail happens before anybody is told.
 */
#include "proxy/base/log.h"
#include "proxy/base/sys.h"
#include "proxy/proc/foster.h"
#include "proxy/proc/supervisor_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

int try_log(const struct conf *c, int *fd, struct conf_diags *d)
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

void reopen_log(struct supervisor *s)
{
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

void keep_fixed(struct conf *next, const struct conf *old)
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

static void on_listener_removed(void *arg, const char *name)
{
    struct supervisor *s = arg;

    log_info("listener %s is closed", name);
    foster_forget(s->children, name);
    tell_workers(s, &(struct ipc_msg){.type = IPC_UNLISTEN, .fd = -1, .text = str_of(name)});
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

void reload(struct supervisor *s)
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
