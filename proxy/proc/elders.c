/* elders.c - a list of processes that only become fewer. */
#include "proxy/proc/elders.h"

#include "proxy/base/sys.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

void elders_drain(struct elders *e)
{
    for (size_t i = 0; i < e->list.n; i++) {
        sys_close(e->list.v[i].fd);
        e->list.v[i].fd = -1;
    }
}

bool elders_reaped(struct elders *e, pid_t pid, unsigned *slab)
{
    for (size_t i = 0; i < e->list.n; i++)
        if (e->list.v[i].pid == pid) {
            *slab = e->list.v[i].slab;
            sys_close(e->list.v[i].fd);
            e->list.v[i] = e->list.v[--e->list.n];
            return true;
        }
    return false;
}

void elders_kill(const struct elders *e)
{
    for (size_t i = 0; i < e->list.n; i++)
        kill(e->list.v[i].pid, SIGKILL);
}

void elders_release(struct elders *e)
{
    elders_kill(e);
    elders_drain(e);
    for (size_t i = 0; i < e->list.n; i++)
        while (waitpid(e->list.v[i].pid, NULL, 0) < 0 && errno == EINTR)
            ;
    vec_release(&e->list);
}
