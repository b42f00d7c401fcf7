/*
 * rpc.h - an exchange that is a gRPC call: how it ended, and until when that is awaited.
 *
 * A call fails by its grpc-status, in trailers or in an answer that is a head only, while HTTP
 * says 200; without one at the end it failed as UNKNOWN. The deadline that the client gave
 * counts from the head's arrival; what is passed on is what is left of it, or of the route's
 * timeout if that is less. Nothing here costs an exchange that is no call.
 */
#pragma once
#include "proxy/event/deadline.h"
#include "proxy/http/codec.h"
#include "proxy/http/grpc.h"
#include "proxy/stream/ending.h"

struct stream;

struct rpc {           /* part of a stream; zeroed, it is no call */
    bool on;           /* it is one */
    bool sized;        /* the answer's head told the length of its body */
    bool late;         /* the client gave up at the deadline */
    int status;        /* enum grpc_status; -1: not known yet. Only if ON */
    uint64_t until_us; /* deadline; 0: none */
    struct deadline deadline;
};

/* The head of the request is read: is it a call? */
void rpc_begin(struct stream *s);
/* An attempt's request goes out: its deadline instead of the client's. */
void rpc_put_timeout(struct stream *s, struct out *o);
/* The final head of an attempt's answer, then the end of that answer. */
void rpc_note_head(struct stream *s, const struct message *m);
void rpc_note_end(struct stream *s, struct str trailers);
/* The answer that was noted is no success to a client or a judge of endpoints before its end.
 */
bool rpc_open(const struct stream *s);
/* Its status, if it is known, is one of the service's grpc_errors. */
bool rpc_failed(const struct stream *s);
/* A head-only answer stays one: gRPC reads its status from nowhere else. */
void rpc_relay(const struct stream *s, struct message *m);
/* The exchange fails before an answer began: one in the words of gRPC. STATUS is HTTP's. */
void rpc_refuse(struct stream *s, enum ending why, int status, struct str what);
/* It fails inside an answer: say so in trailers. False: that cannot be, cut it off. */
bool rpc_break(struct stream *s, enum ending why) MUST_CHECK;
/* The client went away. Many leave when their deadline has come, just before we say so: that is
 * no whim, and somebody was slow. */
void rpc_abandoned(struct stream *s);
/* It is over: WHY, or what is nearer the truth. */
enum ending rpc_finish(struct stream *s, enum ending why);
