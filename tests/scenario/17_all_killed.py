#!/usr/bin/env python3
"""The supervisor is killed with -9 and takes everybody with it. The next start routes by the last
weights from its first answer on, not by those of the file, and its counters begin anew."""
import signal

from harness import story


def tell(t):
    v1, v2 = t.origin("v1"), t.origin("v2")
    shop = {"versions": {"v1": {"endpoints": [v1.address]}, "v2": {"endpoints": [v2.address]}},
            "weights": {"v1": 100, "v2": 0}}
    s = t.sluice(services={"shop": shop})
    s.api("PUT", "/v1/services/shop/weights", {"v1": 0, "v2": 100})
    t.equal(s.get("/").headers["x-version"], "v2")
    generation = s.status()["generation"]
    children = s.children()
    s.signal(signal.SIGKILL)
    s.wait()

    def gone():
        for pid in children.values():
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                if "State:\tZ" not in f.read():
                    return False
        return True

    def gone_or_reaped():
        try:
            return gone()
        except FileNotFoundError:
            return True

    t.eventually("no child outlives the supervisor", gone_or_reaped)
    t.check(s.socket.exists(), "a killed process cleans nothing up")

    s = t.sluice(ready=False, services={"shop": shop})
    seen = []

    def answered():
        seen.append(s.get("/").headers.get("x-version"))
        return True

    t.eventually("it answers", answered)
    seen += [s.get("/").headers.get("x-version") for _ in range(50)]
    t.equal(set(seen), {"v2"}, "versions since the first answer")
    s.wait_ready()
    weights = s.api("GET", "/v1/services/shop")["versions"]
    t.equal({v["name"]: (v["weight"], v["origin"]) for v in weights},
            {"v1": (0, "api"), "v2": (100, "api")}, "weights")
    t.check(s.status()["generation"] >= generation, "generations went back")


story(__doc__, tell)
