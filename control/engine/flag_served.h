/*
 * flag_served.h - the set of flags that is served: its document, compiled, and its numbers.
 *
 * It is what the source says, with the overrides of this node on top and with the last good
 * definition in place of a bad one. Every set has a number, one more than the one before.
 */
#pragma once
#include "config/flagset.h"

struct json_t;

struct flag_served {      /* read it; written by flag_served_build */
    struct json_t *doc;   /* flag-set document; NULL: nothing yet */
    struct flagset *set;  /* the same, compiled; NULL: nothing yet */
    uint64_t sequence;    /* its number */
    struct json_t *bad;   /* key -> why it is quarantined */
    struct json_t *cells; /* key -> variant -> cell, also of flags that are gone */
};

void flag_served_init(struct flag_served *s, uint64_t sequence);
void flag_served_release(struct flag_served *s);
/* Cells of an earlier life; ignored once there are some. CELLS is borrowed, or NULL. */
void flag_served_adopt_cells(struct flag_served *s, const struct json_t *cells);
/*
 * Make the next set from TRUTH (a flag-set document without number and cells) and LOCAL (key ->
 * override, or null to lift one). Its text (xfree), or NULL when it cannot be served: then the
 * one before stays, and the log says why.
 */
char *flag_served_build(struct flag_served *s, const struct json_t *truth,
                        const struct json_t *local, struct str env) MUST_CHECK;
/*
 * Would FLAGS (key -> definition, or null: gone) be good among those that are served, and leave
 * the others good? NULL, or a reason (xfree).
 */
char *flag_served_objection(const struct flag_served *s, const struct json_t *flags,
                            const struct json_t *evaluators);
