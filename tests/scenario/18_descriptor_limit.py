#!/usr/bin/env python3
"""Clients open more connections than a worker may have descriptors. It survives without spinning,
says so in its counters, and serves as before once they are gone."""
import os
import pathlib
import resource
import socket
import time

from harness import story

LIMIT = 128


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tell(t):
    v1 = t.origin("v1")
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    s = t.sluice(workers=1, services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    worker = s.children()["worker 0"]
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    t.check(own[0] > LIMIT * 3, "this process needs descriptors of its own")
    t.equal(s.get("/").status, 200)

    idle = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(LIMIT * 2)]
    failed = t.eventually("the worker counts what it could not accept", lambda: sum(
        v for k, v in s.metrics().items() if "accept" in k and "fail" in k))
    before = cpu_seconds(worker)
    time.sleep(1)
    busy = cpu_seconds(worker) - before
    t.say(f"{failed:.0f} failed accepts, {busy:.2f} s of CPU in a second at the limit")
    t.check(busy < 0.5, f"it spins: {busy:.2f} s of CPU in a second")
    for c in idle:
        c.close()
    t.eventually("it serves again", lambda: s.get("/", timeout=2).status == 200)
    t.equal([s.get("/").status for _ in range(50)], [200] * 50)
    t.equal(s.children()["worker 0"], worker, "the worker")


story(__doc__, tell)
