/*
 * h1_body.h - HTTP/1 bodies: where the payload is in the bytes, without copying it.
 *
 *   struct h1_body b;
 *   h1_body_init(&b, head->framing, head->length);
 *   while ((e = h1_body_next(&b, &in, &data)) == H1_BODY_DATA)
 *       pass_on(data);            // slices of IN
 *
 * Chunked coding is read strictly (RFC 9112 7.1): CRLF only, 1-16 hex digits, extensions by
 * their grammar, dropped and limited; trailer fields by the grammar of fields. Splitting the
 * input anywhere changes nothing but the slices.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/stats.h"
#include "proxy/http/head.h"

#define H1_TRAILER_MAX   8192 /* bytes of a trailer section on the wire */
#define H1_CHUNK_EXT_MAX 4096 /* bytes of extensions, plus one for every 4 of payload */

enum h1_body_event {
    H1_BODY_MORE, /* IN is used up; the body goes on */
    H1_BODY_DATA, /* payload in DATA, never empty; IN moved behind it */
    H1_BODY_END,  /* the body is over; IN holds what follows it. Stays so */
    H1_BODY_BAD   /* the coding is broken: kind and why say how. Stays so */
};

struct h1_body {
    uint64_t left;    /* bytes of the body or of the current chunk */
    uint64_t payload; /* bytes handed out so far */
    uint8_t framing;  /* enum framing */
    uint8_t state;    /* private */
    uint8_t digits;   /* private */
    uint16_t kind;    /* H1_BODY_BAD: enum stats_violation */
    uint32_t ext;     /* bytes of extensions so far */
    uint32_t trailer; /* bytes of the trailer section so far */
    uint32_t line;    /* private: where the current trailer line begins in room */
    uint32_t name_n;  /* private */
    uint32_t used;    /* bytes in room */
    uint32_t cap;     /* of room */
    char *room;       /* borrowed, or NULL: trailers are checked and dropped */
    const char *why;  /* H1_BODY_BAD: a few words, static */
};

void h1_body_init(struct h1_body *b, enum framing framing, uint64_t length);
/*
 * Keep trailer fields that may be forwarded, as "name: value\r\n" lines, in ROOM (CAP bytes,
 * H1_TRAILER_MAX holds all). At H1_BODY_END h1_body_trailers gives them; those that do not
 * fit are dropped.
 */
void h1_body_keep_trailers(struct h1_body *b, char *room, size_t cap);
struct str h1_body_trailers(const struct h1_body *b);

enum h1_body_event h1_body_next(struct h1_body *b, struct str *in, struct str *data) MUST_CHECK;
/* The connection ended: true when the body is complete with that (FRAMING_CLOSE, or over). */
bool h1_body_eof(struct h1_body *b) MUST_CHECK;
static inline bool h1_body_done(const struct h1_body *b) /* H1_BODY_END was or would be next */
{
    return b->framing == FRAMING_NONE || (b->framing == FRAMING_LENGTH && b->left == 0) ||
           b->state == UINT8_MAX;
}

/* Writing chunks: head, payload, H1_CHUNK_TAIL; at last H1_CHUNK_LAST (or, with trailers,
 * H1_CHUNK_ZERO, the trailer lines and a CRLF). */
#define H1_CHUNK_HEAD 18 /* room for h1_chunk_head */
#define H1_CHUNK_TAIL STR("\r\n")
#define H1_CHUNK_ZERO STR("0\r\n")
#define H1_CHUNK_LAST STR("0\r\n\r\n")
/* Write "1f4\r\n" for a chunk of N > 0 bytes; returns its length. No NUL. */
size_t h1_chunk_head(char out[H1_CHUNK_HEAD], uint64_t n);
