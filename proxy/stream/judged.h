/*
 * judged.h - what an exchange tells the judge, beside the counters that it always leaves.
 *
 * Only while versions of its service are compared (conf_service.judging); otherwise each of
 * these is one comparison.
 */
#pragma once
#include "proxy/stream/stream.h"

/* S is split by KEY. */
void judged_key(struct stream *s, struct str key);
/* EP has answered S. */
void judged_answer(struct stream *s, const struct endpoint *ep);
/* S, which counts for the judge, has ended in row V. */
void judged_note(struct stream *s, struct stats_version *v, bool error);
