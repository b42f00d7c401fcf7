/*
 * access_log.c - lines of exchanges on their way to a descriptor.
 *
 * Invariant: room[0..n) is whole lines, but for a first one whose beginning is written already.
 */
#include "proxy/stream/access_log.h"

#include "proxy/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void access_log_init(struct access_log *l, stat_t *dropped)
{
    l->fd = -1;
    l->n = 0;
    l->dropped = dropped;
    l->format = CONF_LOG_JSON;
    l->sample = 100;
    l->credit = 0;
}

void access_log_set(struct access_log *l, const struct conf_access_log *c)
{
    l->format = c->format;
    l->sample = c->sample;
}

/*
 * Pipes and terminals are opened anew: O_NONBLOCK belongs to the open file, which we share with
 * whoever gave it to us.
 */
static int own_nonblocking(int fd, const struct stat *st)
{
    char path[32];
    int own;

    if (!S_ISFIFO(st->st_mode) && !S_ISCHR(st->st_mode))
        return fd;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own < 0)
        return fd; /* not ours to open: then it has to be a patient reader */
    sys_close(fd);
    return own;
}

void access_log_open(struct access_log *l, int fd)
{
    struct stat st = {0};

    access_log_flush(l);
    sys_close(l->fd);
    l->n = 0;
    l->fd = fd;
    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    l->socket = S_ISSOCK(st.st_mode);
    l->fd = own_nonblocking(fd, &st);
}

static void drop_all(struct access_log *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->room[i] == '\n')
            stat_add(l->dropped, 1);
    l->n = 0;
}

void access_log_flush(struct access_log *l)
{
    ssize_t w;

    if (l->n == 0)
        return;
    if (l->fd < 0) {
        drop_all(l);
        return;
    }
    w = l->socket ? send(l->fd, l->room, l->n, MSG_DONTWAIT | MSG_NOSIGNAL)
                  : write(l->fd, l->room, l->n);
    if (w < 0) {
        if (errno != EAGAIN && errno != EINTR)
            drop_all(l);
        return;
    }
    l->n -= (size_t)w;
    memmove(l->room, l->room + w, l->n);
}

/* Of every hundred answers 2xx SAMPLE are logged, spread evenly; calls that failed all are. */
static bool is_sampled(struct access_log *l, const struct access_entry *e)
{
    if (e->status < 200 || e->status > 299 || e->grpc_status > 0)
        return true;
    l->credit += l->sample;
    if (l->credit < 100)
        return false;
    l->credit -= 100;
    return true;
}

void access_log_add(struct access_log *l, const struct access_entry *e)
{
    size_t n;

    if (l->fd < 0 || !is_sampled(l, e))
        return;
    if (l->n >= ACCESS_LOG_FULL)
        access_log_flush(l);
    n = sizeof(l->room) - l->n >= ACCESS_LINE ? access_line_write(l->room + l->n, l->format, e)
                                              : 0;
    if (n == 0)
        stat_add(l->dropped, 1);
    l->n += n;
}
