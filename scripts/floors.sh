#!/bin/sh
# floors.sh - a file includes its own folder or a lower floor, and libraries stay in their rooms.
# ARCHITECTURE.md explains the order; this list is the order.
set -eu
awk '
BEGIN {
    n = split("proxy/base proxy/event config proxy/http proxy/route proxy/upstream proxy/stream " \
              "proxy/proc", up, " ")
    for (i = 1; i <= n; i++) floor[up[i]] = i
    m = split("control/rollout control/store control/link control/engine control/api control " \
              "control/ctl", c, " ")
    for (i = 1; i <= m; i++) floor[c[i]] = 100 + i
    # what control/ may see of proxy/
    seen["proxy/base"] = seen["proxy/event"] = seen["config"] = 1
    seen["proxy/http"] = seen["proxy/route"] = 1
    room["event2/"] = "^proxy/event/|^control/link/"
    room["openssl/"] = "^proxy/event/"
    room["nghttp2/"] = "^proxy/http/h2_"
    room["jansson.h"] = "^config/|^control/"
    room["curl/"] = "^control/link/|^control/ctl/"
    room["ares.h"] = "^control/link/"
    room["hiredis/"] = "^control/link/|^control/store/"
    room["pcre2.h"] = "^proxy/base/"
    room["sqlite3.h"] = "^control/store/"
}
/^#include </ {
    for (lib in room)
        if (index($2, "<" lib) == 1 && FILENAME !~ room[lib]) {
            printf "%s:%d: %s does not belong on this floor\n", FILENAME, FNR, $2; bad = 1 }
}
/^#include "/ {
    split($2, q, "\""); to = q[2]; sub("/[^/]*$", "", to)
    from = FILENAME; sub("/[^/]*$", "", from)
    if (!(to in floor)) { printf "%s:%d: unknown folder %s\n", FILENAME, FNR, q[2]; bad = 1; next }
    if (floor[to] > floor[from]) {
        printf "%s:%d: %s is on a higher floor\n", FILENAME, FNR, q[2]; bad = 1 }
    if (from ~ /^control/ && to !~ /^control/ && !(to in seen)) {
        printf "%s:%d: control/ may not look into %s\n", FILENAME, FNR, to; bad = 1 }
}
END { exit bad }' $(find proxy config control -name '*.[ch]')
