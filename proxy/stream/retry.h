/*
 * retry.h - whether a request that failed is tried again, and when.
 *
 * A new try is safe if the client has seen nothing, all of the request is still here, and the
 * upstream cannot have acted on it or the method says that twice is as good as once (RFC 9110
 * 9.2.2, retry.methods); calls of gRPC are all POST, so a status of theirs that is listed says
 * that by itself. It is allowed by retry.attempts, retry.on, the budget and
 * limits.max_retries. A dead pooled connection does not count as a try.
 */
#pragma once
#include "proxy/stream/stream.h"

/* An attempt ended as WHY. NOTHING_SENT: no byte of it can have reached the upstream; STALE: a
 * pooled connection was dead. True: try again. */
bool retry_allowed(struct stream *s, enum ending why, bool nothing_sent, bool stale) MUST_CHECK;
/* The same for an answer with STATUS. */
bool retry_status_allowed(struct stream *s, int status) MUST_CHECK;
/* Is STATUS on the list? */
bool retry_status_listed(const struct stream *s, int status);
/* May the request be carried out twice? */
bool retry_repeatable(const struct stream *s);
/* Was EP tried already? */
bool retry_asked(const struct stream *s, const struct endpoint *ep);
/* How long to wait before, in ms: full jitter over a time that doubles with each try. */
uint64_t retry_pause_ms(struct stream *s);
/* Wait so long (more than 0), then stream_try. */
void retry_pause(struct stream *s, uint64_t ms);
/* The target for the next attempt: what the policy says, but no endpoint twice if another was
 * not asked at all. BALANCE_NONE: none is live. */
uint32_t retry_pick(struct stream *s);
/* The stream is over: idempotent. */
void retry_end(struct stream *s);
