#!/bin/sh
# check-scenario.sh BUILD [PATTERN] - run the stories of tests/scenario against real programs.
# A story is one executable file; exit 0 passes, 77 skips (it says why). Logs are shown on failure.
set -u
build=${1:?usage: check-scenario.sh BUILD [PATTERN]}
pattern=${2:-}
logs=$build/scenario
mkdir -p "$logs"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
passed=0 failed=0 skipped=0
for story in tests/scenario/[0-9]*_*.py; do
    name=$(basename "$story" .py)
    case $name in *"$pattern"*) ;; *) continue ;; esac
    start=$(date +%s)
    timeout -k 10 600 python3 "$story" --build "$build" >"$logs/$name.log" 2>&1
    rc=$?
    took=$(($(date +%s) - start))
    case $rc in
    0) passed=$((passed + 1)); echo "ok       $name (${took}s)" ;;
    77) skipped=$((skipped + 1)); echo "skipped  $name: $(tail -n 1 "$logs/$name.log")" ;;
    *) failed=$((failed + 1)); echo "FAILED   $name (exit $rc, ${took}s)"; tail -n 80 "$logs/$name.log" ;;
    esac
done
echo "scenarios: $passed passed, $failed failed, $skipped skipped"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $passed -gt 0 ]
