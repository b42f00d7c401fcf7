#!/usr/bin/env python3
"""An endpoint answers errors while its health check is well: workers leave it alone after a few,
let it in again after a pause, and never leave out more than the configured share."""
import time

from harness import story


def tell(t):
    good, bad = t.origin("v1"), t.origin("v1")
    s = t.sluice(workers=1, services={"shop": {
        "versions": {"v1": {"endpoints": [good.address, bad.address]}},
        "balance": "round_robin",
        "outlier": {"consecutive_errors": 3, "eject": "1s", "max_ejected": 50}}})
    bad.errors = 1.0
    statuses = [s.get("/").status for _ in range(60)]
    t.equal(statuses.count(500), 3, "errors that clients saw")

    def shown(name):
        shop = s.api("GET", "/v1/services/shop")
        endpoint = next(e for e in shop["versions"][0]["endpoints"]
                        if e["address"] == bad.address)
        return endpoint[name]

    t.equal(shown("ejected"), 1, "workers that avoid it")
    t.check(f'sluice_endpoint_ejected{{service="shop",version="v1",endpoint="{bad.address}"}} 1'
            in s.call("GET", "/metrics").body.decode(), "the gauge")

    bad.errors = 0.0
    t.eventually("the pause is over", lambda: shown("ejected") == 0)
    before = bad.requests
    for _ in range(20):
        t.equal(s.get("/").status, 200)
    t.equal(bad.requests - before, 10, "requests on the endpoint that is back")

    good.errors = bad.errors = 1.0
    seen = [s.get("/") for _ in range(40)]
    t.check(all(a.status == 500 for a in seen), "all fail, and nobody makes it a 503")
    t.equal(shown("ejected") +
            next(e for e in s.api("GET", "/v1/services/shop")["versions"][0]["endpoints"]
                 if e["address"] == good.address)["ejected"], 1, "half of them at most")
    time.sleep(0.1)


story(__doc__, tell)
