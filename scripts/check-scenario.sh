#!/bin/sh
# check-scenario.sh BUILD [PATTERN] - run the stories of tests/scenario against real programs, two
# at a time (STORIES_AT_ONCE): they wait more than they work. A story is one executable file; exit
# 0 passes, 77 skips (it says why). Logs are shown on failure.
set -u
build=${1:?usage: check-scenario.sh BUILD [PATTERN]}
pattern=${2:-}
logs=$build/scenario
rm -rf "$logs"
mkdir -p "$logs"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export build logs
# One story; its last word goes to NAME.end.
# shellcheck disable=SC2016 # it is for the shells below
one='
name=$(basename "$1" .py)
start=$(date +%s)
timeout -k 10 600 python3 "$1" --build "$build" >"$logs/$name.log" 2>&1
rc=$?
took=$(($(date +%s) - start))
case $rc in
0) echo passed >"$logs/$name.end"; echo "ok       $name (${took}s)" ;;
77) echo skipped >"$logs/$name.end"; echo "skipped  $name: $(tail -n 1 "$logs/$name.log")" ;;
*) echo failed >"$logs/$name.end"; echo "FAILED   $name (exit $rc, ${took}s)"; tail -n 80 "$logs/$name.log" ;;
esac'
for story in tests/scenario/[0-9]*_*.py; do
    case $(basename "$story" .py) in *"$pattern"*) echo "$story" ;; esac
done | xargs -r -n 1 -P "${STORIES_AT_ONCE:-2}" sh -c "$one" story
count() {
    cat "$logs"/*.end 2>/dev/null | grep -c "^$1\$"
}
passed=$(count passed) failed=$(count failed) skipped=$(count skipped)
echo "scenarios: $passed passed, $failed failed, $skipped skipped"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
