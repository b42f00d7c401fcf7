/*
 * expand.h - ${ENV:NAME}, ${ENV:NAME:-default}, ${FILE:/path}, ${CRED:name} inside strings.
 *
 * "$${" stands for "${" itself. What comes out of a FILE or CRED is secret.
 */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/base/check.h"

#define EXPAND_FILE_MAX (64u << 10)

struct expansion {
    struct str text;
    struct str shown;       /* TEXT with "***" for secrets; .p == NULL: nothing secret in it */
    struct str error, hint; /* when expand() fails */
};

/*
 * Expand S into A. LOOKUP false: variables are refused, only "$${" is undone. DIR is where a
 * relative FILE path starts. False: OUT->error says why.
 */
bool expand(struct arena *a, struct str s, bool lookup, struct str dir,
            struct expansion *out) MUST_CHECK;
/* The inverse for text without variables: "${" -> "$${". Into A, or S itself. */
struct str expand_escape(struct arena *a, struct str s);
