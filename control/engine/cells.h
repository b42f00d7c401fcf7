/*
 * cells.h - which counters in shared memory belong to which version and endpoint.
 *
 * Keys are "shop/v1" and "shop/v1/127.0.0.1:9001". A cell keeps its name for as long as there
 * are fresh cells: counters that were another's are handed out only when all have been used,
 * and then the name that nothing carries any more for the longest time gives its cell up.
 */
#pragma once
#include "proxy/base/check.h"

#include <jansson.h>
#include <stdbool.h>

struct conf;
struct cells;

/* DOC is what cells_document gave (borrowed), or NULL. LIMITs are cells, 0 is not one. */
struct cells *cells_new(const json_t *doc, uint32_t versions, uint32_t endpoints);
void cells_free(struct cells *c);
/* Number every version and endpoint of CONF. True: names came that have to be stored. A name
 * that finds no room gets cell 0, which is not counted. */
bool cells_assign(struct cells *c, struct conf *conf);
json_t *cells_document(const struct cells *c); /* a new reference */
