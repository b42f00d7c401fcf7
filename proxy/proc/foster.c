/* foster.c - two messages to every worker: listen there too, and no more. */
#include "proxy/proc/foster.h"

#include <stdio.h>

#define NAME_MAX_BYTES 96 /* a listener's name has at most 64 */

static void tell(struct children *s, enum ipc_type type, const char *name, unsigned slot,
                 int fd)
{
    char text[NAME_MAX_BYTES];

    snprintf(text, sizeof(text), "%s@%u", name, slot);
    for (unsigned i = 0; i < children_workers(s); i++)
        if (i != slot)
            child_send(children_worker(s, i),
                       &(struct ipc_msg){.type = type, .fd = fd, .text = str_of(text)});
}

void foster_begin(struct children *s, const struct listeners *l, unsigned slot)
{
    for (size_t i = 0; i < listeners_count(l); i++)
        tell(s, IPC_LISTEN, listeners_name(l, i), slot, listeners_fd(l, i, slot));
}

void foster_end(struct children *s, const struct listeners *l, unsigned slot)
{
    for (size_t i = 0; i < listeners_count(l); i++)
        tell(s, IPC_UNLISTEN, listeners_name(l, i), slot, -1);
}

void foster_forget(struct children *s, const char *name)
{
    for (unsigned i = 0; i < children_workers(s); i++)
        tell(s, IPC_UNLISTEN, name, i, -1);
}
