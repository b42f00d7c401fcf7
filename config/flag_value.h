/*
 * flag_value.h - the values that flag rules compute with: JSON, borrowed.
 *
 * A value never owns: text and elements belong to the flag set, to the evaluation context or to
 * the scratch room of one evaluation.
 */
#pragma once
#include "proxy/base/arena.h"

enum flag_kind {
    FLAG_NULL, /* null, or not there */
    FLAG_BOOL,
    FLAG_NUMBER,
    FLAG_STRING, /* UTF-8 */
    FLAG_ARRAY,
    FLAG_OBJECT
};

struct flag_member;
struct flag_value {
    enum flag_kind kind;
    uint32_t n; /* elements of an array, members of an object */
    union {
        bool boolean;
        double number;
        struct str text;
        const struct flag_value *items;
        const struct flag_member *members;
    };
};
struct flag_member {
    struct str name;
    struct flag_value value;
};

static inline struct flag_value flag_text(struct str s)
{
    return (struct flag_value){.kind = FLAG_STRING, .text = s};
}

static inline struct flag_value flag_number(double n)
{
    return (struct flag_value){.kind = FLAG_NUMBER, .number = n};
}

static inline struct flag_value flag_bool(bool b)
{
    return (struct flag_value){.kind = FLAG_BOOL, .boolean = b};
}

#define FLAG_VALUE_NULL ((struct flag_value){.kind = FLAG_NULL})

/*
 * What PATH ("user.level", "groups.0") leads to below ROOT. False: nothing there. The empty
 * path is ROOT itself. A path that leads nowhere is tried as the whole name of a member of
 * ROOT: a flat context may have a member "http.method".
 */
bool flag_value_at(const struct flag_value *root, struct str path, struct flag_value *out);

struct json_t;
/* A copy of J in A. False: deeper than 64 levels. */
bool flag_value_from_json(struct arena *a, const struct json_t *j, struct flag_value *out);
/* The same for a JSON text, any value at the top. False: not JSON, or too deep. */
bool flag_value_parse(struct arena *a, struct str text, struct flag_value *out);
