/* match.h - paths of the route table against paths of requests. Pure. */
#pragma once
#include "proxy/base/str.h"

#define MATCH_PARAMS 4

struct match_param {
    struct str name; /* of the pattern */
    struct str text; /* of the path, as sent */
};
struct match {
    struct match_param params[MATCH_PARAMS];
    size_t n;
};

/*
 * PATTERN's segments are literal, "{name}", or "{name}:verb", which takes a segment that ends
 * in
 * ":verb" and has something before it. True: M has the parameters, not decoded.
 */
bool match_path(struct str pattern, struct str path, struct match *m);
