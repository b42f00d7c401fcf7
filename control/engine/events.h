/*
 * events.h - what happened, in order, for everyone who listens.
 *
 * An event is {"seq","ts","type","service","rollout","message","data"}. Its sequence number
 * comes from the store and never repeats. Subscribers get each event once, in order, from the
 * end of the loop turn in which it was emitted.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/event/loop.h"

#include <jansson.h>

struct events;
struct store;

struct events *events_new(struct loop *l, struct store *s);
void events_free(struct events *e); /* subscribers must be gone */

/* One fact. TYPE is one of the names of the contract ("endpoint.down"); SERVICE and ROLLOUT may
 * be NULL; DATA (may be NULL) is stolen. MESSAGE is a sentence for people. */
struct fact {
    const char *type, *service, *rollout, *message;
    json_t *data;
};

/*
 * Append F to the store and tell subscribers. A store that fails loses nothing but durability:
 * the event is still told, with the next number, and logged.
 */
void events_emit(struct events *e, struct fact f);
/* The same with a formatted message and without data of its own. */
void events_say(struct events *e, const char *type, const char *service, const char *rollout,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Events with seq > SINCE, oldest first, at most LIMIT; a new reference to a JSON array. */
json_t *events_page(struct events *e, uint64_t since, size_t limit);
uint64_t events_last(const struct events *e); /* newest sequence number, 0: none */

/* EV is the event as JSON (borrowed). Called from the loop, once for each event. */
struct events_subscriber;
typedef void events_cb(void *arg, uint64_t seq, const json_t *ev);
struct events_subscriber *events_subscribe(struct events *e, events_cb *cb, void *arg);
void events_unsubscribe(struct events *e, struct events_subscriber *s);
