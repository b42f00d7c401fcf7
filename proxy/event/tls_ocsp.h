/*
 * tls_ocsp.h - OCSP responses that are stapled to a handshake (RFC 6066 8, RFC 6960).
 *
 * They are fetched by somebody else and read from files; a response is only stapled while it
 * says something good of the certificate that it goes with.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

struct tls_staple {
    uint64_t next_update_ms; /* UTC, when it ends; UINT64_MAX: it does not say */
    char fault[128];         /* why it is not to be stapled; empty: it is */
};
/* Whether DER is a response for the leaf of CHAIN (PEM), signed for its issuer when that is in
 * CHAIN too, good, and at NOW_MS not too old. False: not an OCSP response at all. */
bool tls_staple_check(struct str chain, struct str der, uint64_t now_ms,
                      struct tls_staple *s) MUST_CHECK;
