/* log.c - one line a fact, written with one write(2) so that lines of processes never mix. */
#include "proxy/base/log.h"

#include "proxy/base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *who;
    enum log_level most;
} logger = {"sluice", LOG_INFO};

void log_init(const char *who, enum log_level most)
{
    logger.who = who;
    logger.most = most;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char line[2048], stamp[CLOCK_STAMP];
    va_list ap;
    int n, m;

    if (level > logger.most)
        return;
    n = snprintf(line, sizeof(line), "%s %s %s: ", clock_stamp(stamp, clock_wall_ms()),
                 names[level], logger.who);
    va_start(ap, fmt);
    m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    n += m < (int)sizeof(line) - n - 1 ? m : (int)sizeof(line) - n - 2;
    for (char *c = line; c < line + n; c++)
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        return; /* nowhere left to say it */
}
