#!/bin/sh
# lint.sh - everything that a reviewer should not have to say. Exit 1 when something is wrong.
# Steps whose tool is missing are named and skipped, except in CI (CI=true), where they fail.
set -u
bad=0
step() { # NAME COMMAND...
    name=$1
    shift
    if out=$("$@" 2>&1); then
        echo "lint: $name ok"
    else
        echo "lint: $name FAILED"
        echo "$out" | head -n 60
        bad=1
    fi
}
need() {
    command -v "$1" >/dev/null 2>&1 && return 0
    echo "lint: $1 is not installed (scripts/deps.sh --install --all)"
    [ "${CI:-}" = true ] && bad=1
    return 1
}
sources=$(find proxy config control tests bench -name '*.[ch]')

step floors scripts/floors.sh
step banned scripts/banned.sh
need clang-format && step format clang-format --dry-run -Werror $sources
if need mandoc; then
    for page in $(find proxy config control -name '*.[1-8]'); do
        step "manual $page" mandoc -T lint -W warning "$page"
    done
fi
step scripts sh -c 'for f in scripts/*.sh bench/*.sh .ci/run; do [ ! -e "$f" ] || sh -n "$f" || bash -n "$f" || exit 1; done'
step python python3 -c '
import ast, glob, sys
for f in glob.glob("scripts/*.py") + glob.glob("tests/**/*.py", recursive=True) + glob.glob("bench/*.py"):
    ast.parse(open(f).read(), f)'
need cppcheck && step cppcheck cppcheck -q --error-exitcode=1 --std=c11 -I. --include=scripts/cppcheck.h \
    --enable=warning,portability --inline-suppr \
    -j 2 proxy config control
step warnings make --no-print-directory MODE=release B=build/lint DEV=1 -j2 all
exit $bad
