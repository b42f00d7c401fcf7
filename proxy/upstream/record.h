/*
 * record.h - how an endpoint did over the last moments: answers, failures, how long it took.
 *
 * Counted in two halves of a window, so that what is remembered is half a window to a window
 * long. Times are summed as logarithms: their mean is the typical time, which one answer that
 * took forever does not move.
 */
#pragma once
#include <stdint.h>

struct record_half {
    uint32_t answers, failures;
    uint64_t log_sum; /* of the answers' times */
};

struct record {        /* zeroed at first */
    uint64_t began_us; /* the newer half */
    struct record_half now, before;
};

struct record_view {
    uint32_t answers, failures;
    uint32_t log_mean; /* of the answers' times; 0 without any */
};

/* It answered after TOOK_US; it failed. Another WINDOW_US holds from the next
 * half on. */
void record_answer(struct record *r, uint64_t window_us, uint64_t took_us, uint64_t now_us);
void record_failure(struct record *r, uint64_t window_us, uint64_t now_us);
struct record_view record_read(struct record *r, uint64_t window_us, uint64_t now_us);

/* 256 times the binary logarithm of US (0 counts as 1), to 1/11 of a power; and back. */
uint32_t record_log(uint64_t us);
uint64_t record_unlog(uint32_t log);
