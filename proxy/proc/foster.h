/*
 * foster.h - while a worker waits to be started again, the others accept on its sockets.
 *
 * The kernel goes on giving its share of new connections to the sockets of every slot. Of a
 * worker that is replaced at once they wait a moment in the queue; of one in backoff they would
 * wait for seconds. The borrowed sockets go by the name "LISTENER@SLOT".
 */
#pragma once
#include "proxy/proc/children.h"
#include "proxy/proc/listeners.h"

/* The workers that are up now accept for SLOT as well. */
void foster_begin(struct children *s, const struct listeners *l, unsigned slot);
/* SLOT has a process again. Harmless when nothing was begun. */
void foster_end(struct children *s, const struct listeners *l, unsigned slot);
/* Listener NAME is closed: for all slots. */
void foster_forget(struct children *s, const char *name);
