/* sys.h - the few system calls that everybody needs, with their edges filed off. */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/base/check.h"

#include <stddef.h>
#include <sys/types.h>

void sys_close(int fd); /* -1 is a no-op; keeps errno */
MUST_CHECK int sys_cloexec(int fd, bool on);
MUST_CHECK int sys_nonblock(int fd);
MUST_CHECK int sys_write_all(int fd, const void *p, size_t n); /* 0, or -1 and errno */
/*
 * Whole file, at most MAX bytes (EFBIG above), copied into A and NUL-terminated.
 * 0, or -1 and errno. PATH "-" is not special.
 */
MUST_CHECK int sys_read_file(struct arena *a, const char *path, size_t max, struct str *out);
/* Write beside PATH, fsync, rename over it, fsync the directory. 0, or -1 and errno. */
MUST_CHECK int sys_write_file(const char *path, struct str data, mode_t mode);
/* mkdir -p with MODE for what is missing. 0, or -1 and errno. */
MUST_CHECK int sys_mkdirs(const char *path, mode_t mode);
/* How much of what was sent on the TCP connection FD its peer has acknowledged. False: the
 * kernel does not say. */
MUST_CHECK bool sys_acked(int fd, uint64_t *bytes);
/* Highest soft RLIMIT_NOFILE that the hard limit allows; returns it. */
size_t sys_raise_nofile(void);
