#!/usr/bin/env python3
"""A request that is not complete in time because its client is slow ends as the client's doing: 408,
no error of the version, nobody ejected. One that the endpoint does not take, or does not answer,
is the version's."""
import json
import socket
import threading

from harness import Peer, free_port, story

HEAD = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


class Endpoint(Peer):
    """Reads what comes and never answers; deaf: does not even read."""

    def __init__(self, deaf):
        self.deaf, self.over = deaf, threading.Event()
        super().__init__()

    def serve(self, conn):
        with conn:
            while not self.deaf and conn.recv(65536):
                pass
            self.over.wait(60)

    def stop(self):
        self.over.set()
        super().stop()


def upload(s, path, pieces, size, pause):
    """Send PIECES, one every PAUSE seconds, until there is an answer; that, and how many went."""
    with socket.create_connection(("127.0.0.1", s.port), timeout=30) as c:
        c.sendall(HEAD % (path.encode(), size))
        sent, got = 0, b""
        c.settimeout(pause)
        for piece in pieces:
            try:
                c.sendall(piece)
                sent += 1
            except TimeoutError:  # nobody takes it
                pass
            except OSError:
                break
            try:
                got = c.recv(4096)
                break
            except TimeoutError:
                pass
        c.settimeout(30)
        return got or c.recv(4096), sent


def tell(t):
    reader, deaf = Endpoint(False), Endpoint(True)
    t.started += [reader, deaf]

    def service(peer, **timeouts):
        return {"versions": {"v1": {"endpoints": [peer.address]}}, "timeouts": timeouts,
                "outlier": {"consecutive_errors": 1, "eject": "60s", "max_ejected": 100}}
    port = free_port()
    s = t.sluice(workers=1, services={
        "total": service(reader, request="1s"), "idle": service(reader, idle="300ms"),
        "mute": service(reader, request="1s"), "deaf": service(deaf, request="2s")},
        listeners={"web": {"address": f"127.0.0.1:{port}", "timeouts": {"stall": "1s"}}},
        routes=[{"path": f"/{n}", "service": n} for n in ("total", "idle", "mute", "deaf")])

    s.port = port

    def last():
        return json.loads(s.access_log.read_text().splitlines()[-1])

    def ended(n, status, end):
        t.eventually("the line", lambda: len(s.access_log.read_text().splitlines()) == n)
        line = last()
        t.equal((line["status"], line["end"]), (status, end), line["path"])

    def ejections(name):
        return sum(v for k, v in s.metrics().items()
                   if k.startswith("sluice_endpoint_ejections_total{") and f'service="{name}"' in k)

    answer, sent = upload(s, "/total", [b"x"] * 600, 600, 0.05)
    t.check(answer.startswith(b"HTTP/1.1 408 ") and sent < 600, f"{answer[:40]!r} after {sent}")
    ended(1, 408, "body_timeout")
    answer, _ = upload(s, "/idle", [b"x"], 10, 0.05)
    t.check(answer.startswith(b"HTTP/1.1 408 "), f"a stalled client: {answer[:40]!r}")
    ended(2, 408, "body_timeout")
    t.equal((ejections("total"), ejections("idle")), (0, 0), "the endpoint did nothing wrong")

    t.equal(s.get("/mute", "POST", b"all of it").status, 504, "nobody answers")
    ended(3, 504, "request_timeout")
    answer, _ = upload(s, "/deaf", [b"x" * (1 << 20)] * 64, 64 << 20, 0.05)
    t.check(answer.startswith(b"HTTP/1.1 504 "), f"a deaf endpoint: {answer[:40]!r}")
    ended(4, 504, "request_timeout")
    t.equal((ejections("mute"), ejections("deaf")), (1, 1), "these are its errors")


story(__doc__, tell)
