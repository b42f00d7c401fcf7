/*
 * ofrep_events.h - clients that wait to be told that flags changed (server-sent events).
 *
 * An event says "ask again" and nothing else, so a client whose output is full is told nothing
 * until it has room again, and then of the newest set only.
 */
#pragma once
#include "proxy/stream/ofrep_call.h"

/* S, whose request is read, becomes such an answer; LAST: of Last-Event-ID, or empty. */
void ofrep_events_open(struct stream *s, struct str fields, struct str last);
/* S ends: no event reaches it any more. A no-op for other streams. */
void ofrep_events_leave(struct stream *s);
/* The client took what it was sent. */
void ofrep_events_resume(struct stream *s);

void ofrep_events_init(struct plane *p);
/* There is a new set of flags. */
void ofrep_events_tell(struct plane *p);
/* End all of them: clients come again, to somebody else. */
void ofrep_events_close_all(struct plane *p);
