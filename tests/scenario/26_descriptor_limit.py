#!/usr/bin/env python3
"""Descriptors run out, and no mark warns of it: accepting pauses without spinning, connections that exist go on, and when
some close the waiting ones are served."""
import pathlib
import resource
import socket
import time

from harness import story


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def tell(t):
    v1 = t.origin("v1")
    s = t.sluice(workers=1, overload={"descriptors": 0}, services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    pid = s.children()["worker 0"]
    in_use = len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (in_use + 20, in_use + 20))
    kept = socket.create_connection(("127.0.0.1", s.port), timeout=10)
    kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    t.check(kept.recv(4096).startswith(b"HTTP/1.1 200"), "before")
    crowd = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(60)]
    time.sleep(0.5)
    busy = cpu(pid)
    time.sleep(2)
    t.check(cpu(pid) - busy < 0.7, f"the worker spins: {cpu(pid) - busy:.2f} s of CPU in 2 s")
    kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    t.check(kept.recv(4096).startswith(b"HTTP/1.1 200"), "an open connection goes on")
    for c in crowd:
        c.close()
    t.eventually("new clients are served", lambda: s.get("/", timeout=5).status == 200)
    t.equal(s.children()["worker 0"], pid, "the same worker")


story(__doc__, tell)
