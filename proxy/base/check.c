/* check.c - what a failed ASSERT does: say where, print the stack, abort. */
#include "proxy/base/check.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *file, int line, const char *func, const char *expr)
{
    void *frames[48];
    int n = backtrace(frames, (int)ARRAY_LEN(frames));

    dprintf(STDERR_FILENO, "%s:%d: %s: assertion failed: %s\n", file, line, func, expr);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    abort();
}
