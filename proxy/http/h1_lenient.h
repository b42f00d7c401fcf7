/*
 * h1_lenient.h - what a listener may be told to take all the same. Private to the parser.
 *
 * Amends the bytes of a request where they lie, so that what anybody reads of it afterwards,
 * and what is forwarded, is canonical.
 */
#pragma once
#include "proxy/http/h1_parse.h"

/* May a request break KIND? If so it is noted that it did. */
bool h1_forgiven(struct h1_parser *p, enum stats_violation kind) MUST_CHECK;
/*
 * The byte at BUF + AT, in the value of field ID, is no CHAR_VALUE: true if it was a CTL that
 * may be there and is now SP (RFC 9110 5.5). CR and LF never are.
 */
bool h1_scrub(struct h1_parser *p, enum field_id id, const char *buf, size_t at) MUST_CHECK;
/*
 * The line in AT..END of BUF begins with a blank: join it to the last field of H by one SP (RFC
 * 9112 5.2). NULL when done, else why it may not be.
 */
const char *h1_unfold(struct h1_parser *p, struct head *h, const char *buf, size_t at,
                      size_t end) MUST_CHECK;
