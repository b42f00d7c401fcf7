/*
 * head.h - the head of a parsed message: who, what, and where its body ends.
 *
 * All text is stored as offsets from `base`, the first byte of the message in the buffer it
 * arrived in: when the owner of that buffer moves the bytes it calls head_rebase and nothing
 * else. A head is a value, filled by a codec (h1_parse), read-only for everyone above.
 *
 * What the codec promises: every name is a token, every value free of CTL but HTAB and
 * trimmed; exactly one framing holds; a request has one valid authority (HTTP/1.0: or none).
 */
#pragma once
#include "proxy/http/field.h"

#define HEAD_MAX_BYTES  65536 /* of a head on the wire, with its last CRLF */
#define HEAD_MAX_LINE   16384 /* of one line, without its CRLF */
#define HEAD_MAX_FIELDS 128
#define HEAD_MAX_METHOD 32

#define METHOD_LIST(X)                                                                         \
    X(GET) X(HEAD) X(POST) X(PUT) X(PATCH) X(DELETE) X(OPTIONS) X(TRACE) X(CONNECT)
enum method {
    METHOD_OTHER, /* any other token: forwarded as it is */
#define X(m) METHOD_##m,
    METHOD_LIST(X)
#undef X
        METHOD_COUNT
};

enum framing {
    FRAMING_NONE,    /* the message ends with its head */
    FRAMING_LENGTH,  /* `length` bytes, possibly 0 */
    FRAMING_CHUNKED, /* RFC 9112 7.1 */
    FRAMING_CLOSE    /* responses only: until the connection ends */
};

struct span {
    uint32_t at, n; /* offset from the head's base, length */
};

struct field {
    uint32_t name_at, value_at;
    uint16_t name_n, value_n;
    uint8_t id; /* enum field_id */
    bool hop;   /* not to be forwarded: hop-by-hop, or named by Connection */
};

struct head {
    const char *base; /* borrowed */
    uint32_t size;    /* bytes of the head on the wire */
    uint16_t nfields;
    uint16_t status; /* responses: 100..599 */
    uint8_t method;  /* requests: enum method */
    uint8_t minor;   /* of HTTP/1.x: 0 or 1 */
    uint8_t framing; /* enum framing */
    bool keep_alive; /* the sender is willing to keep the connection */
    bool expect;     /* request: Expect: 100-continue with a body still to come */
    bool upgrade;  /* a WebSocket upgrade asked for by a request that may, or agreed to (101) */
    bool trailers; /* request: TE: trailers, the client takes trailer fields */
    uint64_t length; /* FRAMING_LENGTH */
    struct span method_text;
    struct span target;    /* as received */
    struct span authority; /* host[:port]: of an absolute target, else of Host; see below */
    struct span path;      /* path and query of the target; see head_path */
    struct span reason;
    struct field fields[HEAD_MAX_FIELDS]; /* in order of arrival */
    uint8_t first[FIELD_NIDS];            /* 1 + index of the first field with an id, or 0 */
};

static inline struct str head_span(const struct head *h, struct span s)
{
    return (struct str){h->base + s.at, s.n};
}

static inline struct str head_name(const struct head *h, const struct field *f)
{
    return (struct str){h->base + f->name_at, f->name_n};
}

static inline struct str head_value(const struct head *h, const struct field *f)
{
    return (struct str){h->base + f->value_at, f->value_n};
}

/* The buffer moved: the message now begins at BASE. */
static inline void head_rebase(struct head *h, const char *base)
{
    h->base = base;
}

static inline bool head_has(const struct head *h, enum field_id id)
{
    return h->first[id] != 0;
}

/* Value of the first field with ID; empty (p NULL) when there is none. */
static inline struct str head_get(const struct head *h, enum field_id id)
{
    return h->first[id] ? head_value(h, &h->fields[h->first[id] - 1]) : STR_NONE;
}

void head_reset(struct head *h); /* empty, ready to be filled; fields[] is left alone */

/* First field called NAME (any case), known or not, at index FROM or later; NULL: none. For
 * all of them: f = head_find(h, name, 0), then f - h->fields + 1 as the next FROM. */
const struct field *head_find(const struct head *h, struct str name, size_t from);

/*
 * Path and query to route on and to forward, origin-form. An absolute target without a path
 * gives "" or "?query" (head_write_request puts the "/" before it); "*" of OPTIONS is "*".
 */
static inline struct str head_path(const struct head *h)
{
    return head_span(h, h->path);
}

/* What to forward as Host and to route on: an absolute target beats a Host that differs
 * (RFC 9112 3.2.2). Empty for an HTTP/1.0 request that has neither. */
static inline struct str head_authority(const struct head *h)
{
    return head_span(h, h->authority);
}

/* GET, HEAD, OPTIONS, TRACE, PUT, DELETE (RFC 9110 9.2.2). */
bool method_idempotent(enum method m);
struct str method_name(enum method m);  /* empty for METHOD_OTHER */
enum method method_of(struct str text); /* case-sensitive */
