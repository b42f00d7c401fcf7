/*
 * flag_lint.h - what flagd's schema refuses and evaluators take, with null for an answer.
 */
#pragma once

struct json_t;

typedef void flag_lint_cb(void *arg, const char *message);

/* Tell what is odd about FLAG, a definition that compiles. Pure. */
void flag_lint(const struct json_t *flag, flag_lint_cb *cb, void *arg);
/* Metadata of a flag or a set: only texts, numbers and booleans are handed to clients. */
void flag_lint_metadata(const struct json_t *metadata, flag_lint_cb *cb, void *arg);
