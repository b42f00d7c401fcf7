/* plan_body.h - a plan (control/rollout/plan.h) under the present traffic, as the API shows it.
 */
#pragma once
#include "control/rollout/spec.h"

struct engine;
struct json_t;

/* SPEC passed rollouts_check for SERVICE. Owned by the caller. */
struct json_t *plan_body(const struct engine *e, const char *service, const struct spec *spec);
