/*
 * events.h - what happened, in order, for everyone who listens.
 *
 * An event is {"seq","ts","type","service","rollout","message","data"}. Its sequence number
 * comes from the store and never repeats. Subscribers get each event once, in order, from the
 * end of the loop turn in which it was told.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/event/loop.h"

#include <jansson.h>

#define EVENTS_KEPT 20000 /* the newest; older ones are deleted now and then */

struct events;
struct store;

struct events *events_new(struct loop *l, struct store *s);
void events_free(struct events *e); /* subscribers must be gone */

/* One fact. TYPE is one of the names of the contract ("endpoint.down"); SERVICE and ROLLOUT may
 * be NULL; DATA (may be NULL) is borrowed. MESSAGE is a sentence for people. */
struct fact {
    const char *type, *service, *rollout, *message;
    const json_t *data;
};

/*
 * Append F to the store and tell subscribers. When the store fails it is told all the same,
 * with the number of the event before it, and lost afterwards.
 */
void events_emit(struct events *e, struct fact f);
/* The same with a formatted message and without data. */
void events_say(struct events *e, const char *type, const char *service, const char *rollout,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

/*
 * For an event that belongs to a transaction: append it inside, tell it after the commit. NULL:
 * the store failed and the transaction is doomed.
 */
json_t *events_append(struct events *e, struct fact f) MUST_CHECK;
void events_tell(struct events *e, json_t *ev); /* stolen */
/* As events_append without storing: for an event that must be told whatever the store does. */
json_t *events_unstored(struct events *e, struct fact f);

/* Events with seq > SINCE, oldest first, at most LIMIT; a new array. NULL: the store failed. */
json_t *events_page(struct events *e, uint64_t since, unsigned limit);
uint64_t events_last(const struct events *e); /* newest sequence number, 0: none */

/* EV is the event as JSON, borrowed; SEQ is 0 for one that the store could not take ("stored"
 * is false in it then). The subscriber may leave from inside the call. */
struct events_subscriber;
typedef void events_cb(void *arg, uint64_t seq, const json_t *ev);
struct events_subscriber *events_subscribe(struct events *e, events_cb *cb, void *arg);
void events_unsubscribe(struct events *e, struct events_subscriber *s);
