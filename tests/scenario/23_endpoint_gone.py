#!/usr/bin/env python3
"""An endpoint dies under load: its connections are retried where that is safe, the health check
takes it out, and it comes back when it is well. With no endpoint left the answer is 503 with
Retry-After."""
import time

from harness import story


def tell(t):
    a, b = t.origin("v1"), t.origin("v1")
    s = t.sluice(services={"shop": {
        "versions": {"v1": {"endpoints": [a.address, b.address]}}, "balance": "round_robin",
        "health": {"path": "/up", "interval": "200ms", "timeout": "1s", "rise": 2, "fall": 2},
        "retry": {"attempts": 2, "on": ["connect", "reset"]}}})
    load = t.load(s, clients=4, rate=200)
    time.sleep(0.5)
    b.stop()

    def endpoint(address):
        shop = s.api("GET", "/v1/services/shop")
        return next(e for e in shop["versions"][0]["endpoints"] if e["address"] == address)

    t.eventually("the dead endpoint is down", lambda: not endpoint(b.address)["up"])
    t.check(endpoint(b.address)["last_error"], "the reason is shown")
    time.sleep(0.3)
    load.stop()
    t.say(f"{load.ok} answers, {len(load.failures)} failures while an endpoint died")
    # A request that was already at the dead endpoint is lost; each client may have had one.
    t.check(len(load.failures) <= 4, f"failures: {load.failures[:6]}")

    a.stop()
    t.eventually("nobody is up", lambda: not endpoint(a.address)["up"])
    # The controller knows first, each worker a moment later.
    answer = t.eventually("both workers know", lambda: (x := s.get("/")).status == 503 and x)
    t.check(int(answer.headers["retry-after"]) >= 1, "Retry-After")
    t.equal(s.status()["services"][0]["health"], "down")

    a.start()
    t.eventually("it is back", lambda: s.get("/").status == 200)
    types = [e["type"] for e in s.api("GET", "/v1/events?limit=1000")["events"]]
    t.check("endpoint.down" in types and "endpoint.up" in types, f"events: {types}")


story(__doc__, tell)
