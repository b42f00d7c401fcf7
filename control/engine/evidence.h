/*
 * evidence.h - what a rollout has counted: cursors into shared memory, and its stored form.
 *
 * Every tick takes the difference to the cursors once. Counters only grow while the shared
 * memory lives; with new memory (a restart of everything) the cursors start at zero.
 */
#pragma once
#include "control/engine/rollouts.h"

struct stats;

/*
 * Take what was counted since the last call for the cells of stable and canary into W (warming
 * is left alone), into exposed and bad, and move the cursors.
 */
void evidence_take(struct rollout_entry *l, const struct stats *stats, uint32_t stable_cell,
                   uint32_t canary_cell, struct judge_window *w);
/* Forget what was counted before now: a rollout begins. */
void evidence_begin(struct rollout_entry *l, const struct stats *stats, uint32_t stable_cell,
                    uint32_t canary_cell);
/* When the latest exchange on CELL began: monotonic us, 0 for never. */
uint64_t evidence_last_request_us(const struct stats *stats, uint32_t cell);

/* JSON has no infinity: an e-value beyond all bounds is shown as a very large one. */
double evidence_finite(double x);

/* Keep REPORT among the entry's decisions. */
void evidence_keep(struct rollout_entry *l, const struct judge_report *report,
                   uint64_t wall_ms);

/* Keep what FX says among the entry's story: R is where it leads to, ACTOR who asked (NULL:
 * nobody). False: there was nothing to keep, or no room. */
bool evidence_tell(struct rollout_entry *l, const struct rollout *r,
                   const struct rollout_effects *fx, const char *actor, uint64_t wall_ms);
void evidence_untell(struct rollout_entry *l); /* the latest has not happened after all */

/* The entry as the store has it; a new reference. */
json_t *evidence_save(const struct rollout_entry *l);
/* 0, or -1 and ERR. L is zeroed by the caller; BOOT is that of the present shared memory. */
int evidence_load(struct rollout_entry *l, const json_t *doc, uint64_t boot,
                  struct spec_error *err) MUST_CHECK;
