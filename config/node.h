/*
 * node.h - a document as a tree that remembers where everything stands.
 *
 * It holds every value and its byte offsets in the text. Line, column and JSON pointer are
 * worked out only when a mistake is shown. Nodes live in an arena and borrow the text.
 */
#pragma once
#include "proxy/base/arena.h"
#include "proxy/base/check.h"

struct source {          /* one text, usually one file */
    struct str file;     /* as opened; empty: none */
    struct str real;     /* the same without links, absolute */
    struct str dir;      /* absolute folder that relative paths start from */
    struct str text;     /* as written, with its comments */
    struct str plain;    /* once parsed: without them, JSON */
    const size_t *lines; /* offset of the first byte of every line */
    size_t nlines;
    const struct source *from; /* the source that includes this one, or NULL */
};

enum node_kind { NODE_OBJECT, NODE_ARRAY, NODE_STRING, NODE_NUMBER, NODE_BOOL, NODE_NULL };

struct node {
    const struct source *src; /* NULL: of a document that nobody is shown */
    enum node_kind kind;
    bool faulty;         /* an element with a mistake inside: no checks across elements */
    bool whole;          /* a number without fraction or exponent */
    uint32_t at, end;    /* the value, as offsets into src->text */
    uint32_t key_at;     /* opening quote of the key */
    uint32_t index;      /* place in the parent */
    size_t n;            /* number of children */
    struct str key;      /* decoded; members of objects only */
    struct node *parent; /* NULL: the document */
    struct node *first, *last, *next; /* children in file order; sibling */
    union {
        struct str written; /* a string as decoded; no NUL at its end */
        bool truth;
        struct {
            double real;
            int64_t integer; /* when WHOLE; saturated */
        } number;
    };
    struct str text;  /* a string after variable expansion */
    struct str shown; /* the same with secrets as "***"; .p NULL: no secret */
    void *target;     /* what the loader stored it in */
};

/* A child with KEY, or NULL. Linear: for objects with fixed keys. */
struct node *node_get(const struct node *object, struct str key);
void node_append(struct node *parent, struct node *child);
/* RFC 6901 pointer of N in its own document. Into A. */
struct str node_pointer(struct arena *a, const struct node *n);
/* "a string", "an object", … for messages. */
const char *node_kind_name(enum node_kind kind);
/* The whole number of N if it is one in MIN..MAX. N may be NULL. */
bool node_whole(const struct node *n, int64_t min, int64_t max, int64_t *value) MUST_CHECK;

/* Fill S->lines. Into A. */
void source_index(struct arena *a, struct source *s);
/* Line and column (in characters), both from 1, of offset AT; LINE_TEXT: that line. */
void source_place(const struct source *s, size_t at, unsigned *line, unsigned *column,
                  struct str *line_text);
