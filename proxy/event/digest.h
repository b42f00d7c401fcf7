/*
 * digest.h - SHA-256, for what must be tamper-evident, and SHA-1, where a protocol wants it.
 *
 * Fields are length-prefixed by digest_field, so that ("ab", "c") and ("a", "bc") differ.
 */
#pragma once
#include "proxy/base/str.h"

#define DIGEST_HEX  65 /* 64 lower-case hex digits and NUL */
#define DIGEST_SHA1 20 /* bytes */

struct digest;

struct digest *digest_new(void);
void digest_field(struct digest *d,
                  struct str field); /* 8-byte big-endian length, then bytes */
/* The digest of all fields; frees D. Returns HEX. */
const char *digest_finish(struct digest *d, char hex[DIGEST_HEX]);

/* No secret rests on this one: it is broken. */
void digest_sha1(struct str text, uint8_t sum[DIGEST_SHA1]);
