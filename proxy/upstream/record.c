/* record.c - the window's halves and their arithmetic. */
#include "proxy/upstream/record.h"

#define LOG_ONE 256 /* a factor of two */

static void turn(struct record *r, uint64_t window_us, uint64_t now_us)
{
    uint64_t age = now_us - r->began_us;

    if (age < window_us / 2)
        return;
    r->before = age < window_us ? r->now : (struct record_half){0};
    r->now = (struct record_half){0};
    r->began_us = now_us;
}

void record_answer(struct record *r, uint64_t window_us, uint64_t took_us, uint64_t now_us)
{
    turn(r, window_us, now_us);
    r->now.answers++;
    r->now.log_sum += record_log(took_us);
}

void record_failure(struct record *r, uint64_t window_us, uint64_t now_us)
{
    turn(r, window_us, now_us);
    r->now.failures++;
}

struct record_view record_read(struct record *r, uint64_t window_us, uint64_t now_us)
{
    struct record_view v;

    turn(r, window_us, now_us);
    v.answers = r->now.answers + r->before.answers;
    v.failures = r->now.failures + r->before.failures;
    v.log_mean = v.answers ? (uint32_t)((r->now.log_sum + r->before.log_sum) / v.answers) : 0;
    return v;
}

/* Between two powers of two the logarithm is taken for a line. */
uint32_t record_log(uint64_t us)
{
    uint64_t least_one = us ? us : 1;
    uint32_t top = 63 - (uint32_t)__builtin_clzll(least_one);
    uint64_t rest = least_one << (63 - top); /* the leading bit is the highest now */

    return top * LOG_ONE + (uint32_t)(rest >> 55 & (LOG_ONE - 1));
}

uint64_t record_unlog(uint32_t log)
{
    uint64_t rest = LOG_ONE + log % LOG_ONE;
    uint32_t top = log / LOG_ONE;

    return top >= 8 ? rest << (top - 8) : rest >> (8 - top);
}
