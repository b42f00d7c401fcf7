/*
 * flag_context.h - flags on the request path: what rules may ask about a request, predicates
 * of routes, and the fields that tell upstreams which variants were chosen.
 */
#pragma once
#include "proxy/stream/stream.h"

/* Before the calls below, in the same turn; s->host and s->path are set. */
void flag_context_begin(struct stream *s);
bool flag_context_route(void *stream, const struct conf_route *r); /* router_holds_cb */
/* "X-Flag-<key>: <variant>\r\n" lines, in the stream's arena; at most FLAG_LINES_MAX bytes, the
 * flags that are first in the set come first and those that do not fit are left out. */
#define FLAG_LINES_MAX 4096
struct str flag_context_lines(struct stream *s);
/* Count what FLAG, which was evaluated, gave; once a request, however often it is asked for. */
void flag_context_count(struct plane *p, int flag);
