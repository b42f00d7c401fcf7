/*
 * effects.h - what a rollout wants of its service, as overlay documents. Pure.
 */
#pragma once
#include "control/engine/rollouts.h"

struct conf_service;
struct conf_version;
struct desired;

/* VERSION of SERVICE as it is now, or NULL. */
const struct conf_version *effects_version(const struct desired *d, const char *service,
                                           const char *version);
/* The version of S that has most of the weight, VERSION left out; NULL: there is no other. */
const struct conf_version *effects_stable(const struct conf_service *s, const char *version);

/* The service's overlay with what FX asks for; NULL: nothing. New reference, as the others. */
json_t *effects_overlay(const struct desired *d, const struct rollout *r,
                        const struct rollout_effects *fx);
/* As the rollout begins: version known and not drained, way back noted, weights owned, workers
 * told what to note. EPOCH: a number that no other rollout had. */
json_t *effects_at_start(const struct desired *d, const struct rollout *r, uint64_t epoch);
/* A table of clients that no rollout has; 0: all are taken. */
uint32_t effects_free_table(const struct desired *d);
/* As it goes on after a pause in which somebody set other weights; NULL: nobody did. */
json_t *effects_at_resume(const struct desired *d, const struct rollout *r);

/* The numbers of an event: what a reader of the log wants without asking further. R is the
 * state that the event leads to, L has the counters. */
json_t *effects_data(const struct rollout_entry *l, const struct rollout *r);
