/*
 * split.h - which version of a service takes a request: pure, monotone, exact.
 *
 * The line 0..9999 is cut into one range a version, as long as its weight in hundredths of a
 * per cent, older versions first. A key has a fixed point on the line, equal on every worker,
 * restart and machine; no state is kept.
 *
 * Monotone: let S(i) be the sum of the weights of the i oldest versions. A change of weights
 * in which no S(i) grows moves keys to newer versions only, never back. Raising the newest
 * version at the cost of any others is such a change (its range ends at 10000 and grows
 * downwards); with two versions every raise of the newer one is. Keys may move between older
 * versions when a middle one shrinks: an S(i) that falls moves its upper end to version i+1.
 *
 * Without a key the share comes from a sequence that gives every version its requests evenly:
 * after any number of requests a version has had its exact share, give or take less than one.
 */
#pragma once
#include "config/model.h"

#define SPLIT_POINTS CONF_WEIGHT_FULL /* 10000 */
#define SPLIT_NOBODY SIZE_MAX

struct split_range {
    uint32_t end;     /* exclusive; the range begins where the one before ends */
    uint32_t weight;  /* > 0 */
    uint32_t version; /* index into the service's versions */
    uint32_t given;   /* of more than two: requests in this cycle of the sequence */
};

struct split {     /* a value of the caller; borrows its room */
    uint32_t n;    /* ranges, oldest version first; versions without weight have none */
    uint32_t slot; /* 0..9999: place in the sequence */
    struct split_range *ranges;
};

/*
 * Cut the line for S, by its weights as far as they are ready (capacity.h). ROOM holds
 * S->nversions ranges and lives as long as SP. PHASE (any number) is where the sequence of two
 * versions begins: workers with phases of their own give the share together even if each sees
 * only a few requests. It does not loosen the bound.
 */
void split_init(struct split *sp, struct split_range *room, const struct conf_service *s,
                uint32_t phase);
/* Go on where OLD is if it has the same ranges (a snapshot that changed something else). */
void split_resume(struct split *sp, const struct split *old);

uint64_t split_salt(struct str service); /* for split_point: keys fall apart by service */
uint32_t split_point(struct str key, uint64_t salt); /* 0..9999 */
/* Index of the version whose range holds POINT; SPLIT_NOBODY when no version has weight. */
size_t split_pick(const struct split *sp, uint32_t point);
/* The next of the sequence; SPLIT_NOBODY when no version has weight. */
size_t split_next(struct split *sp);
