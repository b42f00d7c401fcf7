/*
 * uri.h - authorities, paths and queries (RFC 3986), for routing and forwarding.
 *
 * What is routed on is the normal form of the path, and that is what is forwarded.
 * A target whose two readings could differ (%00, a backslash, CTL) is refused.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

struct uri_authority {
    struct str host; /* as written; an IPv6 literal with its brackets; never empty */
    uint16_t port;   /* 0: none given */
};

/* "host", "host:port", "[v6]:port" (RFC 9110 7.2); userinfo, empty host, comma, a port that is
 * empty or above 65535: false. */
bool uri_authority_parse(struct str s, struct uri_authority *a) MUST_CHECK;
/* Host of A in lower case without a final dot, into OUT (at most CAP bytes, no NUL); its slice
 * of OUT. Cut at CAP: 256 hold every name that DNS knows. */
struct str uri_host_lower(struct str host, char *out, size_t cap);

/* Split "path?query"; QUERY is without "?" and has p NULL when there is none. */
void uri_split(struct str target, struct str *path, struct str *query);

enum uri_path {
    URI_PATH_OK,
    URI_PATH_BAD, /* CTL, backslash, %00, a broken escape, or not beginning with "/" */
    URI_PATH_LONG /* longer than CAP */
};
/*
 * The path to route on, into OUT (CAP bytes, PATH.n + 1 always suffice): unreserved escapes
 * decoded, other escapes in upper case, dot segments removed ("/a/../b" is "/b"; also as
 * "%2e"). Escaped reserved characters, "%2F" among them, stay escaped; "//" and ";" stay as
 * they are. "" becomes "/", "*" stays "*". PATH is without a query.
 */
enum uri_path uri_path_normalise(struct str path, char *out, size_t cap,
                                 struct str *normal) MUST_CHECK;

int uri_hex(char c); /* 0..15, or -1 */
/* Decode every escape of S into OUT (CAP >= S.n); broken escapes stay. "+" is not a space. */
struct str uri_decode(struct str s, char *out, size_t cap);
