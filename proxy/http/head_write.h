/*
 * head_write.h - putting heads into bytes: a bounded buffer and what is appended to it.
 *
 * Nothing is written past the end: what does not fit sets `full` and the text so far is not a
 * message. Values that do not come from a parsed head are checked (head_write_field), so that
 * no CR or LF from a template, a flag or an upstream splits a message.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/http/head.h"

struct out { /* the caller's room */
    char *p;
    size_t n, cap; /* n bytes are filled */
    bool full;     /* something did not fit; nothing is appended any more */
};

static inline struct out out_init(void *room, size_t cap)
{
    return (struct out){.p = room, .cap = cap};
}

static inline struct str out_text(const struct out *o)
{
    return (struct str){o->p, o->n};
}

static inline void out_put(struct out *o, struct str s)
{
    if (__builtin_expect(o->full || s.n > o->cap - o->n, 0)) {
        o->full = true;
        return;
    }
    if (s.n)
        memcpy(o->p + o->n, s.p, s.n);
    o->n += s.n;
}

void out_char(struct out *o, char c);
void out_u64(struct out *o, uint64_t n);                  /* decimal */
void out_hex(struct out *o, uint64_t n, unsigned digits); /* lower case, DIGITS wide */

/* "GET /path HTTP/1.1\r\n" in origin-form, whatever form H came in. */
void head_write_request(struct out *o, const struct head *h);
/* The same with PATH (and its query) for the one of H, unless PATH is empty. */
void head_write_request_to(struct out *o, const struct head *h, struct str path);
/* "HTTP/1.1 404 Not Found\r\n"; an empty REASON gives the usual phrase. */
void head_write_status(struct out *o, int status, struct str reason);
/* "name: value\r\n" for text of any origin: false and nothing written when NAME is not a token
 * or VALUE has a CTL. */
bool head_write_field(struct out *o, struct str name, struct str value);
/* The same for text that is known to be good (literals, values of a parsed head). */
void head_write_known(struct out *o, struct str name, struct str value);
void head_write_u64(struct out *o, struct str name, uint64_t n);
/* Field F of H as it came. */
void head_write_copy(struct out *o, const struct head *h, const struct field *f);
/* All fields of H that are not hop-by-hop, in order, but those whose ids SKIP holds
 * (SKIP[id] true leaves it out); SKIP may be NULL. */
void head_write_end_to_end(struct out *o, const struct head *h, const bool skip[FIELD_NIDS]);
void head_write_end(struct out *o); /* the empty line */
