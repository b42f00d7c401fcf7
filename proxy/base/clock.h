/*
 * clock.h - the only place that reads a clock.
 *
 * Monotonic microseconds measure; wall milliseconds (Unix, UTC) are shown and stored. Code with
 * deadlines takes its time as a number, so that tests step it by hand.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define CLOCK_STAMP 32 /* room for a stamp */

uint64_t clock_mono_us(void);
uint64_t clock_wall_ms(void);
/* RFC 3339 with milliseconds, UTC: 2026-11-22T21:00:00.123Z. Returns BUF (>= CLOCK_STAMP). */
const char *clock_stamp(char *buf, uint64_t wall_ms);
/* As logs of web servers have it, UTC: 22/Nov/2026:21:00:00 +0000. Returns BUF (the same size).
 */
const char *clock_log_stamp(char *buf, uint64_t wall_ms);
