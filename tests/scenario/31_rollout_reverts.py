#!/usr/bin/env python3
"""A bad version is taken back by itself: errors and, in a second try, latency. deploy --wait exits
3, the numbers are in the rollout, the report and the events, and no request reaches the version
afterwards. A version without traffic neither aborts nor advances."""
import time

from harness import story


def tell(t):
    v1, bad, slow = t.origin("v1"), t.origin("bad"), t.origin("slow")
    bad.errors, slow.latency = 0.25, 0.05
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    idle = s.api("POST", "/v1/services/shop/rollouts", {
        "version": "quiet", "warmup": "0s", "endpoints": [bad.address],
        "steps": [{"weight": 50, "hold": {"min": "1s", "until": "evidence"}}, {"weight": 100}]}, want=201)
    time.sleep(4)
    idle = s.api("GET", f"/v1/rollouts/{idle['id']}")
    t.check(idle["state"] in ("stepping", "holding") and idle["step"] == 1,
            f"no data decides nothing: {idle['state']} {idle['step']}")
    s.api("POST", f"/v1/rollouts/{idle['id']}:abort", {})
    t.eventually("aborted", lambda: s.api("GET", f"/v1/rollouts/{idle['id']}")["state"] == "reverted")

    load = t.load(s, clients=8, rate=400)
    for origin, classes in ((bad, {"error"}), (slow, {"latency_p50", "latency_p90", "latency_p99"})):
        run = s.ctl("deploy", "shop", "--version", origin.version, "--endpoint", origin.address,
                    "--steps", "20,100", "--hold", "30s", "--warmup", "1s", "--wait", timeout=90)
        t.say(run.stdout + run.stderr)
        t.equal(run.returncode, 3, f"deploy --wait of {origin.version}")
        at_end = origin.requests
        time.sleep(0.5)
        t.check(origin.requests - at_end <= 4, "requests after the revert")
        r = next(x for x in s.api("GET", "/v1/rollouts")["rollouts"] if x["version"] == origin.version)
        t.equal(r["state"], "reverted")
        result = r["result"]
        t.check(result["class"] in classes, f"class: {result}")
        t.check(result["evalue"] >= result["limit"], f"evalue: {result}")
        t.check(result["revert_ms"] >= 0, f"revert_ms: {result}")
        t.check(result["exposed_requests"] > 0, f"exposed: {result}")
        t.say(f"{origin.version}: detected after {result['detected_ms']} ms and {result['exposed_requests']} "
              f"requests, live {result['revert_ms']} ms after the verdict, last request {result['last_request_ms']} ms")
        events = {e["type"]: e for e in s.api("GET", "/v1/events?limit=1000")["events"] if e["rollout"] == r["id"]}
        t.check({"rollout.aborting", "rollout.reverted"} <= events.keys(), f"events: {list(events)}")
        t.check(str(result["class"]) in str(events["rollout.reverted"]), f"numbers: {events['rollout.reverted']}")
        t.check("regressed" in s.call("GET", f"/v1/rollouts/{r['id']}/report").body.decode(), "report")
        t.equal(s.api("GET", "/v1/services/shop/weights")["weights"][origin.version], 0)
    load.stop()


story(__doc__, tell)
