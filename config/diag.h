/*
 * diag.h - how the parts of config/ report mistakes.
 *
 * A mistake is bound to a node and to its key or its value, from which file, line, column,
 * pointer and excerpt follow. Collecting goes on after a mistake; diags_finish puts all of them
 * in the order of the files and cuts the list to what a person can read.
 */
#pragma once
#include "config/conf.h"
#include "config/node.h"

enum diag_where { AT_VALUE, AT_KEY };

#define DIAGS_SHOWN 100  /* in the finished list */
#define DIAGS_KEPT  1000 /* collected at most */

/* DIAG is about the value N: its file, line and excerpt. Nothing, if N has no place. */
void diag_place(struct conf_diags *d, struct conf_diag *diag, const struct node *n);

/* Returns the entry, valid until the next one is added, or NULL above DIAGS_KEPT. */
struct conf_diag *diag_at(struct conf_diags *d, const struct node *n, enum diag_where where,
                          const char *fmt, ...) PRINTF_LIKE(4, 5);
/* A mistake at a byte offset of S, outside of any node: syntax. */
struct conf_diag *diag_syntax(struct conf_diags *d, const struct source *s, size_t at,
                              const char *fmt, ...) PRINTF_LIKE(4, 5);
/* A mistake of a whole file. */
void diag_file(struct conf_diags *d, struct str file, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* DIAG may be NULL. */
void diag_hint(struct conf_diags *d, struct conf_diag *diag, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* "FILE:LINE" or "FILE:LINE:COLUMN"-like name of where N stands, for "first given at …". */
struct str diag_where(struct conf_diags *d, const struct node *n);
/* "did you mean …?" when one of NAMES is near WORD. */
void diag_suggest(struct conf_diags *d, struct conf_diag *diag, struct str word,
                  const struct str *names, size_t n);
void diags_finish(struct conf_diags *d);
