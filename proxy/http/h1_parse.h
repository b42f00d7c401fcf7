/*
 * h1_parse.h - HTTP/1 heads: bytes to struct head, strictly (RFC 9112, RFC 9110 5).
 *
 * Everything that two parsers could read in two ways is refused: bare CR or LF, obs-fold, CTL
 * in values, names that are not tokens, two framings, more than one length, look-alikes of
 * framing fields. After H1_BAD the connection is closed and no later byte is looked at.
 *
 * The parser is resumable: a line is parsed once it is complete, and no byte of an incomplete
 * line is scanned twice. Feeding bytes singly gives the same result as feeding them whole.
 * It keeps no bytes: the caller keeps them together from the first one of the message.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/stats.h"
#include "proxy/http/head.h"

enum h1_result {
    H1_MORE, /* incomplete so far and nothing wrong with it */
    H1_DONE, /* head->size bytes were the head; what follows is the body or the next one */
    H1_BAD   /* see the parser's status, kind and why */
};

struct h1_parser {
    uint32_t line;     /* offset of the line that is being read */
    uint32_t seen;     /* bytes known to hold no delimiter */
    uint8_t stage;     /* private */
    bool response;     /* which grammar */
    uint8_t asked;     /* response: enum method of the request it answers */
    uint16_t status;   /* H1_BAD: to answer with: 4xx or 5xx; 502 for a response */
    uint16_t kind;     /* H1_BAD: enum stats_violation */
    uint32_t lenient;  /* private: see h1_parser_lenient */
    uint32_t forgiven; /* H1_DONE: 1 << kind for what was broken and taken all the same */
    const char *why;   /* H1_BAD: a few words for the log, static */
};

void h1_parser_request(struct h1_parser *p);
/* ASKED is the method of the request: an answer to HEAD has no body. Also for the next head
 * after an interim (1xx) one, on the bytes behind it. */
void h1_parser_response(struct h1_parser *p, enum method asked);

/* What a request may be forgiven: bits 1 << enum stats_violation. */
#define H1_LENIENT                                                                             \
    (1u << STATS_BAD_BARE_LF | 1u << STATS_BAD_OBS_FOLD | 1u << STATS_BAD_FIELD_VALUE |        \
     1u << STATS_BAD_CL_AND_TE)
/*
 * Right after h1_parser_request: take a head that breaks KINDS, out of H1_LENIENT. The bytes
 * it is parsed from must be writable and stay as the parser leaves them: a folded line is
 * joined to its field by one SP, a control character in a value becomes SP. LF ends a line as
 * CRLF does. With a coding and a length the coding counts, the length is dropped and the
 * connection is not kept (RFC 9112 6.1).
 */
void h1_parser_lenient(struct h1_parser *p, uint32_t kinds);

/*
 * Parse the N bytes at BUF: all bytes of the message so far, those of earlier calls included
 * (they may have moved). H is filled on the way and complete at H1_DONE.
 *
 * One CRLF before a request line is skipped (and part of head->size).
 */
enum h1_result h1_parse(struct h1_parser *p, struct head *h, const char *buf,
                        size_t n) MUST_CHECK;
