/* cookie.h - the Cookie field (RFC 6265 5.4): finding one value, whatever else is in it. */
#pragma once
#include "proxy/http/head.h"

/*
 * Value of the first cookie NAME (exact case) in all Cookie fields of H: quotes around it are
 * taken off. False when there is none. Malformed neighbours are stepped over.
 */
bool cookie_find(const struct head *h, struct str name, struct str *value);
/* The same in the text of one field. */
bool cookie_find_in(struct str field, struct str name, struct str *value);
