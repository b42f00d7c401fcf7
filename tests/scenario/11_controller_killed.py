#!/usr/bin/env python3
"""The controller is killed with -9, again and again, under load. Not one request fails, and the
control API is back within a second with the weights it had."""
import os
import signal
import time

from harness import story


def tell(t):
    v1, v2 = t.origin("v1"), t.origin("v2")
    s = t.sluice(services={"shop": {
        "versions": {"v1": {"endpoints": [v1.address]}, "v2": {"endpoints": [v2.address]}},
        "weights": {"v1": 100, "v2": 0}}})
    s.api("PUT", "/v1/services/shop/weights", {"v1": 70, "v2": 30})
    load = t.load(s, clients=4, rate=300)
    for _ in range(3):
        time.sleep(1.2)  # long enough to be taken for a healthy life
        killed = time.monotonic()
        os.kill(s.children()["controller"], signal.SIGKILL)
        weights = t.eventually("the control API answers",
                               lambda: s.api("GET", "/v1/services/shop/weights")["weights"])
        t.say(f"control API back after {(time.monotonic() - killed) * 1000:.0f} ms")
        t.equal(weights, {"v1": 70, "v2": 30}, "weights")
    t.eventually("status counts the restarts",
                 lambda: s.status()["controller"]["restarts"] == 3)
    t.no_failures(load)
    t.check(load.versions["v2"] > 0, "v2 got nothing")


story(__doc__, tell)
