/* version.c - what this binary is made of. Nothing in it depends on when or where it was built.
 */
#include "proxy/proc/version.h"

#include "config/library.h"
#include "proxy/event/libraries.h"
#include "proxy/http/h2_version.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const char *const flags[] = {
#ifdef __OPTIMIZE__
    "optimised",
#endif
#ifdef SLUICE_DEBUG
    "debug",
#endif
#ifdef __SANITIZE_ADDRESS__
    "asan",
#endif
#ifdef __PIE__
    "pie",
#endif
#ifdef _FORTIFY_SOURCE
    "fortify",
#endif
#ifdef __SSP_STRONG__
    "stack-protector",
#endif
#ifdef __CET__
    "cet",
#endif
};

void version_print(FILE *out)
{
    fprintf(out, "sluice %s\n", SLUICE_VERSION);
    fprintf(out, "libevent %s\n", library_libevent());
    fprintf(out, "%s\n", library_openssl());
    fprintf(out, "nghttp2 %s\n", h2_library());
    fprintf(out, "jansson %s\n", library_jansson());
    fprintf(out, "built with %s,", COMPILER);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        fprintf(out, " %s", flags[i]);
    fputc('\n', out);
}
