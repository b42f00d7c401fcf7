/* sys.c - the few system calls that everybody needs, with their edges filed off. */
#include "proxy/base/sys.h"

#include "proxy/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void sys_close(int fd)
{
    int keep = errno;

    if (fd >= 0)
        close(fd);
    errno = keep;
}

bool sys_acked(int fd, uint64_t *bytes)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_received))
        return false;
    *bytes = info.tcpi_bytes_acked ? info.tcpi_bytes_acked - 1 : 0; /* SYN counts as one */
    return true;
}

int sys_cloexec(int fd, bool on)
{
    return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

int sys_nonblock(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int sys_write_all(int fd, const void *p, size_t n)
{
    for (const char *c = p; n;) {
        ssize_t m = write(fd, c, n);

        if (m < 0 && errno == EINTR)
            continue;
        if (m < 0)
            return -1;
        c += m;
        n -= (size_t)m;
    }
    return 0;
}

int sys_read_file(struct arena *a, const char *path, size_t max, struct str *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), err;
    size_t cap = 8192, n = 0;
    char *buf;

    if (fd < 0)
        return -1;
    buf = xmalloc(cap);
    for (;;) {
        ssize_t m;

        if (n == cap)
            buf = xrealloc(buf, cap *= 2);
        m = read(fd, buf + n, cap - n);
        if (m < 0 && errno == EINTR)
            continue;
        if (m < 0)
            goto fail;
        if (m == 0)
            break;
        n += (size_t)m;
        if (n > max) {
            errno = EFBIG;
            goto fail;
        }
    }
    *out = arena_str(a, (struct str){buf, n});
    xfree(buf);
    sys_close(fd);
    return 0;
fail:
    err = errno;
    xfree(buf);
    sys_close(fd);
    errno = err;
    return -1;
}

static int sync_directory_of(const char *path)
{
    char *copy = xstrdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    xfree(copy);
    if (fd < 0)
        return -1;
    rc = fsync(fd);
    sys_close(fd);
    return rc;
}

int sys_write_file(const char *path, struct str data, mode_t mode)
{
    char *tmp = xasprintf("%s.%ld.tmp", path, (long)getpid());
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode), rc = -1, err;

    if (fd >= 0 && sys_write_all(fd, data.p, data.n) == 0 && fsync(fd) == 0 &&
        rename(tmp, path) == 0)
        rc = sync_directory_of(path);
    err = errno;
    if (fd >= 0 && rc < 0)
        unlink(tmp);
    sys_close(fd);
    xfree(tmp);
    errno = err;
    return rc;
}

int sys_mkdirs(const char *path, mode_t mode)
{
    char *copy = xstrdup(path);
    int rc = 0;

    for (char *c = copy + 1; rc == 0 && *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        rc = mkdir(copy, mode) < 0 && errno != EEXIST ? -1 : 0;
        *c = '/';
    }
    if (rc == 0 && mkdir(copy, mode) < 0 && errno != EEXIST)
        rc = -1;
    xfree(copy);
    return rc;
}

size_t sys_raise_nofile(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return 1024;
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) < 0 && getrlimit(RLIMIT_NOFILE, &r) < 0)
        return 1024;
    return (size_t)r.rlim_cur;
}
