/*
 * pending.h - requests that wait for a connection to their version (limits.max_connections).
 *
 * While it waits a stream is in QUEUE and reads no body. Its turn comes when a connection is
 * free (stream_try), or it is answered 503 when it waited too long or too many wait already.
 */
#pragma once
#include "proxy/stream/attempt.h"

/* attempt_start on the target I of the version; if that has no connection free, on one that
 * has, or on I after another idle connection has made room. */
enum attempt_begin pending_start(struct stream *s, uint32_t i) MUST_CHECK;
/* S, in QUEUE, waits or goes on waiting; or it was answered. */
void pending_wait(struct stream *s);
/* It got one, or it is over; idempotent. */
void pending_leave(struct stream *s);
/* It waited too long. */
void pending_expired(struct stream *s);
