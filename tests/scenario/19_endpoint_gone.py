#!/usr/bin/env python3
"""One of two endpoints dies under load: requests go to the other one, the health check takes it
out, and takes it back when it is there again. With both gone the answer is 503."""
from harness import story


def endpoint(s, address):
    for v in s.api("GET", "/v1/services/shop")["versions"]:
        for e in v["endpoints"]:
            if e["address"] == address:
                return e
    return None


def tell(t):
    a, b = t.origin("v1"), t.origin("v1")
    s = t.sluice(services={"shop": {
        "versions": {"v1": {"endpoints": [a.address, b.address]}},
        "health": {"path": "/up", "interval": "200ms", "timeout": "500ms", "rise": 2, "fall": 2},
        "timeouts": {"connect": "500ms"}}})
    load = t.load(s, clients=4, rate=200)
    t.eventually("both get requests", lambda: a.requests > 20 and b.requests > 20)
    a.stop()
    t.eventually("the check takes it out", lambda: not endpoint(s, a.address)["up"])
    answered = b.requests
    t.eventually("the other goes on", lambda: b.requests > answered + 50)
    load.stop()
    # What was on its connections when they broke is lost; GETs on a dead one are tried again.
    t.say(f"{load.ok} answers, {len(load.failures)} failures: {load.failures[:3]}")
    t.check(len(load.failures) <= 4, "more failures than there were requests in flight")

    b.stop()
    t.eventually("503 when all are gone", lambda: s.get("/").status == 503)
    t.eventually("it says when to come back",
                 lambda: s.get("/").headers.get("retry-after") is not None)
    a.start()
    t.eventually("the check takes it back", lambda: endpoint(s, a.address)["up"])
    t.equal([s.get("/").status for _ in range(20)], [200] * 20)


story(__doc__, tell)
