/*
 * addresses.h - names of endpoints become the addresses that were found for them. Pure.
 *
 * ANSWERS is {"shop.internal:80": [{"address": "10.0.0.1:80", "priority": 0, "weight": 1},
 * ...]}: the last good answer to every name. A name without one stays in the list as an
 * endpoint that has no host and gets no traffic.
 */
#pragma once
#include "config/model.h"

#include <jansson.h>

/* Replace the names among V's endpoints, in A. Names are noted in SOURCES (may be NULL). */
void addresses_expand(struct arena *a, struct conf_version *v, const json_t *answers,
                      json_t *sources);
/* Of addresses of one name with different priorities only those of the first that can serve
 * get traffic; the others count as draining. Health bits must be set. */
void addresses_prefer(struct conf_version *v);
/* The answers that a snapshot was made with. New reference. */
json_t *addresses_of(const struct conf *last);
