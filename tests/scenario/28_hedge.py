#!/usr/bin/env python3
"""A slow endpoint is hedged: another one is asked as well, the first answer counts, and the client
and the counters see one exchange. Not for POST, not beyond the budget, not with one endpoint."""
import json
import socket
import struct
import time

from harness import eventually, story


def tell(t):
    slow, fast = t.origin("v1"), t.origin("v1")
    hedge = {"after": "80ms", "max": 1, "budget": 100}
    s = t.sluice(workers=1, services={"shop": {
        "versions": {"v1": {"endpoints": [slow.address, fast.address]}},
        "balance": "round_robin", "hedge": hedge, "retry": {"attempts": 1}}})
    series = '{service="shop",version="v1"}'
    count = lambda name: int(s.metrics().get(f"sluice_{name}{series}", 0))

    def ask(n, **how):
        return [s.get("/", **how) for _ in range(n)]

    slow.latency = 5.0
    answers = ask(20)
    t.equal([a.status for a in answers], [200] * 20, "all answered")
    t.check({a.headers["x-endpoint"] for a in answers} == {fast.address}, "by the fast one")
    n = count("hedges_total")
    t.check(n >= 8, f"{n} hedges")
    t.equal(count("hedges_won_total"), n, "they won")
    t.equal(slow.requests + fast.requests, 20 + n, "what the endpoints got")
    t.equal(s.metrics()['sluice_requests_total{service="shop",version="v1",code="200",method="GET"}'],
            20, "one outcome each")
    t.equal(count("upstream_retries_total"), 0, "a hedge is no retry")
    lines = [json.loads(line) for line in s.access_log.read_text().splitlines()]
    t.equal((sum(x["attempts"] for x in lines), {x["endpoint"] for x in lines}),
            (20 + n, {fast.address}), "the access log")

    answers = ask(4, method="PUT", body=b"x" * 5000)
    t.equal([json.loads(a.body)["length"] for a in answers], [5000] * 4, "bodies go to both")
    t.check({a.headers["x-endpoint"] for a in answers} == {fast.address}, "a PUT is hedged")
    slow.latency = 0.5
    n = count("hedges_total")
    answers = ask(4, method="POST", body=b"x")
    t.equal(count("hedges_total"), n, "a POST is not")
    t.equal(sorted(a.headers["x-endpoint"] for a in answers), sorted([slow.address, fast.address] * 2), "both serve")

    def shop(endpoints, **fields):
        s.config["services"]["shop"].update(
            versions={"v1": {"endpoints": endpoints}}, **fields)
        s.write_config()
        s.api("POST", "/v1/config:reload")
        s.api("PUT", "/v1/services/shop/versions/v1", {"endpoints": endpoints})

    shop([slow.address, fast.address], retry={"attempts": 1, "on": ["500"]})
    fast.errors = 1.0
    answers = ask(6)
    t.equal([a.headers["x-endpoint"] for a in answers if a.status == 200], [slow.address] * 3,
            "an error does not win against an answer that may come")
    fast.errors, fast.latency = 0.0, 0.5

    c = socket.create_connection(("127.0.0.1", s.port), 10)
    n = slow.requests + fast.requests
    c.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually("two are asked", lambda: slow.requests + fast.requests == n + 2)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.close()
    eventually("both are cut", lambda: count("requests_in_flight") == 0)

    time.sleep(10.5)  # the budget's window
    slow.latency = fast.latency = 0.06
    n = count("hedges_total")
    shop([slow.address, fast.address], hedge={"after": "20ms", "max": 1, "budget": 10})
    answers = ask(100)
    t.equal(count("hedges_total") - n, 10, "a tenth of the requests")
    t.equal([a.status for a in answers], [200] * 100, "all answered")

    n = count("hedges_total")
    learning = {"after": "5ms", "percentile": 90, "max": 1, "budget": 100}
    shop([slow.address, fast.address], hedge=learning)
    slow.latency = fast.latency = 0.03
    ask(110)
    early = count("hedges_total") - n
    t.check(early >= 90, f"until enough is known, after 5 ms: {early} hedges")
    time.sleep(1)
    answers = ask(100)
    late = count("hedges_total") - n - early
    t.check(late <= 40, f"then about one of ten: {late} hedges")
    slow.latency = fast.latency = 0.0

    n = count("hedges_total")
    shop([slow.address], hedge=hedge)
    slow.latency = 0.2
    ask(3)
    t.equal(count("hedges_total"), n, "nobody else to ask")


story(__doc__, tell)
