#!/bin/sh
# run.sh [BUILD] - CPU per request of Sluice beside HAProxy, nginx and a raw relay, plain and with TLS.
# Then flags beside flagd's own evaluator, if CONFORMANCE_DIR (../shared) has it.
# BENCH_ROUNDS (5) rounds of BENCH_SECONDS (2) a program and case, interleaved; BENCH_CASES picks
# cases by name; BENCH_QUICK=1 is 3 rounds of 1 second. The table goes to stdout and into
# bench/results/.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release}
missing=
for program in wrk haproxy nginx h2load taskset strace; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || missing="$missing $program"
done
[ -z "$missing" ] || scripts/deps.sh --install --all
mkdir -p "$build/bench" bench/results
for tool in relay origin shaker; do
    ${CC:-cc} -O2 -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -o "$build/bench/$tool" \
        "bench/$tool.c" -lssl -lcrypto
done
llhttp=/usr/share/llhttp # from Debian's node-llhttp
flags=
for source in llhttp api http; do
    [ -f $llhttp/$source.c ] || continue
    ${CC:-cc} -O2 -w -DLLHTTP_STRICT_MODE=1 -I/usr/share/include/llhttp -c \
        -o "$build/bench/$source.o" "$llhttp/$source.c"
    flags="-DHAVE_LLHTTP -DLLHTTP_STRICT_MODE=1 -I/usr/share/include/llhttp"
done
# shellcheck disable=SC2086
${CC:-cc} -O2 -std=gnu11 -D_GNU_SOURCE -I. $flags -o "$build/bench/parser" bench/parser.c \
    ${flags:+"$build"/bench/llhttp.o "$build"/bench/api.o "$build"/bench/http.o} \
    "$build/libsluice.a" -lm -ldl
${CC:-cc} -O2 -std=gnu11 -D_GNU_SOURCE -I. -o "$build/bench/router" bench/router.c \
    "$build/libsluice.a" -ljansson -levent_core -lcrypto -lpcre2-8 -lm
uring=$(pkg-config --libs liburing 2>/dev/null || true)
# shellcheck disable=SC2086
${CC:-cc} -O2 -std=gnu11 -D_GNU_SOURCE -I. -o "$build/bench/reload" bench/reload.c \
    "$build/libsluice.a" -ljansson -levent_core -lnghttp2 -lssl -lcrypto -lpcre2-8 $uring -lm
${CC:-cc} -O2 -std=gnu11 -D_GNU_SOURCE -I. -o "$build/bench/flags" bench/flags.c \
    "$build/libsluice.a" -ljansson -lm
python3 bench/compare.py --build "$build"
python3 bench/revert.py --build "$build"
data=${CONFORMANCE_DIR:-../shared}/flags
if [ -d "$data/tools/node_modules" ]; then
    python3 bench/flags.py --build "$build" --dir "$data"
else
    echo "flags: SKIPPED, there is no flagd-core in $data (set CONFORMANCE_DIR)"
fi
