/*
 * lookups.h - names of endpoints: what is asked for, and what becomes of the answers.
 *
 * Follows the desired state: names in it are asked for (dns.h), answers go into it and are
 * published as any other change is.
 */
#pragma once
#include "control/link/dns.h"

struct engine;
struct json_t;

/* Before anything else needs e->dns. NULL: *WHY says why (static). */
struct dns *lookups_new(struct engine *e, const char **why) MUST_CHECK;
void lookups_track(struct engine *e); /* the desired state has changed */
/* Appends what an operator should know to the JSON array LIST. */
void lookups_warnings(const struct engine *e, struct json_t *list);
/* [{"name": "shop.internal:80", "state": "good", ...}, ...]. New reference. */
struct json_t *lookups_view(const struct engine *e);
