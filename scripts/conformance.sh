#!/bin/sh
# conformance.sh BUILD - hostile requests and answers from outside corpora through a real sluice.
#
# CONFORMANCE_DIR (../shared) holds http/corpus/*.jsonl and http/tools/run_corpus.py, run_resp.py,
# run_h2down.py, h2abuse.py; they are no part of the project. Without them this says that it is
# skipped and succeeds.
set -eu
build=${1:?usage: conformance.sh BUILD}
dir=${CONFORMANCE_DIR:-../shared}
if [ ! -f "$dir/http/tools/run_corpus.py" ]; then
    echo "conformance: SKIPPED, there are no corpora in $dir (set CONFORMANCE_DIR)"
    exit 0
fi
bad=0
python3 scripts/conformance.py --build "$build" --dir "$dir/http" || bad=1
python3 scripts/conformance_http2.py --build "$build" --dir "$dir/http" || bad=1
exit $bad
