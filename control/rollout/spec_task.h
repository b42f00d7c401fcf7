/*
 * spec_task.h - steps of a rollout that are no weight: checks and approvals.
 *
 * Private to spec*.c. A task is read once, its texts are kept in the spec; writing it gives
 * what reading it took, defaults filled in.
 */
#pragma once
#include "control/rollout/spec_reader.h"

/* {"smoke": {...}}, {"http": {...}} or {"approve": {...}}: one more step of LIST. */
int spec_read_task_step(struct spec_reader *rd, const char *pointer, const json_t *v,
                        enum spec_list list);
/* Is V such a step, and not a weight? */
bool spec_is_task_step(const json_t *v);
/* One more step that does what TASK does. */
int spec_add_step(struct spec_reader *rd, const char *pointer, struct spec_step step);

spec_read_fn spec_read_gates; /* TARGET is unused: both append to the spec's steps */
spec_read_fn spec_read_smoke;

/* What spec_read_task_step takes. New reference. */
json_t *spec_task_step_json(const struct spec *s, const struct spec_step *step);
/* What "smoke" has as its elements. New reference. */
json_t *spec_smoke_json(const struct spec *s, const struct spec_step *step);
