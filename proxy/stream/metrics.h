/*
 * metrics.h - what an exchange leaves behind in the worker's slab (proxy/base/stats.h).
 *
 * The judge lives on these numbers: an exchange is judged if it reached a version and did not
 * end because of its client before an answer began; it is an error if the answer was 5xx or
 * the version is to blame for its ending.
 */
#pragma once
#include "proxy/stream/stream.h"

void metrics_begin(struct stream *s);          /* a request head was read */
void metrics_routed(struct stream *s);         /* s->version was chosen */
void metrics_connect_failed(struct stream *s); /* an attempt got no connection */
/* It got no connection because of a limit: WHY is END_PENDING_FULL or _TIMEOUT. */
void metrics_pending(struct stream *s, enum ending why);
void metrics_hedge(struct stream *s, bool won); /* a hedge began; WON: it was answered first */
void metrics_end(struct stream *s);             /* s->why stands */
/* A violation of kind K (enum stats_violation). */
void metrics_violation(struct plane *p, unsigned k);
/* A request that broke KINDS (bits 1 << enum stats_violation) was taken all the same. */
void metrics_forgiven(struct plane *p, uint32_t kinds);
