/*
 * mirror.h - copies of requests for another version, whose answers nobody waits for.
 *
 * A copy is a request of its own: it has its own text, its own connections (a pool apart) and
 * its own end, so that nothing the other version does is felt by a client. What would cost too
 * much, too many copies under way, a body too large or too much memory held by all of them, is
 * not copied, and counted. The traffic
 * counters of the other version, and so the judge, do not see copies.
 */
#pragma once
#include "proxy/stream/stream.h"

/* S has its version: begin a copy if its service mirrors and S is among the chosen. */
void mirror_begin(struct stream *s);
/* Of the request's body, for a copy that waits for it: s->mirror. */
void mirror_body(struct stream *s, struct str bytes);
/* The body is complete: the copy goes out and is no business of S any more. */
void mirror_body_end(struct stream *s);
/* S ends without its whole body: so does the copy. NULL s->mirror is a no-op for all three. */
void mirror_leave(struct stream *s);
/* End all copies of P at once. */
void mirror_close_all(struct plane *p);
