#!/usr/bin/env python3
"""HTTP/2 connections while the proxy is reloaded and while it drains: no request fails under load, and
a client hears it in two steps: no more streams at some time, then, once what it had sent by then has
arrived, from which number on nothing was looked at."""
import shutil
import threading

from harness import Peer, Skip, free_port, story
from http2_load import Http2Load
from raw_http2 import DATA, END_STREAM, GOAWAY, PING, Raw, frame, request


class Service(Peer):
    """/wait answers once told to; anything else at once."""

    def __init__(self):
        self.go, self.waiting = threading.Event(), 0
        super().__init__()

    def serve(self, conn):
        f = conn.makefile("rb")
        with conn:
            try:
                while head := f.readline():
                    while (line := f.readline()) not in (b"\r\n", b""):
                        head += line
                    if head.split()[1] == b"/wait":
                        self.waiting += 1
                        self.go.wait(100)
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except OSError:
                pass


def told_twice(t, service, s, port):
    """The first word names no stream; one that is opened meanwhile is answered."""
    c = Raw(port)
    c.ask(1, request(b"/wait"))
    c.ask(3, request(b"/body", b"POST"), end=False)
    t.eventually("a request is under way", lambda: service.waiting == 1)
    s.process.terminate()
    c.until(lambda: c.find(GOAWAY) and c.find(PING))
    first = c.find(GOAWAY)
    t.equal([int.from_bytes(f.payload[:8], "big") for f in first], [0x7fffffff << 32], "the first GOAWAY")
    c.ask(5, request(b"/late"))  # it crossed the word
    c.send(frame(PING, 1, 0, c.find(PING)[0].payload))
    c.until(lambda: len(c.find(GOAWAY)) == 2)
    t.equal([int.from_bytes(f.payload[:8], "big") for f in c.find(GOAWAY)[1:]], [5 << 32], "the second GOAWAY")
    c.send(frame(DATA, END_STREAM, 3, b"to the end"))
    c.until(lambda: c.over(3) and c.over(5))
    service.go.set()
    c.until(lambda: c.closed)
    t.equal([c.status(i) for i in (1, 3, 5)], [200] * 3, "what was under way")
    t.check(c.closed and all(c.over(i) for i in (1, 3, 5)), "then the connection ends")


def tell(t):
    if not shutil.which("node"):
        raise Skip("there is no node")
    service, port = Service(), free_port()
    t.started.append(service)
    s = t.sluice(drain="60s", services={"shop": {"versions": {"v1": {"endpoints": [service.address]},
                                                              "v2": {"endpoints": [service.address]}},
                                                 "weights": {"v1": 100, "v2": 0}}},
                 listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2"]}})
    load = Http2Load(t.directory, port, sessions=3, streams=8, until_refused=True)
    t.started.append(load)
    t.eventually("the load has begun", lambda: load.answered() > 100)
    for n in range(3):
        s.config["services"]["shop"]["weights"] = {"v1": 100 - 10 * n, "v2": 10 * n}
        s.write_config()
        s.process.send_signal(1)
        so_far = load.answered()
        t.eventually(f"requests after reload {n}", lambda: load.answered() > so_far + 200)
    told_twice(t, service, s, port)
    t.equal(s.wait(90), 0, "exit status")
    load.ended_well(t)


story(__doc__, tell)
