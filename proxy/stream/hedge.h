/*
 * hedge.h - a second attempt beside a slow one: the first to answer wins, the others are cut.
 *
 * Only for requests that are wholly in memory and may be carried out twice (retry.methods). An
 * answer with a status that would be tried again does not win while another attempt is under
 * way. However many attempts, the client gets one answer and the exchange is judged once.
 */
#pragma once
#include "proxy/stream/attempt.h"

/* A, a first attempt, was answered or cut now: for hedge.percentile. */
void hedge_observe(const struct attempt *a);
/* An attempt of S is under way and all of the request is out: wait for hedge.after. */
void hedge_arm(struct stream *s);
/* No answer so far: one more attempt, if the budget and the endpoints allow it. */
void hedge_fire(struct stream *s);
/* The final head of A came, with STATUS. True: A has won and all others are cut. False: it is
 * out, another goes on. */
bool hedge_settle(struct attempt *a, int status) MUST_CHECK;
