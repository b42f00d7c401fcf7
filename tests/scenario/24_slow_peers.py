#!/usr/bin/env python3
"""Slow and stalled peers cost bounded time: a head that never ends gets 408, a service that does
not answer 504, one that cannot be connected 502 or 504, and one that stops in the middle of a body
ends the exchange. Others notice nothing."""
import json
import socket
import threading
import time

from harness import free_port, story


def stalling(after):
    """A service that accepts, reads the head, sends AFTER and then nothing."""
    listener = socket.create_server(("127.0.0.1", free_port()))

    def serve():
        kept = []
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            kept.append(conn)
            conn.recv(65536)
            conn.sendall(after)
    threading.Thread(target=serve, daemon=True).start()
    return listener


def tell(t):
    good = t.origin("v1")
    mute = stalling(b"")
    half = stalling(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    address = lambda l: "127.0.0.1:%d" % l.getsockname()[1]
    timeouts = {"connect": "500ms", "first_byte": "700ms", "idle": "700ms"}
    s = t.sluice(services={
        "good": {"versions": {"v1": {"endpoints": [good.address]}}},
        "mute": {"versions": {"v1": {"endpoints": [address(mute)]}}, "timeouts": timeouts},
        "half": {"versions": {"v1": {"endpoints": [address(half)]}}, "timeouts": timeouts},
        "none": {"versions": {"v1": {"endpoints": [f"127.0.0.1:{free_port()}"]}}, "timeouts": timeouts}},
        routes=[{"path": "/", "service": "good"}, {"path": "/mute", "service": "mute"},
                {"path": "/half", "service": "half"}, {"path": "/none", "service": "none"}])
    load = t.load(s, clients=2, rate=50)
    drip = socket.create_connection(("127.0.0.1", s.port))
    dripping = time.monotonic()
    drip.sendall(b"GET / HTTP/1.1\r\nHo")

    start = time.monotonic()
    t.equal(s.get("/mute").status, 504, "no first byte")
    t.check(time.monotonic() - start > 0.5, "in its time")
    t.check(s.get("/none").status in (502, 503), "nobody listens")
    with socket.create_connection(("127.0.0.1", s.port), timeout=60) as c:
        c.sendall(b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b""
        while part := c.recv(4096):
            got += part
    t.check(got.endswith(b"half"), f"what came is passed on: {got!r}")

    while time.monotonic() - dripping < 6:  # a byte now and then must not help
        time.sleep(1)
        drip.sendall(b"s")
    drip.settimeout(60)
    answer = drip.recv(4096)
    t.check(answer.startswith(b"HTTP/1.1 408 "), f"drip: {answer[:60]!r}")
    t.check(time.monotonic() - dripping > 9, "408 after 10 s in all")
    drip.close()
    t.no_failures(load)
    ends = {json.loads(line)["end"] for line in s.access_log.read_text().splitlines()}
    t.say(f"ends: {sorted(ends)}")
    t.check({"done", "first_byte_timeout", "idle_timeout"} <= ends, f"ends: {ends}")
    mute.close()
    half.close()


story(__doc__, tell)
