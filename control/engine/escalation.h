/*
 * escalation.h - who is called when nobody comes: a rollout that waits for a person climbs its
 * ladder, one rung at its time, until it goes on.
 *
 * A ladder stands as long as its rollout is holding or cannot be taken back. It is stored
 * before its first rung is climbed, each rung together with its notice: a restart goes on with
 * the next one, at its time since the beginning.
 */
#pragma once

struct engine;
struct escalation;

struct escalation *escalation_new(struct engine *e); /* hears of events from now on */
void escalation_free(struct escalation *x);
/* Go on with what an earlier run has left. Rollouts and notices must have been read. */
void escalation_resume(struct escalation *x);
