/*
 * show.h - a rollout for people: live view, one line, the result.
 *
 * Pure: from the API's documents to text. Signs carry the meaning, color only repeats it.
 */
#pragma once
#include "control/ctl/ctl.h"

struct shown {
    const json_t *rollout;
    const json_t *stats; /* the service's entry of GET /v1/stats, or NULL */
    uint64_t now_ms;     /* wall clock */
    bool color;
};
/* The live view, several lines. */
void show_rollout(FILE *out, const struct shown *v);
/* One line without a time, for pipes: "r-1 shop v1 -> v2 stepping step 2/4 weight 25 %". */
void show_line(FILE *out, const json_t *rollout);
/* What a change in the view's line depends on; xfree. Equal keys: nothing new to say. */
char *show_key(const json_t *rollout);
/* How it ended, with the numbers; one or more lines. */
void show_result(FILE *out, const json_t *rollout);
void show_outcome(FILE *out, const json_t *rollout); /* only what the result itself says */

/* "2026-11-22T21:00:00.123Z" -> Unix ms; 0 when it is no such text. */
uint64_t show_time_ms(const char *rfc3339);
/* 192000 -> "3m12s", 1500 -> "1.5s". Returns BUF. */
const char *show_duration(char buf[32], uint64_t ms);
/* 18700 -> "18.7k". Returns BUF. */
const char *show_count(char buf[16], double n);

/* Is that state the last one? */
bool show_is_final(const json_t *rollout);
/* Exit code of a rollout that has ended, or -1; WAITS: also of one that waits for a person. */
int show_exit(const json_t *rollout, bool waits);
