/*
 * flag_json.h - JSON text to flag values, on the request path.
 *
 * RFC 8259, and strict where programs disagree: UTF-8 is checked, lone surrogates, U+0000 in
 * text and numbers that a double cannot hold are refused. Of members with the same name the
 * last counts. Bounded: FLAG_JSON_DEPTH levels, FLAG_JSON_VALUES values in a document.
 */
#pragma once
#include "config/flag_value.h"
#include "proxy/base/check.h"
#include "proxy/base/vec.h"

#define FLAG_JSON_DEPTH  64
#define FLAG_JSON_VALUES 10000

struct flag_json { /* kept between documents, so that parsing allocates nothing any more */
    VEC(struct flag_member) stack;
    const char *why; /* after a failure: static text */
    size_t at;       /* and where, in bytes from the beginning */
};

/* False: j->why. What OUT refers to lies in TEXT, which must stay, or in A. */
bool flag_json_parse(struct flag_json *j, struct arena *a, struct str text,
                     struct flag_value *out) MUST_CHECK;
/* Bytes of the UTF-8 sequence that begins at P, which is none of ASCII; 0: it is none. */
unsigned flag_json_utf8(const char *p, const char *end);
void flag_json_release(struct flag_json *j);
