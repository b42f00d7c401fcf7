#!/bin/sh
# longest.sh - the ten longest files and functions: to look at, not to enforce.
set -eu
echo "longest files:"
find proxy config control -name '*.c' -exec wc -l {} + | grep -v total | sort -rn | head -n 10
echo "longest functions:"
awk '
FNR == 1 { start = 0 }
/^[a-z].*\)$/ { sig = $0 }
/^\{$/ { start = FNR }
/^\}$/ && start { printf "%5d %s: %s\n", FNR - start, FILENAME, sig; start = 0 }
' $(find proxy config control -name '*.c') | sort -rn | head -n 10
