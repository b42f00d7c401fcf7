/* h2_out.h - fields on their way into an HTTP/2 header block, as nghttp2 wants them. */
#pragma once
#include "proxy/http/field.h"

#include <nghttp2/nghttp2.h>

struct h2_out {     /* zeroed: empty. Grows to what its largest head needed */
    nghttp2_nv *nv; /* owned; names and values are borrowed */
    size_t n, cap;
};
void h2_out_release(struct h2_out *o);
/* Empty it, with room for N fields. */
void h2_out_begin(struct h2_out *o, size_t n);
void h2_out_add(struct h2_out *o, struct str name, struct str value); /* there is room */
/* Those in LINES, which are good "name: value\r\n" lines; without what HTTP/2 does not have. */
void h2_out_lines(struct h2_out *o, struct str lines);
size_t h2_out_count(struct str lines);
/* It is about one HTTP/1 connection (RFC 9113 8.2.2). */
bool h2_out_of_http1(enum field_id id);
