/* h1_block.h - bodies framed and unframed where they lie in a block. */
#pragma once
#include "proxy/event/block.h"
#include "proxy/http/h1_body.h"

/*
 * Decode the filled range of B in place: afterwards it is the payload, contiguous, and *REST is
 * what lies behind the end of the body (H1_BODY_END only). Gives H1_BODY_MORE, _END or _BAD.
 * REST stays valid until something is appended to B.
 */
enum h1_body_event h1_block_decode(struct h1_body *body, struct block *b,
                                   struct str *rest) MUST_CHECK;
/* Make the filled range of B one chunk: its size in front, CRLF behind. Not for an empty one.
 */
void h1_block_chunk(struct block *b);
