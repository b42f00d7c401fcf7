#!/usr/bin/env python3
"""Endpoints get requests by weight, exactly; one that comes back beside others begins with little
and works up to its share."""
import collections
import time

from harness import story


def tell(t):
    big, small = t.origin("v1"), t.origin("v1")
    s = t.sluice(workers=1, services={"shop": {
        "versions": {"v1": {"endpoints": [{"address": big.address, "weight": 3}, small.address]}},
        "balance": "round_robin", "slow_start": "4s"}})

    def ask(n):
        return collections.Counter(s.get("/").headers["x-endpoint"] for _ in range(n))

    t.equal(dict(ask(80)), {big.address: 60, small.address: 20})
    rows = s.api("GET", "/v1/services/shop")["versions"][0]["endpoints"]
    t.equal({r["address"]: r["weight"] for r in rows}, {big.address: 3, small.address: 1})
    where = f"/v1/services/shop/versions/v1/endpoints/{big.address}"
    s.api("POST", where + ":drain")
    t.equal(dict(ask(10)), {small.address: 10})
    s.api("POST", where + ":ready")
    early = ask(80)[big.address]
    time.sleep(5)
    late = ask(80)[big.address]
    t.say(f"of 80 requests: {early} right after it came back, {late} when it is warm")
    t.check(0 < early < 40 and late == 60, "its share does not grow")


story(__doc__, tell)
