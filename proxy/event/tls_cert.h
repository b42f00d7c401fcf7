/* tls_cert.h - what a certificate says about itself. */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

/* Of a PEM chain's leaf: until when it is good (ms, UTC), and its names, "a, b", in NAMES. */
bool tls_cert_describe(struct str pem, uint64_t *not_after_ms, char *names,
                       size_t cap) MUST_CHECK;
