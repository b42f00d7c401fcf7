/*
 * http1.h - the HTTP/1.1 that a control API needs: one request's head and body, in place.
 *
 * Pure: no sockets, no clock. Strict (RFC 9112): CRLF only, no folding, no whitespace before a
 * colon, one framing. The proxy's own codec is elsewhere; this one reads whole small requests.
 */
#pragma once
#include "proxy/base/str.h"

#define HTTP1_FIELDS_MAX 64

struct http1_field {
    struct str name, value; /* NUL-terminated in the head's buffer */
};

struct http1_head {
    struct str method, path, query,
        host; /* host: of the target when absolute, else the field */
    struct http1_field fields[HTTP1_FIELDS_MAX];
    size_t nfields;
    int minor; /* HTTP/1.minor: 0 or 1 */
    bool keep_alive, chunked, expect_continue;
    uint64_t length; /* Content-Length; 0 without */
};

/* Bytes of the head at the front of S with its empty line, 0 when it is not whole yet. */
size_t http1_head_size(struct str s);
/*
 * Parse the whole head TEXT[0..N), which is written into (NULs behind tokens) and must stay.
 * 0, or the status to answer with: 400, 431, 501, 505; *WHY is a constant text then.
 */
int http1_parse_head(char *text, size_t n, struct http1_head *h, const char **why);
/* First field of that name, or STR_NONE. */
struct str http1_field(const struct http1_head *h, const char *name);

/* Decoder of one body, by length or chunked. */
struct http1_body {
    bool chunked, done;
    uint64_t left;         /* of the body or of the chunk */
    int state;             /* of the chunk syntax; private */
    unsigned digits;       /* of a chunk size */
    size_t line, overhead; /* bytes of extensions and trailers so far */
};
void http1_body_init(struct http1_body *b, const struct http1_head *h);
/*
 * Take what S holds of the body: a run of content goes to *DATA (a slice of S, maybe empty) and
 * *USED says how much of S is behind us. Call again with the rest until b->done or nothing was
 * used. False: bad chunk syntax.
 */
bool http1_body_take(struct http1_body *b, struct str s, struct str *data, size_t *used);

/* Is HOST (a Host field: name or address, with or without port) this machine's loopback? */
bool http1_host_is_loopback(struct str host);
const char *http1_reason(int status); /* "Not Found"; "Unknown" for what has no name here */
