/*
 * forward.h - heads as they go on: what is taken off, what is put on (RFC 9110 7.6).
 *
 * Taken off: hop-by-hop fields and those that Connection names (but never the protected ones),
 * everything that claims to know the client (but what a trusted proxy says), X-Flag-*,
 * X-Sluice-Attempts. Put on,
 * after that: Host, X-Forwarded-For, -Proto and -Host, X-Request-Id, Via, traceparent,
 * X-Flag-*. Length and coding of a body are always written anew.
 */
#pragma once
#include "proxy/http/head_write.h"
#include "proxy/stream/stream.h"

/* s->request_id and s->trace_id: passed on if sane, else made. First of all calls here. */
void forward_ids(struct stream *s);
/* s->trusted, and s->client if a trusted peer names another one than itself. */
void forward_client(struct stream *s);
/* Mark X-Flag-* fields and X-Sluice-Attempts of clients, so that nobody passes them on. */
void forward_strip_flags(struct stream *s);
/* X-Sluice-Attempts from the second one on. */
void forward_attempts(struct stream *s, struct out *o);
/* The request for an upstream; text lives in the stream's arena. */
void forward_request(struct stream *s, struct message *m);
/* M (from the upstream) as it goes to the client. */
void forward_answer(struct stream *s, struct message *m);
