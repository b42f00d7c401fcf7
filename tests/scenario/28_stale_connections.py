#!/usr/bin/env python3
"""Endpoints that close idle connections at random are never the clients' problem: under load not one
request fails. A connection that is never made ends after its time and another endpoint answers."""
import random
import select
import socket
import time

from harness import Peer, eventually, story


class Impatient(Peer):
    """Answers, then closes the connection if nothing comes for 0 to 3 ms, and counts that."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

    def __init__(self):
        self.closed = self.answered = 0
        super().__init__()

    def serve(self, c):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with c:
            while data := c.recv(65536):
                while not data.endswith(b"\r\n\r\n"):
                    data += c.recv(65536)
                self.answered += 1
                c.sendall(self.ANSWER)
                if not select.select([c], [], [], random.random() * 0.003)[0]:
                    self.closed += 1
                    return


def tell(t):
    a, b = Impatient(), Impatient()
    s = t.sluice(workers=2, services={"shop": {
        "versions": {"v1": {"endpoints": [a.address, b.address]}},
        "retry": {"attempts": 1, "on": []}}})
    load = t.load(s, clients=8, rate=1600)
    time.sleep(6)
    t.no_failures(load)
    closed = a.closed + b.closed
    again = s.metrics()['sluice_upstream_retries_total{service="shop",version="v1"}']
    t.say(f"{closed} connections closed when idle, {again:.0f} requests met one in that moment")
    t.check(closed > 200, f"connections closed: {closed}")
    t.equal(s.metrics()['sluice_upstream_connect_failures_total{service="shop",version="v1"}'], 0,
            "that is nobody's failure")

    hole = socket.create_server(("127.0.0.1", 0), backlog=0)  # takes no more connections
    held = []
    for _ in range(8):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(hole.getsockname())
        held.append(c)
    time.sleep(0.2)
    endpoints = [f"127.0.0.1:{hole.getsockname()[1]}"]

    def shop(endpoints, **fields):
        s.config["services"]["shop"] = {"versions": {"v1": {"endpoints": endpoints}},
                                        "balance": "round_robin", **fields}
        s.write_config()
        s.api("POST", "/v1/config:reload")
        s.api("PUT", "/v1/services/shop/versions/v1", {"endpoints": endpoints})

    shop(endpoints, timeouts={"connect": "300ms"}, retry={"attempts": 1})
    start = time.monotonic()
    t.equal(s.get("/").status, 504, "nobody takes the connection")
    t.check(time.monotonic() - start > 0.29, "in its time")
    eventually("why", lambda: '"end":"connect_timeout"' in s.access_log.read_text())
    shop([*endpoints, a.address], timeouts={"connect": "300ms"}, retry={"attempts": 2})
    t.equal([s.get("/", "POST").status for _ in range(4)], [200] * 4, "another one does")
    for c in held:
        c.close()


story(__doc__, tell)
