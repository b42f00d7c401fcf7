/* predicate.h - what a request must have besides host and path: methods, fields, cookies,
 * query. */
#pragma once
#include "config/model.h"
#include "proxy/http/head.h"

/* All N matches hold for H. Of fields and parameters with one name any may match. */
bool predicate_all(const struct conf_match *matches, size_t n, const struct head *h);
/* The method of H is one of the N. */
bool predicate_method(const struct str *methods, size_t n, const struct head *h);
/* The methods and matches of R hold for H. Its flag is somebody else's question. */
bool predicate_route(const struct conf_route *r, const struct head *h);
