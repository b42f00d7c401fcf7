/*
 * writer.h - JSON text, written front to back.
 *
 * A value directly inside an object takes its KEY; inside an array or at the top KEY is
 * STR_NONE. Strings come out as valid UTF-8 whatever went in (U+FFFD for bad bytes).
 */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/base/check.h"

struct writer {
    char *p;
    size_t n, cap;
    unsigned indent; /* blanks a level; 0: all on one line */
    unsigned depth;
    bool fresh;    /* nothing written yet in the innermost object or array */
    unsigned flat; /* depth at which writer_flat began; 0: not flat */
};

void writer_init(struct writer *w, unsigned indent);
void writer_open(struct writer *w, struct str key, char bracket); /* '{' or '[' */
void writer_close(struct writer *w, char bracket);                /* '}' or ']' */
/* As writer_open, but everything inside stays on one line. */
void writer_open_flat(struct writer *w, struct str key, char bracket);
void writer_text(struct writer *w, struct str key, struct str text);
void writer_uint(struct writer *w, struct str key, uint64_t number);
void writer_bool(struct writer *w, struct str key, bool value);
/* VALUE is JSON already. */
void writer_raw(struct writer *w, struct str key, struct str value);
/* Bytes as they are, outside of any JSON structure. */
void writer_put(struct writer *w, struct str bytes);
void writer_printf(struct writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The text, NUL-terminated; the writer is empty after. Malloc'd (xfree). */
char *writer_take(struct writer *w);
struct str writer_take_arena(struct writer *w, struct arena *a);
