/*
 * jsonc.h - JSON with comments and trailing commas, read strictly.
 *
 * One scanner walks the text once: it overwrites comments and trailing commas by blanks (so
 * every offset stays true), checks the grammar and the depth, and builds the tree of nodes.
 * A second walk along the tree decodes keys and values and looks for duplicate keys. Most
 * strings need no decoding and are slices of the text; escapes are left to jansson.
 */
#pragma once
#include "config/conf.h"
#include "config/node.h"

#define JSONC_MAX_BYTES (4u << 20)
#define JSONC_MAX_DEPTH 32

/*
 * Parse SRC->text; SRC->lines is filled in. Nodes and a copy of the text go into A. NULL: D has
 * a new entry. Duplicate keys are reported and the parse goes on with the last of each: the
 * caller looks at D in the end.
 */
struct node *jsonc_parse(struct arena *a, struct source *src, struct conf_diags *d) MUST_CHECK;

/* The same for a document that a program wrote: of any length, its nodes have no places. */
struct node *jsonc_parse_made(struct arena *a, struct str text,
                              struct conf_diags *d) MUST_CHECK;
