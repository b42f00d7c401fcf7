#!/usr/bin/env python3
"""SIGTERM: what is in flight is finished, kept connections are told to go, nobody new gets in,
and the proxy exits with 0 and leaves no socket file."""
import http.client
import signal
import threading
import time

from harness import request, story


def tell(t):
    v1 = t.origin("v1")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    slow, seen = [], []

    def client():
        conn = http.client.HTTPConnection("127.0.0.1", s.port, timeout=20)
        request(conn, "GET", "/")  # so that it is a kept connection
        slow.append(request(conn, "GET", "/slow?ms=1500"))

    clients = [threading.Thread(target=client) for _ in range(10)]
    for c in clients:
        c.start()
    t.eventually("all slow requests have begun", lambda: v1.requests == 20)
    start = time.monotonic()
    s.signal(signal.SIGTERM)

    def not_ready():
        seen.append(s.call("GET", "/readyz").status)
        return seen[-1] == 503

    t.eventually("/readyz says 503", not_ready)

    def refused():
        try:
            s.get("/", timeout=1)
            return False
        except ConnectionRefusedError:
            return True
        except TimeoutError:  # not answered any more, not refused yet
            return False

    t.eventually("new connections are refused", refused)
    for c in clients:
        c.join(20)
    t.equal([a.status for a in slow], [200] * 10, "slow answers")
    t.equal([a.headers.get("connection") for a in slow], ["close"] * 10, "Connection")
    t.equal(s.wait(), 0, "exit status")
    t.say(f"down after {time.monotonic() - start:.2f} s")
    t.check(not s.socket.exists(), "the control socket is still there")


story(__doc__, tell)
