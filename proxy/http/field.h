/*
 * field.h - the header fields this proxy knows, as small integers.
 *
 * One row a field, in order of length (field_id relies on it, a unit test checks it); within a
 * length the commonest first. To know one more field, add its row here and nothing else.
 */
#pragma once
#include "proxy/base/str.h"

/* What is special about a field; more than one may hold. */
enum field_traits {
    FIELD_HOP = 1,        /* ends here: never forwarded (RFC 9110 7.6.1) */
    FIELD_KEEP = 2,       /* a Connection option does not remove it */
    FIELD_FRAMING = 4,    /* decides where a message ends */
    FIELD_NO_TRAILER = 8, /* dropped from trailers (RFC 9110 6.5.1) */
    FIELD_ORIGIN = 16,    /* says who the client is: only trusted peers may send it */
    FIELD_TWIN = 32,      /* a name that only looks like it is refused: see field_twin */
    FIELD_ONCE = 64,      /* at most one line in a message */
};

/* X(A, ID, "name", traits); A is handed through. */
#define FIELD_LIST(X, A)                                                                       \
    X(A, TE, "te", FIELD_HOP | FIELD_NO_TRAILER | FIELD_KEEP)                                  \
    X(A, AGE, "age", 0)                                                                        \
    X(A, VIA, "via", FIELD_KEEP)                                                               \
    X(A, HOST, "host", FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ONCE | FIELD_TWIN)                \
    X(A, DATE, "date", FIELD_NO_TRAILER)                                                       \
    X(A, ETAG, "etag", 0)                                                                      \
    X(A, VARY, "vary", FIELD_NO_TRAILER)                                                       \
    X(A, FROM, "from", 0)                                                                      \
    X(A, RANGE, "range", FIELD_NO_TRAILER)                                                     \
    X(A, ALLOW, "allow", 0)                                                                    \
    X(A, ACCEPT, "accept", 0)                                                                  \
    X(A, COOKIE, "cookie", FIELD_KEEP | FIELD_NO_TRAILER)                                      \
    X(A, ORIGIN_, "origin", 0)                                                                 \
    X(A, SERVER, "server", 0)                                                                  \
    X(A, EXPECT, "expect", FIELD_NO_TRAILER)                                                   \
    X(A, PRAGMA, "pragma", FIELD_NO_TRAILER)                                                   \
    X(A, REFERER, "referer", 0)                                                                \
    X(A, UPGRADE, "upgrade", FIELD_HOP | FIELD_NO_TRAILER)                                     \
    X(A, TRAILER, "trailer", FIELD_HOP | FIELD_NO_TRAILER)                                     \
    X(A, EXPIRES, "expires", FIELD_NO_TRAILER)                                                 \
    X(A, WARNING, "warning", 0)                                                                \
    X(A, BAGGAGE, "baggage", FIELD_KEEP)                                                       \
    X(A, LOCATION, "location", FIELD_NO_TRAILER)                                               \
    X(A, IF_MATCH, "if-match", FIELD_NO_TRAILER)                                               \
    X(A, IF_RANGE, "if-range", FIELD_NO_TRAILER)                                               \
    X(A, FORWARDED, "forwarded", FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ORIGIN)                 \
    X(A, X_REAL_IP, "x-real-ip", FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ORIGIN | FIELD_TWIN)    \
    X(A, CONNECTION, "connection", FIELD_HOP | FIELD_NO_TRAILER)                               \
    X(A, USER_AGENT, "user-agent", 0)                                                          \
    X(A, KEEP_ALIVE, "keep-alive", FIELD_HOP | FIELD_NO_TRAILER)                               \
    X(A, SET_COOKIE, "set-cookie", FIELD_KEEP | FIELD_NO_TRAILER)                              \
    X(A, EARLY_DATA, "early-data", FIELD_NO_TRAILER)                                           \
    X(A, TRACESTATE, "tracestate", FIELD_KEEP)                                                 \
    X(A, RETRY_AFTER, "retry-after", FIELD_NO_TRAILER)                                         \
    X(A, TRACEPARENT, "traceparent", FIELD_KEEP)                                               \
    X(A, GRPC_STATUS, "grpc-status", 0)                                                        \
    X(A, CONTENT_TYPE, "content-type", FIELD_NO_TRAILER)                                       \
    X(A, X_REQUEST_ID, "x-request-id", FIELD_KEEP | FIELD_NO_TRAILER)                          \
    X(A, GRPC_TIMEOUT, "grpc-timeout", FIELD_NO_TRAILER)                                       \
    X(A, MAX_FORWARDS, "max-forwards", FIELD_NO_TRAILER)                                       \
    X(A, CACHE_CONTROL, "cache-control", FIELD_NO_TRAILER)                                     \
    X(A, AUTHORIZATION, "authorization", FIELD_KEEP | FIELD_NO_TRAILER)                        \
    X(A, ACCEPT_RANGES, "accept-ranges", 0)                                                    \
    X(A, LAST_MODIFIED, "last-modified", 0)                                                    \
    X(A, IF_NONE_MATCH, "if-none-match", FIELD_NO_TRAILER)                                     \
    X(A, CONTENT_RANGE, "content-range", FIELD_NO_TRAILER)                                     \
    X(A, CONTENT_LENGTH, "content-length",                                                     \
      FIELD_KEEP | FIELD_FRAMING | FIELD_NO_TRAILER | FIELD_ONCE | FIELD_TWIN)                 \
    X(A, X_FORWARDED_BY, "x-forwarded-by",                                                     \
      FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ORIGIN | FIELD_TWIN)                               \
    X(A, ACCEPT_CHARSET, "accept-charset", 0)                                                  \
    X(A, ACCEPT_ENCODING, "accept-encoding", 0)                                                \
    X(A, ACCEPT_LANGUAGE, "accept-language", 0)                                                \
    X(A, X_FORWARDED_FOR, "x-forwarded-for",                                                   \
      FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ORIGIN | FIELD_TWIN)                               \
    X(A, X_SLUICE_MIRROR, "x-sluice-mirror", FIELD_KEEP | FIELD_NO_TRAILER)                    \
    X(A, CONTENT_ENCODING, "content-encoding", FIELD_NO_TRAILER)                               \
    X(A, CONTENT_LANGUAGE, "content-language", 0)                                              \
    X(A, CONTENT_LOCATION, "content-location", 0)                                              \
    X(A, X_FORWARDED_HOST, "x-forwarded-host",                                                 \
      FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ORIGIN | FIELD_TWIN)                               \
    X(A, X_FORWARDED_PORT, "x-forwarded-port",                                                 \
      FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ORIGIN | FIELD_TWIN)                               \
    X(A, PROXY_CONNECTION, "proxy-connection", FIELD_HOP | FIELD_NO_TRAILER)                   \
    X(A, WWW_AUTHENTICATE, "www-authenticate", FIELD_NO_TRAILER)                               \
    X(A, TRANSFER_ENCODING, "transfer-encoding",                                               \
      FIELD_HOP | FIELD_FRAMING | FIELD_NO_TRAILER | FIELD_KEEP | FIELD_TWIN)                  \
    X(A, X_FORWARDED_PROTO, "x-forwarded-proto",                                               \
      FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ORIGIN | FIELD_TWIN)                               \
    X(A, SEC_WEBSOCKET_KEY, "sec-websocket-key", 0)                                            \
    X(A, IF_MODIFIED_SINCE, "if-modified-since", FIELD_NO_TRAILER)                             \
    X(A, PROXY_AUTHENTICATE, "proxy-authenticate", FIELD_NO_TRAILER)                           \
    X(A, X_FORWARDED_PREFIX, "x-forwarded-prefix",                                             \
      FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ORIGIN | FIELD_TWIN)                               \
    X(A, CONTENT_DISPOSITION, "content-disposition", 0)                                        \
    X(A, IF_UNMODIFIED_SINCE, "if-unmodified-since", FIELD_NO_TRAILER)                         \
    X(A, PROXY_AUTHORIZATION, "proxy-authorization", FIELD_KEEP | FIELD_NO_TRAILER)            \
    X(A, SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", 0)                                      \
    X(A, X_CLIENT_CERT_SUBJECT, "x-client-cert-subject",                                       \
      FIELD_KEEP | FIELD_NO_TRAILER | FIELD_ORIGIN | FIELD_TWIN)                               \
    X(A, UPGRADE_INSECURE_REQUESTS, "upgrade-insecure-requests", 0)

#define FIELD_NAME_MAX 256 /* bytes of a field name that is accepted */

enum field_id {
    FIELD_OTHER, /* not in the list */
#define X(a, id, name, traits) FIELD_##id,
    FIELD_LIST(X, )
#undef X
        FIELD_NIDS
};

/* The id of NAME, which must be a token; any case. FIELD_OTHER when it is not in the list. */
enum field_id field_id(struct str name);
/* Its name in lower case; empty for FIELD_OTHER. */
struct str field_name(enum field_id id);
unsigned field_traits(enum field_id id); /* of enum field_traits; 0 for FIELD_OTHER */
/*
 * The field with FIELD_TWIN that NAME (a token not in the list) could be taken for: their
 * letters are the same ("Transfer_Encoding", "X.Forwarded.For", "ContentLength"). Digits make a
 * difference, but not from a field that frames. FIELD_OTHER: none.
 */
enum field_id field_twin(struct str name);

bool field_name_ok(struct str name);   /* 1..FIELD_NAME_MAX token characters */
bool field_value_ok(struct str value); /* no CTL but HTAB, no SP or HTAB at the ends */
/*
 * Take the next element off a comma-separated list of tokens ("close, TE"), trimmed; empty
 * elements are skipped. False at the end.
 */
bool field_list_next(struct str *rest, struct str *element);
