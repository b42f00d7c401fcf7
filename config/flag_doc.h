/*
 * flag_doc.h - flagd documents to flag-set snapshots, as JSON.
 *
 * For the controller and the offline evaluator: who evaluates reads flagset.h.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

struct json_t;

/*
 * A flag-set snapshot (format, flags, evaluators, metadata; the rest is the caller's) of a
 * flagd document, whose flags may be a map or an array with "key"s; of two with the same key
 * the later counts. Text that is a snapshot already passes as it is. A new reference, or NULL
 * and a malloc'd reason in *WHY (xfree).
 */
struct json_t *flag_doc_parse(struct str text, char **why) MUST_CHECK;
