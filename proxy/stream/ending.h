/*
 * ending.h - why an exchange ended: one row a reason, and everything that follows from it.
 *
 * X(ID, word of the access log, status to answer if nothing was answered yet (0: just close),
 *   text of that answer, blame)
 */
#pragma once
#include "proxy/base/str.h"

enum blame {
    BLAME_NOBODY,
    BLAME_CLIENT,  /* not judged unless an answer had begun */
    BLAME_VERSION, /* an error of the version, whatever its status said */
    BLAME_PROXY    /* no version was involved */
};

#define ENDINGS(X)                                                                             \
    X(DONE, "done", 0, "", BLAME_NOBODY)                                                       \
    X(CLIENT_ABORT, "client_abort", 0, "", BLAME_CLIENT)                                       \
    X(BAD_REQUEST, "bad_request", 400, "malformed request", BLAME_CLIENT)                      \
    X(BAD_METHOD, "bad_method", 405, "method not allowed", BLAME_CLIENT)                       \
    X(HEAD_TIMEOUT, "head_timeout", 408, "the request took too long to arrive", BLAME_CLIENT)  \
    X(BODY_TIMEOUT, "body_timeout", 408, "the request body stalled", BLAME_CLIENT)             \
    X(SEND_TIMEOUT, "send_timeout", 0, "", BLAME_CLIENT)                                       \
    X(MISDIRECTED, "misdirected", 421, "this host is not served on this connection",           \
      BLAME_CLIENT)                                                                            \
    X(NO_ROUTE, "no_route", 404, "no route for this host and path", BLAME_PROXY)               \
    X(NO_CONFIG, "no_config", 503, "no configuration yet", BLAME_PROXY)                        \
    X(NO_ENDPOINT, "no_endpoint", 503, "no healthy endpoint", BLAME_VERSION)                   \
    X(MAX_REQUESTS, "max_requests", 503, "too many requests at a time", BLAME_PROXY)           \
    X(PENDING_FULL, "pending_full", 503, "too many requests wait for a connection",            \
      BLAME_VERSION)                                                                           \
    X(PENDING_TIMEOUT, "pending_timeout", 503, "no connection became free in time",            \
      BLAME_VERSION)                                                                           \
    X(CONNECT_FAILED, "connect_failed", 502, "cannot connect to the upstream", BLAME_VERSION)  \
    X(CONNECT_TIMEOUT, "connect_timeout", 504, "connecting to the upstream timed out",         \
      BLAME_VERSION)                                                                           \
    X(FIRST_BYTE_TIMEOUT, "first_byte_timeout", 504, "the upstream did not answer in time",    \
      BLAME_VERSION)                                                                           \
    X(TRY_TIMEOUT, "try_timeout", 504, "the upstream did not answer in time", BLAME_VERSION)   \
    X(IDLE_TIMEOUT, "idle_timeout", 504, "the upstream stalled", BLAME_VERSION)                \
    X(REQUEST_TIMEOUT, "request_timeout", 504, "the exchange took longer than its timeout",    \
      BLAME_VERSION)                                                                           \
    X(GRPC_DEADLINE, "grpc_deadline", 504, "the deadline of the call has passed",              \
      BLAME_NOBODY)                                                                            \
    X(UPSTREAM_RESET, "upstream_reset", 502, "the upstream closed the connection",             \
      BLAME_VERSION)                                                                           \
    X(UPSTREAM_BAD, "upstream_bad", 502, "the upstream sent a malformed answer",               \
      BLAME_VERSION)                                                                           \
    X(TUNNEL, "tunnel", 0, "", BLAME_NOBODY)                                                   \
    X(TUNNEL_IDLE, "tunnel_idle", 0, "", BLAME_NOBODY)                                         \
    X(RATE_LIMITED, "rate_limited", 429, "too many requests", BLAME_PROXY)                     \
    X(TOO_BUSY, "too_busy", 503, "too many requests under way", BLAME_PROXY)                   \
    X(OVERLOADED, "overloaded", 503, "the proxy has too much to do", BLAME_PROXY)              \
    X(BODY_TOO_LARGE, "body_too_large", 413, "the request body is too large", BLAME_CLIENT)    \
    X(FAULT, "fault", 503, "a fault was asked for", BLAME_PROXY)                               \
    X(REDIRECTED, "redirected", 0, "", BLAME_PROXY)                                            \
    X(RESPONDED, "responded", 0, "", BLAME_PROXY)                                              \
    X(DRAINED, "drained", 503, "the proxy is going down", BLAME_PROXY)

enum ending {
#define X(id, word, status, text, blame) END_##id,
    ENDINGS(X)
#undef X
        END_COUNT
};

struct ending_row {
    struct str word, text;
    int status;
    enum blame blame;
};
const struct ending_row *ending_row(enum ending e);
