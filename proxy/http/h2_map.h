/*
 * h2_map.h - the fields of an HTTP/2 message as a struct head (RFC 9113 8.3).
 *
 * Fields are laid out, one by one as HPACK gives them, as the text of an HTTP/1.1 head, and
 * that text is parsed by the parser that reads HTTP/1: what is refused there is refused here,
 * and nothing above knows the difference. Names and values are checked before they become text,
 * so no field can be two. Count and size are limited while the block is decoded: what is over
 * the limit is not kept, and far over it the peer means harm.
 *
 * A CONNECT that opens a WebSocket (RFC 8441) becomes the GET that does so in HTTP/1.1; its
 * Sec-WebSocket-Key is whoever's who forwards it.
 */
#pragma once
#include "proxy/event/block.h"
#include "proxy/http/h1_parse.h"

#define H2_FIELD_COST  32  /* RFC 9113 6.5.2 */
#define H2_FIELDS_MUCH 512 /* fields that nobody sends in good faith */
#define H2_SIZE_MUCH   131072
#define H2_TRAILER_MAX 8192 /* bytes of trailer lines that are kept */

struct h2_fields { /* one header block on its way; a connection has one at most */
    struct blocks *blocks;
    struct block *text;    /* owned: pseudo fields, then the lines */
    struct block *cookies; /* owned: crumbs, joined by "; " */
    uint32_t line;         /* where the text of the head begins in `text` */
    uint32_t fields, size; /* as HPACK gave them, crumbs included */
    struct span method, path, authority, scheme, protocol;
    struct span answered; /* :status */
    bool answer;          /* of a response */
    bool trailer;         /* of a trailer section: lines only */
    bool regular;         /* pseudo fields are over */
    bool length;          /* content-length was among them */
    bool host;
    uint16_t status, kind; /* of the first fault; 0: none */
    const char *why;
};

void h2_fields_begin(struct h2_fields *f, struct blocks *blocks, bool trailer);
/* The same for the head of a response. */
void h2_fields_begin_answer(struct h2_fields *f, struct blocks *blocks);
/* False: so many or so large that the connection is not worth keeping. */
bool h2_fields_add(struct h2_fields *f, struct str name, struct str value) MUST_CHECK;
/*
 * The request is complete, and with it the message if LAST. True: H is filled and lies in
 * *TEXT, the caller's now, from its start to h->size behind it. False: P says why, *TEXT is
 * NULL.
 */
bool h2_fields_request(struct h2_fields *f, bool last, struct h1_parser *p, struct head *h,
                       struct block **text) MUST_CHECK;
/* The same for a response to a request by ASKED; where its fields do not tell how long the body
 * is, it ends with the stream. */
bool h2_fields_response(struct h2_fields *f, bool last, enum method asked, struct head *h,
                        struct block **text) MUST_CHECK;
/* The trailer section is complete: the lines that may be forwarded, as long as F is untouched.
 * False: it is malformed. */
bool h2_fields_trailers(struct h2_fields *f, struct str *lines) MUST_CHECK;
void h2_fields_release(struct h2_fields *f); /* idempotent */
