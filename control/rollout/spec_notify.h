/*
 * spec_notify.h - who is told what about a rollout.
 *
 *   "notify": [ {"on": ["reverted", "succeeded"], "webhook": "https://ops.example/hook",
 *                "secret": "@cred:hook"}, {"slack": "@env:SLACK_URL"},
 *               {"name": "oncall", "on": [], "pagerduty": "@cred:pd"},
 *               {"name": "lead", "on": [], "email": {"to": ["lead@shop.example"],
 *                "from": "sluice@shop.example", "server": "smtp://mail.example:587",
 *                "user": "sluice", "password": "@cred:mail"}} ],
 *   "escalation": [ {"after": "0s", "to": "oncall"}, {"after": "10m", "to": "lead"} ]
 *
 * "on" are event types without "rollout."; absent: all of them. A target is a URL or a
 * reference, "@env:NAME" or "@cred:NAME", which is looked up when something is sent; a secret
 * is a reference only, since whoever sees the rollout sees its text. Pure.
 */
#pragma once
#include "control/rollout/spec_reader.h"

#define SPEC_NOTIFY     8 /* entries of either list */
#define SPEC_RECIPIENTS 8 /* of one e-mail */

spec_read_fn spec_read_notify; /* uint32_t: offset of the JSON array, as it was checked */
/* Likewise. The spec's "notify" has been read: "to" names one of its entries. */
spec_read_fn spec_read_escalation;
/* Does ENTRY want to hear of events of TYPE ("rollout.reverted")? */
bool spec_notify_wants(const json_t *entry, const char *type);
/* The entry of LIST whose name is NAME, borrowed; NULL: there is none. */
const json_t *spec_notify_named(const json_t *list, const char *name);
