/*
 * report.h - the whole story of a rollout, for whoever was not there.
 *
 * One document is made of what is stored with the rollout and of what is live now; the texts
 * are made of that document. Its sections: deployment_method, infrastructure_changes,
 * configuration_updates, validation_results, rollback_instructions, monitoring_links,
 * decision_log, next_session.
 */
#pragma once
#include "control/engine/rollouts.h"

#include <jansson.h>

struct engine;

json_t *report_json(const struct engine *e, const struct rollout_entry *l); /* new reference */

/* REPORT as texts; malloc'd (xfree). */
char *report_markdown(const json_t *report);
char *report_junit(const json_t *report); /* each check and each judged class is a case */
