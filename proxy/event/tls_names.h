/* tls_names.h - the names in a listener's lists of ciphers and groups, one by one. */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/event/tls_spec.h"

/* The first name in LIST, of FIELD's kind (CIPHERS, SUITES or CURVES), that OpenSSL does not
 * know; it would leave out most of them without a word. Empty: all are known. */
struct str tls_names_unknown(enum tls_field field, struct str list);
/* Names that FIELD may have. Into A; *N of them. */
struct str *tls_names_known(struct arena *a, enum tls_field field, size_t *n);
