/*
 * spawn.c - fork and exec.
 *
 * Between fork and exec all signals are blocked and their handlers reset: the handlers of the
 * loop would write to a socket that is still shared with the supervisor.
 */
#include "proxy/proc/spawn.h"

#include "proxy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SPAWN_FD_SCRATCH 10 /* above every descriptor number that a child gets */

int spawn_user_find(const char *name, struct spawn_user *u)
{
    const struct passwd *pw = getpwnam(name);

    if (!pw || strlen(name) >= sizeof(u->name))
        return -1;
    *u = (struct spawn_user){.set = true, .uid = pw->pw_uid, .gid = pw->pw_gid};
    str_copy(u->name, sizeof(u->name), str_of(name));
    return 0;
}

static int drop_privileges(const struct spawn_user *u)
{
    if (!u->set)
        return 0;
    if (initgroups(u->name, u->gid) < 0 || setgid(u->gid) < 0 || setuid(u->uid) < 0)
        return -1;
    if (u->uid != 0 && setuid(0) == 0) { /* the way back must be shut */
        errno = EPERM;
        return -1;
    }
    return 0;
}

/* IPC_FD and STATS_FD become 3 and 4, also when they are 4 and 3 now. */
static int place_fds(int ipc_fd, int stats_fd)
{
    int ipc = fcntl(ipc_fd, F_DUPFD_CLOEXEC, SPAWN_FD_SCRATCH);
    int stats = fcntl(stats_fd, F_DUPFD_CLOEXEC, SPAWN_FD_SCRATCH);

    if (ipc < 0 || stats < 0)
        return -1;
    if (dup2(ipc, SPAWN_FD_IPC) < 0 || dup2(stats, SPAWN_FD_STATS) < 0)
        return -1;
    /* Ours are all close-on-exec; this is for what whoever started us left open. */
    close_range(SPAWN_FD_STATS + 1, ~0u, 0);
    return 0;
}

static void reset_signals(void)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        sigaction(s, &dfl, NULL); /* KILL, STOP and the two of libc refuse; as they should */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void become(const char *path, char *const *argv, int ipc_fd, int stats_fd,
                             const struct spawn_user *u, pid_t parent)
{
    reset_signals();
    setpgid(0, 0);
    if (place_fds(ipc_fd, stats_fd) < 0 || drop_privileges(u) < 0) {
        log_error("cannot prepare %s: %s", argv[0], strerror(errno));
        _exit(127);
    }
    /* A change of user clears it, so it comes after that; and the parent may be gone. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    execvp(path, argv);
    log_error("cannot run %s: %s", path, strerror(errno));
    _exit(127);
}

pid_t spawn(const char *path, char *const *argv, int ipc_fd, int stats_fd,
            const struct spawn_user *u)
{
    pid_t parent = getpid(), pid;
    sigset_t all, before;
    int err;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        become(path, argv, ipc_fd, stats_fd, u, parent);
    err = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = err;
    return pid;
}
