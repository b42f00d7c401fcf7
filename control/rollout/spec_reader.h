/*
 * spec_reader.h - reading a rollout's specification field by field.
 *
 * Private to spec*.c. The JSON pointer is carried along, so that every message says where. An
 * error ends the reading of its field, not of those beside it; a field that is not in the table
 * is one.
 */
#pragma once
#include "control/rollout/spec.h"

#include <jansson.h>

struct spec_reader { /* what is filled, and where errors go */
    struct spec *out;
    struct spec_errors *errs;
};

/* One error more; returns -1. */
int spec_fail(struct spec_reader *rd, const char *pointer, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* PARENT/NAME, cut to its room. */
void spec_at(char pointer[SPEC_POINTER_MAX], const char *parent, const char *name);
void spec_at_index(char pointer[SPEC_POINTER_MAX], const char *parent, size_t index);

/* A field's reader: 0, or -1 with the error filled. TARGET is what the table says. */
typedef int spec_read_fn(struct spec_reader *rd, const char *pointer, const json_t *value,
                         void *target);
struct spec_field {
    const char *name;
    spec_read_fn *read;
    void *target;
};
/* Every member of OBJ must be one of FIELDS; those present are read, in the table's order, all
 * of them. */
int spec_read_object(struct spec_reader *rd, const char *pointer, const json_t *obj,
                     const struct spec_field *fields, size_t n);

spec_read_fn spec_read_duration; /* uint64_t, milliseconds */
spec_read_fn spec_read_flag;     /* bool */
int spec_read_number(struct spec_reader *rd, const char *pointer, const json_t *v, double min,
                     double max, double *out);
/* One of NAMES; its index goes to *OUT, an unsigned or an enum, which is one where none of its
 * values is negative. */
int spec_read_choice(struct spec_reader *rd, const char *pointer, const json_t *v,
                     const char *const *names, size_t n, unsigned *out);

/* TEXT into the spec's room for texts; *OFFSET is what spec_text takes. */
int spec_keep(struct spec_reader *rd, const char *pointer, const char *text, uint32_t *offset);
/* The same of V's compact JSON text. */
int spec_keep_json(struct spec_reader *rd, const char *pointer, const json_t *v,
                   uint32_t *offset);
/* DOC gets what spec_keep_json kept at OFFSET as NAME; nothing for 0. */
void spec_put_json(json_t *doc, const char *name, const struct spec *s, uint32_t offset);
