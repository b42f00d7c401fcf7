/* status.h - status codes and their reason phrases (RFC 9110 15). */
#pragma once
#include "proxy/base/str.h"

/* "Not Found"; for a code without a phrase of its own that of its class; 100..599. */
struct str status_reason(int status);
/* No body whatever the fields say: 1xx, 204, 304. */
static inline bool status_bodyless(int status)
{
    return status < 200 || status == 204 || status == 304;
}
