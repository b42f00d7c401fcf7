/* clock.c - the only place that reads a clock. */
#include "proxy/base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_mono_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const char *clock_stamp(char *buf, uint64_t wall_ms)
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    size_t n;

    gmtime_r(&s, &tm);
    n = strftime(buf, CLOCK_STAMP, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf + n, CLOCK_STAMP - n, ".%03uZ", (unsigned)(wall_ms % 1000));
    return buf;
}

const char *clock_log_stamp(char *buf, uint64_t wall_ms)
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;

    gmtime_r(&s, &tm);
    strftime(buf, CLOCK_STAMP, "%d/%b/%Y:%H:%M:%S +0000", &tm);
    return buf;
}
