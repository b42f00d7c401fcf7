#!/usr/bin/env python3
"""SIGHUP ten times under load: services, routes and listeners come and go, and not one request
fails. Weights that were set through the API stay."""
import copy
import signal
import time

from harness import free_port, story


def tell(t):
    v1, v2, extra = t.origin("v1"), t.origin("v2"), t.origin("extra")
    s = t.sluice(services={"shop": {
        "versions": {"v1": {"endpoints": [v1.address]}, "v2": {"endpoints": [v2.address]}},
        "weights": {"v1": 100, "v2": 0}}})
    s.api("PUT", "/v1/services/shop/weights", {"v1": 60, "v2": 40})
    small = copy.deepcopy(s.config)
    large = copy.deepcopy(s.config)
    port = free_port()
    large["listeners"]["second"] = {"address": f"127.0.0.1:{port}"}
    large["services"]["extra"] = {"versions": {"v1": {"endpoints": [extra.address]}}}
    large["routes"].append({"path": "/extra/", "service": "extra"})
    load = t.load(s, clients=4, rate=400)

    for _ in range(5):
        s.write_config(large)
        s.signal(signal.SIGHUP)
        t.eventually("the new route is there",
                     lambda: s.get("/extra/x").headers.get("x-version") == "extra")
        t.equal(s.get("/", port=port).status, 200, "the new listener")
        time.sleep(0.2)
        s.write_config(small)
        s.signal(signal.SIGHUP)
        t.eventually("the new route is gone",
                     lambda: s.get("/extra/x").headers.get("x-version") != "extra")

        def refused():
            try:
                s.get("/", port=port, timeout=1)
                return False
            except ConnectionRefusedError:
                return True

        t.eventually("the new listener is gone", refused)
    t.no_failures(load)
    t.equal(s.api("GET", "/v1/services/shop/weights")["weights"], {"v1": 60, "v2": 40})
    t.check(load.versions["v2"] > 0.3 * load.ok, f"shares: {load.versions}")


story(__doc__, tell)
