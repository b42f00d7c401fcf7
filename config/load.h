/*
 * load.h - from trees of nodes to a model: what the files of the loader share.
 *
 * Order of work: read and merge the files (include.c), walk the field tables and fill the model
 * (load.c, values.c), check what needs more than one field (validate.c). Every step goes on
 * after a mistake; a model is handed out only if there was none.
 */
#pragma once
#include "config/diag.h"
#include "config/fields.h"
#include "config/jsonc.h"
#include "config/names.h"

struct load_mode {
    bool lookup; /* expand ${...}: environment, files, credentials */
    bool live;   /* versions may come without endpoints: others are known */
};

struct prototype { /* an element of a map or list that has nothing but its defaults */
    const struct table *of;
    const char *bytes;
};

struct loader {
    struct conf *c;   /* being filled */
    struct arena *a;  /* of C: everything that stays */
    struct arena tmp; /* trees and texts: gone after loading */
    struct conf_diags *d;
    struct load_mode mode;
    struct names services;        /* by name, while routes are loaded */
    struct conf_service *service; /* the one being loaded */
    size_t nfiles;                /* read so far */
    VEC(struct conf_secret) secrets;
    struct prototype prototypes[16];
    size_t nprototypes;
};

/* include.c: read PATH and all that it includes into one tree. NULL: D has an entry. */
struct node *load_files(struct loader *l, const char *path) MUST_CHECK;
/* One document in memory. */
struct node *load_text(struct loader *l, struct str doc, const char *file) MUST_CHECK;

/* load.c */
/* Load the tree into a new model; the owner of ROOT's trees is L. NULL: D has an entry. */
struct conf *load_tree(struct load_mode mode, struct node *root,
                       struct conf_diags *d) MUST_CHECK;
struct conf *load_parse(struct load_mode mode, struct str doc, const char *file,
                        struct conf_diags *d) MUST_CHECK;

/* values.c: fill one field of the struct at BASE from N. Reports its own mistakes. */
void load_value(struct loader *l, const struct field *f, struct node *n, char *base);
/* The same from a default as written in the table. */
void load_default(struct loader *l, const struct field *f, char *base);
/* Expanded text of a string node, in L->a. False: reported. */
bool load_string(struct loader *l, struct node *n, struct str *out) MUST_CHECK;
/* TEXT was made from N and stays: remember if it must not be shown. */
void load_keep_secret(struct loader *l, const struct node *n, struct str text);
/* What may be shown of string N in messages. */
struct str load_shown(const struct node *n);
void load_wrong_kind(struct loader *l, const struct node *n, const char *want);

/* lists.c: the fields with a notation of their own. */
void load_endpoints(struct loader *l, const struct field *f, struct node *n, char *base);
void load_weights(struct loader *l, struct node *n);
void load_matches(struct loader *l, const struct field *f, struct node *n, char *base);
void load_headers(struct loader *l, const struct field *f, struct node *n, char *base);
void load_keys(struct loader *l, const struct field *f, struct node *n, char *base);
void load_networks(struct loader *l, const struct field *f, struct node *n, char *base);
bool load_key_source(struct loader *l, struct str text, struct conf_key *key) MUST_CHECK;
/* The same, and "none". */
bool load_rate_key(struct loader *l, struct str text, struct conf_key *key) MUST_CHECK;

/* Index of version NAME in the service being loaded, or -1: reported at N. */
long load_version_index(struct loader *l, const struct node *n, enum diag_where where,
                        struct str name);

/* validate.c: mistakes that take more than one field to see. */
void load_validate(struct loader *l, const struct node *root);

/* The model of a whole configuration never holds an array pointer without its count. */
static inline void field_set_array(const struct field *f, char *base, void *v, size_t n)
{
    memcpy(base + f->offset, &v, sizeof(v));
    memcpy(base + f->count, &n, sizeof(n));
}

static inline void *field_array(const struct field *f, const char *base, size_t *n)
{
    void *v;

    memcpy(&v, base + f->offset, sizeof(v));
    memcpy(n, base + f->count, sizeof(*n));
    return v;
}
