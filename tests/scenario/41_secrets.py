#!/usr/bin/env python3
"""The password of Redis is in no answer of the control API, no log line, and no file that others
than the owner may read."""
from harness import story

SECRET = "correct-horse-battery"
PATHS = ["/v1/version", "/v1/status", "/v1/services", "/v1/services/shop", "/v1/flags", "/v1/rollouts",
         "/v1/stats", "/v1/events?limit=1000"]


def tell(t):
    v1 = t.origin("v1")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}},
                 flags={"redis": f"redis://someone:{SECRET}@127.0.0.1:1/0", "env": "test"})
    t.eventually("redis is known to be down", lambda: s.status()["flags"]["redis"] == "down" or None)
    s.api("POST", "/v1/config:reload")
    for path in PATHS:
        t.check(SECRET not in str(s.api("GET", path)), f"{path} shows the password")
    t.check(SECRET not in s.ctl("status").stdout + s.ctl("doctor").stdout, "sluicectl shows the password")
    files = [f for f in s.access_log.parent.rglob("*") if f.is_file()]
    t.check(any(f.suffix == ".log" for f in files), f"files: {files}")
    for f in files:
        if f.name != "sluice.jsonc" and f.stat().st_mode & 0o077:
            t.check(SECRET.encode() not in f.read_bytes(), f"{f.name} holds the password")


story(__doc__, tell)
