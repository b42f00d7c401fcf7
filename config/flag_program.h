/*
 * flag_program.h - a compiled flag set, as the evaluator reads it.
 *
 * All rules of a set are one array of nodes; the children of a node lie side by side. A rule is
 * a tree at most FLAG_DEPTH deep, checked at compile, so that evaluation needs no depth
 * counter. Attributes of the request are *slots*, numbered across the set. Nothing changes
 * after compile.
 */
#pragma once
#include "config/flag_bucket.h"
#include "config/flagset.h"

#define FLAG_DEPTH         64
#define FLAG_MAX_NODES     10000  /* of one rule, references resolved */
#define FLAG_MAX_CONSTANTS 100000 /* of one rule, references resolved */
#define FLAG_NO_NODE       UINT32_MAX
#define FLAG_SLOT_KEY      0 /* the slot of "targetingKey", in every set */
#define FLAG_NO_VARIANT    (-1)

/* X(operator, name in rules). "var", "$ref" and literals are compiled to the ones without. */
#define FLAG_OPERATORS(X)                                                                      \
    X(IF, "if")                                                                                \
    X(IF_SHORT, "?:")                                                                          \
    X(AND, "and")                                                                              \
    X(OR, "or")                                                                                \
    X(NOT, "!")                                                                                \
    X(TRUTHY, "!!")                                                                            \
    X(EQ, "==")                                                                                \
    X(NE, "!=")                                                                                \
    X(STRICT_EQ, "===")                                                                        \
    X(STRICT_NE, "!==")                                                                        \
    X(LT, "<")                                                                                 \
    X(LE, "<=")                                                                                \
    X(GT, ">")                                                                                 \
    X(GE, ">=")                                                                                \
    X(IN, "in")                                                                                \
    X(ADD, "+")                                                                                \
    X(SUB, "-")                                                                                \
    X(MUL, "*")                                                                                \
    X(DIV, "/")                                                                                \
    X(MOD, "%")                                                                                \
    X(MIN, "min")                                                                              \
    X(MAX, "max")                                                                              \
    X(CAT, "cat")                                                                              \
    X(SUBSTR, "substr")                                                                        \
    X(MERGE, "merge")                                                                          \
    X(MISSING, "missing")                                                                      \
    X(MISSING_SOME, "missing_some")                                                            \
    X(MAP, "map")                                                                              \
    X(FILTER, "filter")                                                                        \
    X(REDUCE, "reduce")                                                                        \
    X(ALL, "all")                                                                              \
    X(SOME, "some")                                                                            \
    X(NONE, "none")                                                                            \
    X(STARTS_WITH, "starts_with")                                                              \
    X(ENDS_WITH, "ends_with")                                                                  \
    X(SEM_VER, "sem_ver")                                                                      \
    X(FRACTIONAL, "fractional")

enum flag_op {
    FLAG_OP_CONST, /* value */
    FLAG_OP_SLOT,  /* slot; a child is the default */
    FLAG_OP_LOCAL, /* path below the element that an iteration is at; a child is the default */
    FLAG_OP_VAR,   /* children: a computed path, the default; `local` as above */
    FLAG_OP_NOW,   /* Unix seconds */
    FLAG_OP_LIST,  /* an array of its children */
#define X(op, name) FLAG_OP_##op,
    FLAG_OPERATORS(X)
#undef X
        FLAG_NOPS
};

enum flag_bucketing { /* generations of FRACTIONAL (flag_fractional.h) */
                      FLAG_BUCKETING_V2,
                      FLAG_BUCKETING_V1,
                      FLAG_BUCKETING_V3,
                      FLAG_BUCKETING_UNKNOWN /* only while a set is compiled: rules with
                                                FRACTIONAL are bad */
};

struct flag_node {
    uint8_t op;
    bool local; /* inside map, filter, reduce, all, some or none */
    uint16_t nkids;
    uint32_t kids; /* index of the first child */
    union {
        struct flag_value value;
        struct str path;
        uint32_t slot;
        const struct flag_buckets *buckets; /* FRACTIONAL; NULL: they have to be computed */
    };
};

struct flag_variant {
    struct str name;
    struct str json;     /* its value, rendered */
    struct str answer;   /* of OFREP: ,"value":…,"variant":"…" */
    enum flag_kind kind; /* of its value */
    bool header_safe;    /* NAME may stand in a field value as it is */
    uint32_t cell;       /* row of stats_slab.flag_evaluations; 0: one of those without */
};

struct flag_override {
    int variant;     /* FLAG_NO_VARIANT: no override */
    uint64_t until;  /* Unix seconds; 0: for ever */
    uint32_t target; /* node that says for whom, or FLAG_NO_NODE: everybody */
};

struct flag_need { /* another flag must have VARIANT for the same request, or (differs) not */
    struct str key, variant;
    int flag; /* of the set; -1: it is not there, which satisfies nothing */
    bool differs;
};

struct flag_guard {       /* flag_guard.h */
    uint64_t from, until; /* Unix seconds, [from, until); 0: open */
    struct flag_need *needs;
    size_t nneeds;
};

struct flag_def {
    struct str key;
    struct str quarantine; /* reason, or empty */
    struct str metadata;   /* JSON object, or empty */
    struct str set_id;     /* "flagSetId" of the metadata, or empty */
    /* Of OFREP's answer: {"key":"…" and what ends it: metadata with an operator's override or
     * without, or the reason of the quarantine. */
    struct str opening, closing, closing_override, closing_unsatisfied, closing_failed;
    bool enabled;
    uint32_t cell;                  /* of answers without a variant; as in flag_variant */
    const struct flag_guard *guard; /* NULL: none */
    const struct flag_variant *variants;
    int nvariants;
    int default_variant; /* FLAG_NO_VARIANT: the code default */
    uint32_t rule;       /* root node, or FLAG_NO_NODE */
    struct flag_override override;
};

/* Names to small numbers, in order of arrival. */
struct flag_index {
    uint32_t *bucket; /* number + 1; 0: free */
    uint32_t mask;
    struct str *names;
    uint32_t n;
};
uint32_t flag_index_find(const struct flag_index *x, struct str name); /* UINT32_MAX: none */

struct flagset {
    unsigned refs;
    struct arena arena;
    uint64_t sequence;
    const struct flag_def *flags; /* by number of their key in `keys` */
    const struct flag_node *nodes;
    struct flag_index keys, slots;
    enum flag_bucketing bucketing;
    struct str metadata; /* of the set, as a JSON object; or empty */
    const struct flag_upstream *upstream;
    size_t nupstream;
};
