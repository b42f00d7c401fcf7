/*
 * admit.h - what a route asks of a request before a version is chosen for it: the size of its
 * body, a rate, how many are under way at once; and the faults of a drill.
 *
 * Only for routes that are `guarded`: all others pay one branch.
 */
#pragma once
#include "proxy/stream/stream.h"

/* Once, after routing. False: it was answered, or it waits and stream_proceed goes on. */
bool admit_start(struct stream *s) MUST_CHECK;
/* Take a request out of what the client has left of the rate C, which is known as ID and whose
 * arithmetic is G. False: it has none; s->limit_fields says until when. */
bool admit_rate(struct stream *s, const struct conf_rate *c, uint64_t id,
                const struct gcra *g) MUST_CHECK;
/* The delay of a fault has passed. */
void admit_delayed(struct stream *s);
/* The exchange is over: it no longer counts as under way. */
void admit_end(struct stream *s);
