/* notify.c - the sd_notify protocol: a datagram of VARIABLE=VALUE lines. */
#include "proxy/proc/notify.h"

#include "proxy/base/clock.h"
#include "proxy/base/mem.h"
#include "proxy/base/str.h"
#include "proxy/base/sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify { /* owned by the supervisor */
    int fd;     /* -1: nobody listens */
    char *path; /* as it was in the environment, or NULL */
};

struct notify *notify_new(void)
{
    struct notify *n = xcalloc(1, sizeof(*n));
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct str path = str_of(getenv("NOTIFY_SOCKET"));
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n);

    n->fd = -1;
    if (path.n < 2 || path.n >= sizeof(a.sun_path))
        return n;
    n->path = xstrdup(path.p);
    memcpy(a.sun_path, path.p, path.n);
    if (a.sun_path[0] == '@') /* the abstract namespace */
        a.sun_path[0] = '\0';
    unsetenv("NOTIFY_SOCKET");
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd >= 0 && connect(n->fd, (struct sockaddr *)&a, len) < 0) {
        sys_close(n->fd);
        n->fd = -1;
    }
    return n;
}

void notify_free(struct notify *n)
{
    if (!n)
        return;
    sys_close(n->fd);
    xfree(n->path);
    xfree(n);
}

void notify_hand_on(const struct notify *n)
{
    if (n->path)
        setenv("NOTIFY_SOCKET", n->path, 1);
}

void notify_take_back(const struct notify *n)
{
    if (n->path)
        unsetenv("NOTIFY_SOCKET");
}

static void tell(const struct notify *n, const char *text)
{
    if (n->fd >= 0 && send(n->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        return; /* who asked to be told is not listening: nothing depends on it */
}

void notify_ready(struct notify *n)
{
    tell(n, "READY=1");
}

void notify_reloading(struct notify *n)
{
    char text[64];

    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)clock_mono_us());
    tell(n, text);
}

void notify_stopping(struct notify *n)
{
    tell(n, "STOPPING=1");
}
