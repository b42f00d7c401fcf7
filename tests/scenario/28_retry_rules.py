#!/usr/bin/env python3
"""What is tried again, where and how often: refused, reset, slow and unwilling endpoints, with
pauses between the tries, methods that may be repeated, and an end to it."""
import concurrent.futures
import socket
import struct
import threading
import time

from harness import Origin, free_port, story


class Moody(Origin):
    """Answers with the statuses of `moods` in turn, then with 200."""

    def __init__(self, version):
        self.moods, self.always, self.seen = [], None, []
        super().__init__(version)

    def decide(self, path):
        super().decide(path)
        with self.lock:
            self.seen.append(time.monotonic())
            return self.always or (self.moods.pop(0) if self.moods else 200)


def resetting():
    """Takes a request and resets the connection. -> its address"""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            c, _ = server.accept()
            c.recv(65536)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.close()
    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}"


def tell(t):
    a, b = Moody("v1"), Moody("v1")
    t.started += [a, b]
    s = t.sluice(workers=1, services={"shop": {
        "versions": {"v1": {"endpoints": [a.address]}}, "balance": "round_robin"}})

    def shop(endpoints, **fields):
        s.config["services"]["shop"] = {
            "versions": {"v1": {"endpoints": endpoints}}, "balance": "round_robin", **fields}
        s.write_config()
        s.api("POST", "/v1/config:reload")
        s.api("PUT", "/v1/services/shop/versions/v1", {"endpoints": endpoints})

    def statuses(n, method="GET", **more):
        body = b"x" if method in ("POST", "PUT", "PATCH") else None
        return [s.get("/", method, body, **more).status for _ in range(n)]

    refused = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    shop([*refused, a.address], retry={"attempts": 3, "budget": 0})
    t.equal(statuses(6) + statuses(6, "POST"), [200] * 12, "refused: nothing was sent")
    tries = [int(s.get("/").headers.get("x-sluice-attempts", 1)) for _ in range(30)]
    t.equal(max(tries), 3, "none of the refused ones is asked twice")
    answer = s.get("/", headers={"X-Sluice-Attempts": "7"})
    t.check(b'"x-sluice-attempts": "7"' not in answer.body, "that is ours to say")

    shop([resetting(), a.address], retry={"attempts": 2, "budget": 100})
    t.equal(statuses(6), [200] * 6, "reset")
    t.equal(sorted(statuses(6, "POST")), [200] * 3 + [502] * 3, "a POST may have been done")
    shop([resetting(), a.address], retry={"attempts": 2, "budget": 100,
                                          "methods": ["GET", "POST"]})
    t.equal(statuses(6, "POST"), [200] * 6, "a POST that may be repeated")
    t.equal(sorted(statuses(6, "PUT")), [200] * 3 + [502] * 3, "a PUT that may not")

    b.always = 429
    shop([a.address, b.address], retry={"attempts": 2, "on": ["429"], "budget": 100})
    t.equal(statuses(10), [200] * 10, "a status of the list")
    b.always = 501
    t.equal(sorted(statuses(10)), [200] * 5 + [501] * 5, "one that is not")
    shop([a.address, b.address], retry={"attempts": 2, "on": ["5xx"], "budget": 100})
    t.equal(statuses(10), [200] * 10, "a class")
    b.always = None

    b.latency = 0.6
    shop([a.address, b.address], retry={"attempts": 2, "on": ["timeout"], "budget": 100,
                                        "per_try_timeout": "150ms"})
    start = time.monotonic()
    t.equal(statuses(4), [200] * 4, "a try that takes too long")
    t.check(time.monotonic() - start > 0.29, "two of the four waited 150 ms")
    a.latency = 0.6
    start = time.monotonic()
    t.equal(statuses(1), [504], "two that do")
    t.check(time.monotonic() - start > 0.29, "150 ms each")
    t.eventually("its end", lambda: '"attempts":2,"end":"try_timeout"' in s.access_log.read_text())
    a.latency = b.latency = 0.0
    time.sleep(0.7)  # what was given up is still being answered

    shop([a.address], retry={"attempts": 4, "on": ["503"], "budget": 100,
                             "backoff": {"base": "80ms", "max": "100ms"}})
    pauses = []
    t.equal(statuses(60), [200] * 60, "requests that earn a budget")
    for _ in range(8):
        a.moods, a.seen = [503] * 3, []
        answer = s.get("/", "PUT", b"x" * 5000)
        t.equal((answer.status, answer.headers["x-sluice-attempts"]), (200, "4"), "in the end")
        pauses += [y - x for x, y in zip(a.seen, a.seen[1:])]
    t.check(max(pauses) < 0.2 and 0.02 < sum(pauses) / len(pauses) < 0.08,
            f"by chance, up to 80 to 100 ms: {pauses}")
    t.check(max(pauses) - min(pauses) > 0.03, f"not all alike: {pauses}")

    time.sleep(10.5)  # the budget's window
    a.always = b.always = 503
    a.seen, b.seen = [], []
    shop([a.address, b.address], retry={"attempts": 5, "on": ["503"], "budget": 20})
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: s.get("/").status, range(400)))
    t.equal(got, [503] * 400, "all are down")
    asked = len(a.seen) + len(b.seen)
    t.say(f"400 requests while everything fails: {asked} tries")
    t.check(470 <= asked <= 480, f"a fifth more: {asked}")

    b.always, b.latency = None, 0.4
    shop([a.address, b.address], retry={"attempts": 2, "on": ["503"], "budget": 100},
         limits={"max_retries": 2})
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: s.get("/"), range(10)))
    again = [x for x in answers if "x-sluice-attempts" in x.headers]
    t.equal([x.status for x in again], [200] * 2, "two may be tried again at a time")
    t.check([x.status for x in answers].count(503) >= 2, "others may not")
    t.equal(s.metrics()['sluice_limited_retries{service="shop",version="v1"}'], 0, "none is left")


story(__doc__, tell)
