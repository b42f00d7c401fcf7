#!/usr/bin/env python3
"""A version gets no more than what is ready of it: when endpoints of the new one fail their
checks its share goes to the old one, exactly, and comes back with them; weight 0 drains, but
overrides still reach it."""
import collections

from harness import story


def tell(t):
    old, new = t.origin("v1"), [t.origin("v2"), t.origin("v2")]
    s = t.sluice(workers=1, services={"shop": {
        "versions": {"v1": {"endpoints": [old.address]}, "v2": {"endpoints": [o.address for o in new]}},
        "weights": {"v1": 60, "v2": 40},
        "health": {"path": "/up", "interval": "100ms", "timeout": "1s", "rise": 1, "fall": 1},
        "overrides": [{"name": "qa", "match": {"header": {"x-canary": "1"}}, "to": "v2"}]}})

    def up():
        versions = s.api("GET", "/v1/services/shop")["versions"]
        return [e["up"] for v in versions for e in v["endpoints"]]

    def shares(want, health):
        t.eventually(f"health {health}", lambda: up() == health or None)
        t.eventually("the workers know", lambda: all(w["generation"] == s.status()["generation"] for w in s.status()["workers"]) or None)
        got = collections.Counter((a.status, a.headers.get("x-version")) for a in (s.get("/") for _ in range(100)))
        t.equal(dict(got), want)

    shares({(200, "v1"): 60, (200, "v2"): 40}, [True, True, True])
    new[0].up = False
    shares({(200, "v1"): 80, (200, "v2"): 20}, [True, False, True])
    new[1].up = False
    shares({(200, "v1"): 100}, [True, False, False])
    set_weight = s.api("GET", "/v1/services/shop/weights")["weights"]
    t.equal(set_weight, {"v1": 60, "v2": 40}, "what was asked for")
    new[0].up = new[1].up = True
    shares({(200, "v1"): 60, (200, "v2"): 40}, [True, True, True])
    old.up = False
    shares({(200, "v2"): 100}, [False, True, True])
    new[0].up = new[1].up = False
    t.eventually("nothing is left", lambda: up() == [False] * 3 or None)
    t.eventually("and said so", lambda: s.get("/").status == 503 or None)
    old.up = new[0].up = new[1].up = True
    s.api("PUT", "/v1/services/shop/weights", {"v1": 100, "v2": 0})
    shares({(200, "v1"): 100}, [True, True, True])
    t.equal(s.get("/", headers={"X-Canary": "1"}).headers["x-version"], "v2")


story(__doc__, tell)
