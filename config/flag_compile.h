/*
 * flag_compile.h - one JSONLogic rule to nodes.
 *
 * Used by flagset.c only. Rules that cannot be compiled leave the program as it was.
 */
#pragma once
#include "config/flag_program.h"
#include "proxy/base/vec.h"

struct json_t;

struct flag_builder {
    struct arena *arena; /* of the set: constants and names */
    VEC(struct flag_node) nodes;
    struct flag_index slots, keys;   /* names in the arena, tables malloc'd until frozen */
    const struct json_t *evaluators; /* object or NULL */
    enum flag_bucketing bucketing;
    size_t copied; /* constants of this rule, in elements */
    char why[256]; /* after a failure */
};

void flag_builder_init(struct flag_builder *b, struct arena *a);
void flag_builder_release(struct flag_builder *b);
/* The number of NAME, new or not. */
uint32_t flag_index_add(struct flag_index *x, struct arena *a, struct str name);
/* Move what X has into A; X can be searched only, from now on. */
void flag_index_freeze(struct flag_index *x, struct arena *a);

/* Root node of RULE of the flag KEY, or FLAG_NO_NODE and b->why. */
uint32_t flag_compile_rule(struct flag_builder *b, struct str key, const struct json_t *rule);
/* A value of the document: integers beyond 2^53-1 are refused as JSON numbers cannot carry
 * them between programs. False and b->why. */
bool flag_compile_value(struct flag_builder *b, const struct json_t *j,
                        struct flag_value *out) MUST_CHECK;
