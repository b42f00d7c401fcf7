/* httpd_text.h - what the control API's server reads out of text. Pure. */
#pragma once
#include "proxy/base/str.h"

/* Is AUTHORITY (host[:port]) a name or address of this machine's loopback? */
bool httpd_is_loopback(struct str authority);
