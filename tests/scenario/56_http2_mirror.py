#!/usr/bin/env python3
"""Copies of requests over HTTP/2: whole, and sent again only as often as that may help; a server
that leaves them alone is not asked for ever, and a copy is never half of what it was."""
import re

from harness import story
from raw_http2 import DATA, END_STREAM, HEADERS
from raw_http2_server import REFUSED, Http2Peer, head, reset


def results(s):
    """Of sluice_mirror_requests_total."""
    return {m[1]: int(m[2]) for m in re.finditer(
        r'sluice_mirror_requests_total\{service="shop",version="v2",result="(\w+)"\} (\d+)',
        s.call("GET", "/metrics").body.decode())}


class Shadow(Http2Peer):
    """Refuses the first .refuse requests of those it is asked, answers the others."""

    def __init__(self):
        self.refuse, self.bodies = 0, []
        super().__init__(self.react)

    def react(self, _, conn, f):
        if f.kind == HEADERS:
            self.bodies.append(b"")
            if self.refuse:
                self.refuse -= 1
                conn.sendall(reset(f.stream, REFUSED))
                return
        if f.kind == DATA:
            self.bodies[-1] += f.payload
        if f.kind in (HEADERS, DATA) and f.flags & END_STREAM:
            conn.sendall(head(f.stream, True))


def tell(t):
    v1, shadow = t.origin("v1"), Shadow()
    t.started.append(shadow)
    mirror = {"to": "v2", "percent": 100, "methods": ["GET", "POST"], "timeout": "5s", "max_body": 1 << 20, "max_memory": 8 << 20}
    s = t.sluice(workers=1, services={"shop": {
        "versions": {"v1": {"endpoints": [v1.address]},
                     "v2": {"endpoints": [shadow.address], "protocol": "h2c"}},
        "weights": {"v1": 100, "v2": 0}, "mirror": mirror}})

    def copies(want, before):
        def moved():
            now = results(s)
            return {k: n - before.get(k, 0) for k, n in now.items() if n != before.get(k, 0)}
        t.eventually(f"results {want}", lambda: moved() == want or None)

    t.say("copies are whole")
    before, body = results(s), bytes(range(256)) * 2000
    for part in (b"", body[:100], body):
        t.equal(s.get("/", method="POST", body=part).status, 200)
    copies({"ok": 3}, before)
    t.equal(sorted(shadow.bodies), sorted([b"", body[:100], body]))

    t.say("one that was left alone is sent again")
    before, shadow.bodies, shadow.refuse = results(s), [], 1
    t.equal(s.get("/", method="POST", body=body[:100]).status, 200)
    copies({"ok": 1}, before)
    t.equal(shadow.bodies, [body[:100]] * 2, "both times")

    t.say("but not if only a part of it is still here")
    before, shadow.bodies, shadow.refuse = results(s), [], 1
    t.equal(s.get("/", method="POST", body=body).status, 200)
    copies({"failed": 1}, before)
    t.equal(len(shadow.bodies), 1, "requests")

    t.say("and not for ever")
    before, asked, shadow.refuse = results(s), shadow.asked(), 1 << 30
    for _ in range(5):
        t.equal(s.get("/").status, 200)
    copies({"failed": 5}, before)
    t.equal(shadow.asked() - asked, 10, "requests of five copies")


if __name__ == "__main__":
    story(__doc__, tell)
