/* apisock.c - the control socket file and the two optional TCP addresses. */
#include "proxy/proc/apisock.h"

#include "proxy/base/mem.h"
#include "proxy/base/sys.h"
#include "proxy/event/listen.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

struct str apisock_name(enum apisock_kind k)
{
    static const struct str names[APISOCK_KINDS] = {
        STR_INIT("control"),
        STR_INIT("control_tcp"),
        STR_INIT("telemetry"),
    };

    return names[k];
}

static int complain(struct conf_diags *d, const char *field, struct str where)
{
    *vec_add(&d->list) =
        (struct conf_diag){.pointer = arena_printf(&d->arena, "/control/%s", field),
                           .message = arena_printf(&d->arena, "cannot listen on %.*s: %s",
                                                   STR_ARG(where), strerror(errno))};
    return -1;
}

static int make_parent(const char *path)
{
    char *copy = xstrdup(path);
    int rc = sys_mkdirs(dirname(copy), 0755);

    xfree(copy);
    return rc;
}

static int open_file(struct apisock *a, const struct conf_control *c,
                     const struct spawn_user *u, struct conf_diags *d)
{
    int fd = make_parent(c->socket.p) < 0 ? -1 : listen_unix(c->socket.p, c->mode);

    if (fd < 0)
        return complain(d, "socket", c->socket);
    a->fd[APISOCK_CONTROL] = fd;
    a->open[APISOCK_CONTROL] = true;
    a->path = xstrdup(c->socket.p);
    if (u->set && chown(a->path, u->uid, u->gid) < 0)
        return complain(d, "socket", c->socket);
    return 0;
}

static int open_tcp(struct apisock *a, enum apisock_kind k, struct str address,
                    const char *field, struct conf_diags *d)
{
    struct str host;
    uint16_t port;

    if (!address.n)
        return 0;
    errno = EINVAL;
    if (!conf_address(&d->arena, address, &host, &port) ||
        listen_tcp(host.p, port, &a->fd[k], 1) < 0)
        return complain(d, field, address);
    a->open[k] = true;
    return 0;
}

int apisock_open(struct apisock *a, const struct conf_control *c, const struct spawn_user *u,
                 struct conf_diags *d)
{
    int rc = open_file(a, c, u, d);

    rc |= open_tcp(a, APISOCK_CONTROL_TCP, c->listen, "listen", d);
    rc |= open_tcp(a, APISOCK_TELEMETRY, c->telemetry, "telemetry", d);
    if (rc < 0)
        apisock_close(a);
    return rc;
}

void apisock_inherit(struct apisock *a, const struct conf_control *c,
                     const int fd[APISOCK_KINDS])
{
    for (int k = 0; k < APISOCK_KINDS; k++) {
        a->open[k] = fd[k] >= 0;
        a->fd[k] = fd[k];
    }
    if (a->open[APISOCK_CONTROL])
        a->path = xstrdup(c->socket.p);
}

void apisock_close(struct apisock *a)
{
    for (int k = 0; k < APISOCK_KINDS; k++)
        if (a->open[k])
            sys_close(a->fd[k]);
    if (a->path)
        unlink(a->path);
    xfree(a->path);
    *a = (struct apisock){0};
}
