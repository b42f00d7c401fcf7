/*
 * spec_notify.h - who is told what about a rollout.
 *
 *   "notify": [ {"on": ["reverted", "succeeded"], "webhook": "https://ops.example/hook",
 *                "secret": "@cred:hook"}, {"slack": "@env:SLACK_URL"} ]
 *
 * "on" are event types without "rollout."; absent: all of them. A target is a URL or a
 * reference, "@env:NAME" or "@cred:NAME", which is looked up when something is sent; a secret
 * is a reference only, since whoever sees the rollout sees its text. Pure.
 */
#pragma once
#include "control/rollout/spec_reader.h"

#define SPEC_NOTIFY 8 /* entries */

spec_read_fn spec_read_notify; /* uint32_t: offset of the JSON array, as it was checked */
/* Does ENTRY want to hear of events of TYPE ("rollout.reverted")? */
bool spec_notify_wants(const json_t *entry, const char *type);
