#!/usr/bin/env python3
"""max_connections holds over both workers: what is more waits, first come, first served, for so
long and so many; a client that leaves makes room, and a drain answers those that wait."""
import json
import signal
import socket
import struct
import threading
import time

from harness import Origin, eventually, story


class Counting(Origin):
    """Knows how many requests it had at a time."""

    def __init__(self, version):
        self.active, self.peak, self.order = 0, 0, []
        super().__init__(version)

    def decide(self, path):
        with self.lock:
            self.active += 1
            self.peak = max(self.peak, self.active)
            self.order.append(path)
        try:
            return super().decide(path)
        finally:
            with self.lock:
                self.active -= 1


class Crowd:
    """N requests at a time, each on a connection of its own."""

    def __init__(self, s, n, path):
        self.answers, self.took, self.lock = [], [], threading.Lock()
        self.threads = [threading.Thread(target=self.ask, args=(s, path)) for _ in range(n)]
        for t in self.threads:
            t.start()

    def ask(self, s, path):
        start = time.monotonic()
        a = s.get(path)
        with self.lock:
            self.answers.append(a)
            self.took.append(time.monotonic() - start)

    def wait(self):
        for t in self.threads:
            t.join()
        return sorted(a.status for a in self.answers)


def send(s, path):
    c = socket.create_connection(("127.0.0.1", s.port), 10)
    c.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return c


def tell(t):
    v1 = Counting("v1")
    t.started.append(v1)
    limits = {"max_connections": 4, "max_pending": 6, "pending_timeout": "10s"}
    s = t.sluice(workers=2, services={"shop": {
        "versions": {"v1": {"endpoints": [v1.address]}}, "limits": limits}})
    series = '{service="shop",version="v1"}'
    waiting = lambda: s.metrics()["sluice_pending_requests" + series]

    crowd = Crowd(s, 20, "/slow?ms=400")
    eventually("six wait", lambda: waiting() == 6)
    shown = s.api("GET", "/v1/services/shop")["versions"][0]["limited"]
    t.equal((shown["connections"], shown["pending"], shown["max_connections"]), (4, 6, 4), "the API")
    t.equal(crowd.wait(), [200] * 10 + [503] * 10, "four at a time, six that wait")
    t.equal(v1.peak, 4, "requests at a time")
    t.check(all(a.headers["retry-after"] == "1" for a in crowd.answers if a.status == 503), "later")
    t.equal(s.metrics()["sluice_pending_overflows_total" + series], 10, "counted")
    t.equal(waiting(), 0, "nobody waits")

    def configure(**changed):
        limits.update(changed)
        s.write_config()
        s.api("POST", "/v1/config:reload")

    configure(pending_timeout="300ms", max_pending=100)
    crowd = Crowd(s, 8, "/slow?ms=1200")
    t.equal(crowd.wait(), [200] * 4 + [503] * 4, "who waits too long")
    late = [took for a, took in zip(crowd.answers, crowd.took) if a.status == 503]
    t.check(all(took > 0.29 for took in late), f"so long: {late}")
    t.equal(s.metrics()["sluice_pending_timeouts_total" + series], 4, "counted")

    configure(pending_timeout="10s", max_connections=1)
    statuses = [s.get("/").status for _ in range(30)]
    t.equal(statuses, [200] * 30, "the only connection goes from worker to worker")

    v1.order.clear()
    holders = [send(s, "/slow?ms=1000")]
    eventually("one is asked", lambda: v1.order)
    for i in range(6):
        holders.append(send(s, f"/slow?ms={i + 10}"))
        time.sleep(0.1)
    t.equal(waiting(), 6, "all others wait")
    holders[3].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    holders[3].close()
    eventually("one has left", lambda: waiting() == 5)
    for i, c in enumerate(holders):
        if i != 3:
            t.check(c.recv(4096).startswith(b"HTTP/1.1 200"), f"the answer of {i}")
            c.close()
    t.equal([p[9:] for p in v1.order], ["1000", "10", "11", "13", "14", "15"], "first come")

    configure(max_connections=2)
    crowd = Crowd(s, 8, "/slow?ms=300")
    eventually("six wait", lambda: waiting() == 6)
    s.signal(signal.SIGTERM)
    t.equal(crowd.wait(), [200] * 8, "a drain answers those that wait")
    ends = [json.loads(line)["end"] for line in s.access_log.read_text().splitlines()]
    t.equal((ends.count("pending_full"), ends.count("pending_timeout"), ends.count("client_abort")),
            (10, 4, 1), "the access log says why")


story(__doc__, tell)
