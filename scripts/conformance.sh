#!/bin/sh
# conformance.sh BUILD - hostile requests and answers from outside corpora through a real sluice,
# and flags beside the evaluators and clients of others.
#
# CONFORMANCE_DIR (../shared) holds http/corpus/*.jsonl and http/tools/run_corpus.py, run_resp.py,
# run_h2down.py, h2abuse.py, and flags/; they are no part of the project. What is not there is
# skipped, which this says. Recorded HTTP/2 clients are replayed from CONFORMANCE_STREAMS, or from
# nghttp2's source where `apt-get source nghttp2` put it in build/ (its corpus has those of h2spec).
set -eu
build=${1:?usage: conformance.sh BUILD}
dir=${CONFORMANCE_DIR:-../shared}
streams=${CONFORMANCE_STREAMS:-$(ls -d build/nghttp2-*/fuzz/corpus 2>/dev/null | head -n 1)}
bad=0
if [ -d "$streams" ]; then
    python3 scripts/conformance_streams.py --build "$build" --dir "$streams" || bad=1
else
    echo "conformance: recorded clients SKIPPED, there are none (apt-get source nghttp2 in build/)"
fi
if [ -f "$dir/http/tools/run_corpus.py" ]; then
    python3 scripts/conformance.py --build "$build" --dir "$dir/http" || bad=1
    python3 scripts/conformance_http2.py --build "$build" --dir "$dir/http" || bad=1
else
    echo "conformance: SKIPPED, there are no corpora in $dir (set CONFORMANCE_DIR)"
fi
if [ -d "$dir/flags/tools" ]; then
    python3 scripts/conformance_flags.py --build "$build" --dir "$dir/flags" || bad=1
else
    echo "conformance: flags SKIPPED, there are no data in $dir (set CONFORMANCE_DIR)"
fi
exit $bad
