#!/bin/sh
# fuzz.sh [NAME] - build and run the fuzz targets (or the one called NAME), each for
# FUZZ_SECONDS (60), from the inputs in tests/fuzz/corpus/NAME. New inputs go to a temporary
# directory; a crash is written to build/fuzz/crash-NAME-* and makes the exit status 1.
set -eu
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
build=${FUZZ_BUILD:-build/fuzz}
if [ $# -gt 0 ]; then
    names=$1
else
    names=$(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_\(.*\)\.c|\1|')
fi
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
failed=0
for name in $names; do
    if [ "$name" = h1_diff ] && [ ! -f /usr/share/llhttp/llhttp.c ]; then
        echo "fuzz_h1_diff: SKIPPED, node-llhttp is not installed"
        continue
    fi
    ${MAKE:-make} --no-print-directory MODE=fuzz B="$build" "$build/fuzz_$name"
    mkdir -p "$found/$name" "tests/fuzz/corpus/$name"
    dictionary=
    [ -f "tests/fuzz/$name.dict" ] && dictionary="-dict=tests/fuzz/$name.dict"
    log=$build/fuzz_$name.log
    if "$build/fuzz_$name" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$build/crash-$name-" $dictionary \
        "$found/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        sed -n "s/^stat::number_of_executed_units: */fuzz_$name: clean, runs: /p" "$log"
    else
        failed=1
        echo "fuzz_$name: FAILED, see $log"
        tail -n 40 "$log"
    fi
done
exit $failed
