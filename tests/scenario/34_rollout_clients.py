#!/usr/bin/env python3
"""Errors are counted by client where clients are dealt out: one broken client is no regression, over
all workers and whatever it does; many clients that fail are."""
from harness import story


def tell(t):
    v1, v2 = t.origin("v1"), t.origin("v2")
    for origin in (v1, v2):
        decide = origin.decide
        origin.decide = lambda path, decide=decide: 500 if path == "/fail" else decide(path)
    s = t.sluice(workers=2, services={"shop": {
        "versions": {"v1": {"endpoints": [v1.address]}}, "sticky": {"by": "header", "name": "x-user"}}})
    r = s.api("POST", "/v1/services/shop/rollouts", {
        "version": "v2", "warmup": "0s", "endpoints": [v2.address],
        "steps": [{"weight": 50, "hold": {"min": "1h", "until": "time"}}, {"weight": 100}]}, want=201)
    rollout = lambda: s.api("GET", f"/v1/rollouts/{r['id']}")
    errors = lambda: next(c for c in rollout()["judge"]["classes"] if c["class"] == "error")["canary"]
    t.eventually("50 % live", lambda: rollout()["state"] == "stepping" and rollout()["phase"] != "shifting")

    users = [f"user-{i}" for i in range(200)]
    ours = [u for u in users if s.get("/", headers={"X-User": u}).headers["x-version"] == "v2"]
    t.check(60 < len(ours) < 140, f"users of v2: {len(ours)} of 200")
    for _ in range(100):
        t.equal(s.get("/fail", headers={"X-User": ours[0]}).status, 500)
    t.eventually("all are counted", lambda: errors()["n"] >= len(ours) + 100)
    t.equal(errors()["bad"], 6, "the 1st, 3rd, 7th, 15th, 31st and 63rd error of one client")
    t.equal(rollout()["state"], "stepping", "one client that fails is no regression")
    t.equal(rollout()["judge"]["unit"], "client")

    for u in ours[1:40]:
        s.get("/fail", headers={"X-User": u})
    t.eventually("forty are", lambda: rollout()["state"] == "reverted")
    t.equal(rollout()["result"]["class"], "error")


story(__doc__, tell)
