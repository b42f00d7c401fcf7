/* show_plan.h - a plan for people. */
#pragma once
#include <jansson.h>
#include <stdio.h>

void show_plan(FILE *f, const json_t *plan); /* the answer of ".../rollouts:plan" */
