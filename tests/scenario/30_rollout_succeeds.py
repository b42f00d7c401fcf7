#!/usr/bin/env python3
"""A good version goes out in steps and succeeds; deploy --wait exits 0; undo is instant; the
weights survive a restart of everything."""
import signal
import threading

from harness import story

STEPS = [{"weight": w, "hold": {"min": "1s", "until": "time"}} for w in (10, 50)] + [{"weight": 100}]


def tell(t):
    v1, v2 = t.origin("v1"), t.origin("v2")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    load = t.load(s, clients=4, rate=300)
    done = {}
    waiting = threading.Thread(target=lambda: done.update(run=s.ctl(
        "deploy", "shop", "--version", "v2", "--endpoint", v2.address, "--steps", "10,50,100",
        "--hold", "1s", "--warmup", "2s", "--wait")))
    waiting.start()
    seen = set()

    def finished():
        shop = s.api("GET", "/v1/services/shop/weights")["weights"]
        seen.add(shop.get("v2", 0))
        return not waiting.is_alive()
    t.eventually("the rollout ends", finished, 60)
    run = done["run"]
    t.say(run.stdout + run.stderr)
    t.equal(run.returncode, 0, "deploy --wait")
    t.check({10, 50, 100} <= seen, f"weights that were seen: {seen}")
    r = s.api("GET", "/v1/rollouts")["rollouts"][0]
    t.equal(r["state"], "succeeded")
    t.equal(r["stable"], "v1")
    t.equal([step["state"] for step in r["steps"]], ["done"] * 3)
    report = s.call("GET", f"/v1/rollouts/{r['id']}/report").body.decode()
    t.check("v2" in report and "succeeded" in report, report)

    s.api("POST", "/v1/services/shop:undo", {})
    t.equal(s.get("/").headers["x-version"], "v1", "after undo")
    again = s.api("POST", "/v1/services/shop/rollouts",
                  {"version": "v2", "warmup": "0s", "steps": STEPS}, want=201)
    t.equal(s.call("POST", "/v1/services/shop/rollouts",
                   {"version": "v2", "warmup": "0s", "steps": STEPS}).status, 409, "one at a time")
    t.equal(s.call("PUT", "/v1/services/shop/weights", {"v1": 0, "v2": 100}).status, 409)
    s.api("POST", f"/v1/rollouts/{again['id']}:pause", {"reason": "lunch"})
    t.eventually("paused", lambda: s.api("GET", f"/v1/rollouts/{again['id']}")["state"] == "holding")
    s.api("POST", f"/v1/rollouts/{again['id']}:resume", {})
    s.api("POST", f"/v1/rollouts/{again['id']}:abort", {"reason": "changed our minds"})
    t.eventually("aborted", lambda: s.api("GET", f"/v1/rollouts/{again['id']}")["state"] == "reverted")
    t.equal(s.api("GET", "/v1/services/shop/weights")["weights"], {"v1": 100, "v2": 0})
    t.equal(s.call("POST", f"/v1/rollouts/{again['id']}:promote", {}).status, 409)
    s.api("PUT", "/v1/services/shop/weights", {"v1": 25, "v2": 75})
    t.no_failures(load)

    s.signal(signal.SIGTERM)
    t.equal(s.wait(), 0, "exit status")
    back = t.sluice(services=s.config["services"])
    t.equal(back.api("GET", "/v1/services/shop/weights"),
            {"service": "shop", "weights": {"v1": 25, "v2": 75}, "origin": "api",
             "generation": back.status()["generation"]})
    t.check(any(x["id"] == r["id"] and x["state"] == "rolled_back"
                for x in back.api("GET", "/v1/rollouts")["rollouts"]), "history is kept")


story(__doc__, tell)
