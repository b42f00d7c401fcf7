#!/bin/sh
# check-unit.sh BUILD [PATTERN] - run the unit test programs of BUILD/tests, one after the other.
# Each is a Check program that forks a process per test. Exit 1 if any failed.
set -u
build=${1:?usage: check-unit.sh BUILD [PATTERN]}
pattern=${2:-}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-120}
export CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-4}
passed=0 failed=0
for src in tests/unit/test_*.c; do
    t=$build/tests/$(basename "$src" .c)
    case $t in *"$pattern"*) ;; *) continue ;; esac
    log=$t.log
    if CK_VERBOSITY=normal "$t" >"$log" 2>&1; then
        passed=$((passed + 1))
        sed -n 's/^\([0-9]*%: Checks: .*\)/\1/p' "$log" | sed "s|^|$(basename "$t"): |"
    else
        failed=$((failed + 1))
        echo "FAILED $(basename "$t"):"
        tail -n 60 "$log"
    fi
done
echo "unit: $passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
