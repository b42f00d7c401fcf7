/*
 * header.h - which header fields an operator may write.
 *
 * Fields that frame a message, belong to one hop, or say who the client is are the proxy's own;
 * so is every name that something upstream could take for one of them ("Transfer_Encoding").
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

#define HEADER_VALUE_MAX 4096 /* bytes */

/* NULL: NAME may be set, added and removed. Otherwise what is wrong with it. */
const char *header_error(struct str name);
/* VALUE, which has no control characters, has no blanks at its ends and is not too long. */
bool header_value_ok(struct str value);
