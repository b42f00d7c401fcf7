/*
 * digest.h - SHA-256, for what must be tamper-evident.
 *
 * Fields are length-prefixed by digest_field, so that ("ab", "c") and ("a", "bc") differ.
 */
#pragma once
#include "proxy/base/str.h"

#define DIGEST_HEX 65 /* 64 lower-case hex digits and NUL */

struct digest;

struct digest *digest_new(void);
void digest_field(struct digest *d,
                  struct str field); /* 8-byte big-endian length, then bytes */
/* The digest of all fields; frees D. Returns HEX. */
const char *digest_finish(struct digest *d, char hex[DIGEST_HEX]);
