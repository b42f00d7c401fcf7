/*
 * replay.h - `sluicectl judge replay`: what a rule would have said of recorded traffic.
 *
 * No server is asked; the rules are control/rollout/rules.h.
 */
#pragma once
#include "control/rollout/rules.h"

#include <stdio.h>

/*
 * PATH holds one window a line, times not falling:
 *   {"t":12.0,"stable":{"n":950,"errors":9,"slow":{"p50":470,"p90":94,"p99":9}},
 *             "canary":{"n":50,"errors":2,"slow":{"p50":26,"p90":5,"p99":1}},"weight":5.0}
 * or with "latency":{"stable":[[le_ms,count],...],"canary":[...]} instead of "slow"; neither:
 * latency is not judged. A rise of "weight" begins a step. For each OUT gets
 *   {"t":12.0,"verdict":"undecided","class":"error","evalue":3.1,"limit":200,"excess":0.03,
 *    "reason":"..."}
 * CONF's epochs are set from the file. 0, or -1 with a malloc'd reason in *WHY (xfree); lines
 * before the bad one have been answered.
 */
int replay_file(const char *path, struct rule_config *conf, FILE *out, char **why) MUST_CHECK;
