/*
 * h1_facts.h - what a complete request line and a complete head mean: target form, framing,
 * authority, connection (RFC 9112 3.2, 6, 9). Private to the parser.
 */
#pragma once
#include "proxy/http/h1_parse.h"

/* Write down why the message is refused; an upstream's is always a 502. */
void h1_refuse(struct h1_parser *p, int status, enum stats_violation kind, const char *why);
/* Method and target of a request line: false when refused. Sets method, path, authority. */
bool h1_check_target(struct h1_parser *p, struct head *h) MUST_CHECK;
/* All fields are in: false when refused. Sets what head.h derives from them. */
bool h1_check_head(struct h1_parser *p, struct head *h) MUST_CHECK;
