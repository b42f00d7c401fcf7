/* commands.h - carrying out a command. Private to the rollout's machine. */
#pragma once
#include "control/rollout/machine.h"

/* EV is a command that rollout_refusal has nothing against. */
void command_do(struct rollout *r, const struct rollout_event *ev, struct rollout_effects *fx);
