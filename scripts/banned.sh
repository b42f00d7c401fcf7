#!/bin/sh
# banned.sh - calls that have a better way here, leftovers, and globals that somebody can change.
set -u
bad=0
src=$(find proxy config control -name '*.[ch]')
check() { # PATTERN ALLOWED-FILES-REGEX WHY
    found=$(grep -nE "$1" $src | grep -vE "^($2):" || true)
    if [ -n "$found" ]; then
        echo "$found" | sed "s|$| <- $3|"
        bad=1
    fi
}
check '\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|strtok|gmtime|localtime|alloca)\(' 'none' \
    'banned: unbounded, not reentrant or without errors'
check '(^|[^_a-z.>])(malloc|calloc|realloc|free|strdup|strndup|asprintf)\(' 'proxy/base/mem\.c' \
    'use mem.h'
check '(^|[^_a-z.>])(time|gettimeofday|clock_gettime)\(' 'proxy/base/clock\.c' 'use clock.h'
check '\b(TODO|FIXME|XXX|HACK)\b' 'none' 'finish it or file it'
check '^#pragma once' '.*\.h' 'only headers'
for h in $(find proxy config control -name '*.h'); do
    grep -q '^#pragma once' "$h" || { echo "$h: no #pragma once"; bad=1; }
done
for f in $src; do
    head -n 1 "$f" | grep -q '^/\*' || { echo "$f: does not begin with what it is"; bad=1; }
done
exit $bad
