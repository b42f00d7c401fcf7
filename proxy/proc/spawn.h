/*
 * spawn.h - start one child process: fork, drop privileges, exec.
 *
 * A child keeps stdin, stdout, stderr, descriptor 3 (ipc) and descriptor 4 (stats), nothing
 * else; it is killed when the supervisor dies, has its own process group, so that a terminal's
 * Ctrl-C reaches the supervisor alone, and starts with default signal handling.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

#include <sys/types.h>

#define SPAWN_FD_IPC   3
#define SPAWN_FD_STATS 4

/* Who the children run as. */
struct spawn_user {
    bool set; /* false: as we do */
    uid_t uid;
    gid_t gid;
    char name[64]; /* for its supplementary groups */
};

/* Look NAME up. 0, or -1 when there is no such user. */
MUST_CHECK int spawn_user_find(const char *name, struct spawn_user *u);

/*
 * Run PATH with ARGV (NULL-terminated) and our environment. PATH without a slash is searched in
 * PATH. The descriptors are duplicated. Returns the pid, or -1 and errno; an exec that fails is
 * seen as a child that exits with 127 after a line on stderr.
 */
MUST_CHECK pid_t spawn(const char *path, char *const *argv, int ipc_fd, int stats_fd,
                       const struct spawn_user *u);
