/*
 * listeners.h - the listening sockets of all workers, held by the supervisor.
 *
 * One socket a listener and worker slot. They stay open while a worker is replaced, so that the
 * connections in its queue are served by the next one. A config change keeps every socket whose
 * address stays.
 */
#pragma once
#include "config/conf.h"

struct listeners;

struct listeners *listeners_new(unsigned slots);
void listeners_free(struct listeners *l);
void listeners_close(struct listeners *l); /* all sockets; the set is empty afterwards */

/* What listeners_update did, for each name once, removals first. */
struct listeners_callbacks {
    void (*removed)(void *arg, const char *name);
    void (*added)(void *arg, const char *name, const int *fds); /* one a slot; borrowed */
};

/*
 * Become the set that C describes. 0, or -1 with a diagnostic in D for each address that cannot
 * be opened; then nothing has changed. CB may be NULL.
 */
MUST_CHECK int listeners_update(struct listeners *l, const struct conf *c, struct conf_diags *d,
                                const struct listeners_callbacks *cb, void *arg);

/* Add sockets that are open already: FDS, one a slot, are taken over. PORT: as configured. */
void listeners_inherit(struct listeners *l, struct str name, struct str host, uint16_t port,
                       const int *fds);

size_t listeners_count(const struct listeners *l);
const char *listeners_name(const struct listeners *l, size_t i);
const char *listeners_host(const struct listeners *l, size_t i);
uint16_t listeners_port(const struct listeners *l, size_t i);         /* as configured */
int listeners_fd(const struct listeners *l, size_t i, unsigned slot); /* borrowed */
