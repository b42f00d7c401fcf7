/*
 * jsonc.h - JSON with comments and trailing commas, read strictly.
 *
 * One scanner walks the text once: it overwrites comments and trailing commas by blanks (so
 * every offset stays true), checks the grammar, the depth and duplicate keys, and builds the
 * tree of nodes. jansson then decodes the blanked text, and its values are hung into the tree.
 */
#pragma once
#include "config/conf.h"
#include "config/node.h"

#define JSONC_MAX_BYTES (4u << 20)
#define JSONC_MAX_DEPTH 32

struct jsonc {
    struct node *root; /* in the arena given to jsonc_parse */
    json_t *json;      /* owned: json_decref via jsonc_release */
};

/*
 * Parse SRC->text; SRC->lines is filled in. Nodes go into A. False: D has a new entry and
 * nothing needs release. Duplicate keys are reported and the parse goes on (true): the caller
 * looks at D in the end.
 */
bool jsonc_parse(struct arena *a, struct source *src, struct conf_diags *d,
                 struct jsonc *out) MUST_CHECK;
void jsonc_release(struct jsonc *j);
