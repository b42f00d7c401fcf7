/*
 * ofrep_call.h - requests of OpenFeature clients: the HTTP of OFREP 0.3, on listeners that have
 * "ofrep". They are answered by the worker itself, before any route is looked at.
 *
 *   POST /ofrep/v1/evaluate/flags/{key}   one flag
 *   POST /ofrep/v1/evaluate/flags         all flags, with an entity tag
 *   GET  /ofrep/v1/sse                    events: something changed, ask again
 *   OPTIONS                               what scripts of web pages may do
 *
 * A call is complete before it is answered: its body is bounded by OFREP_BODY_MAX.
 */
#pragma once
#include "proxy/stream/stream.h"

struct ofrep_call {              /* in the arena of its stream */
    LIST_ENTRY(ofrep_call) link; /* of those that listen to events */
    struct stream *stream;
    struct str body; /* that outgrew its first block; else it is s->kept */
    size_t room;     /* for BODY */
    uint64_t told;   /* number of the set that the client knows of */
    bool listening;  /* the answer is a stream of events */
    bool behind;     /* it does not take what it was sent: nothing more until it has */
};

/* Is S for the flags of its listener? Then s->call, and what follows is for S with a call. */
bool ofrep_call_begin(struct stream *s);
/* Answer at once if there is no body. */
void ofrep_call_start(struct stream *s);
/* False and the stream is over: it was too long. */
bool ofrep_call_body(struct stream *s, struct str bytes);
/* What is in s->kept is going away. */
void ofrep_call_keep(struct stream *s);
void ofrep_call_body_end(struct stream *s);
