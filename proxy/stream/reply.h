/*
 * reply.h - answers that the proxy makes itself.
 *
 * Text of a line, "Server: sluice", a Date, the request id; Retry-After with 503, Allow with
 * 405. Nothing of the request is reflected.
 */
#pragma once
#include "proxy/stream/stream.h"

/* Answer with STATUS: "404 no route for this host and path\n". WHAT is static text. LAST:
 * nothing behind the request is to be parsed. */
void reply_send(struct stream *s, int status, struct str what, bool last);
/* Answer a gRPC call in its own words: HTTP 200, STATUS and WHAT in the head, no body. */
void reply_grpc(struct stream *s, enum grpc_status status, struct str what);
/* Answer with STATUS, the lines EXTRA and BODY, which is copied (none for 204 and 304). */
void reply_fixed(struct stream *s, int status, struct str extra, struct str body);
/* The head of an answer whose length nobody knows yet. */
void reply_open(struct stream *s, int status, struct str extra);
