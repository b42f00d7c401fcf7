/* signature.h - proof to a receiver that a text comes from who shares its secret (RFC 2104). */
#pragma once
#include "proxy/base/str.h"

#define SIGNATURE_HEX 65 /* 64 lower-case hex digits and NUL */

/* HMAC-SHA256 of TEXT under SECRET. Returns HEX. */
const char *signature_write(struct str secret, struct str text, char hex[SIGNATURE_HEX]);
