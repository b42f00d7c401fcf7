/*
 * machine_json.h - a rollout as the store keeps it.
 *
 * Everything is in there, the judge's evidence included, so that a rollout that was saved,
 * loaded and restarted goes on as if nothing had happened. This is not the API's shape.
 */
#pragma once
#include "control/rollout/machine.h"

/* Owned by the caller (json_decref). */
struct json_t *rollout_write(const struct rollout *r);
/* DOC is borrowed. 0, or -1 with a message in ERR when it is damaged or of another version. */
MUST_CHECK int rollout_read(const struct json_t *doc, struct rollout *r,
                            struct spec_error *err);
