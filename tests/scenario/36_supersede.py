#!/usr/bin/env python3
"""A second rollout of a service while one is under way: refused, or the first is taken back and the
second begins, or it waits its turn; one that waits owns nothing, survives the controller, and is over
at once when it is stopped or when it cannot begin any more. No request fails meanwhile."""
import os
import signal

from harness import story


def tell(t):
    v = {f"v{n}": t.origin(f"v{n}") for n in range(1, 6)}
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v["v1"].address]}}}})
    load = t.load(s, clients=2, rate=100)

    def start(version, want=201, until="approval", **more):
        return s.api("POST", "/v1/services/shop/rollouts", {
            "version": version, "endpoints": [v[version].address], "warmup": "0s",
            "steps": [{"weight": 50, "hold": {"until": until}}, {"weight": 100}], **more}, want=want)

    def get(r):
        return s.api("GET", f"/v1/rollouts/{r['id']}")

    def state(r, want):
        t.eventually(f"{r['id']} is {want}", lambda: get(r)["state"] == want)
        return get(r)

    def weights():
        return {k: w for k, w in s.api("GET", "/v1/services/shop/weights")["weights"].items() if w}

    def types(r):
        return [e["type"] for e in s.api("GET", "/v1/events?limit=1000")["events"] if e["rollout"] == r["id"]]

    t.say("refused, unless it says otherwise")
    first = start("v2")
    state(first, "holding")
    t.equal(start("v3", want=409)["code"], "rollout_active")
    t.equal(start("v3", want=400, supersede="maybe")["pointer"], "/supersede")
    t.equal(start("v3", want=409, supersede="reject")["code"], "rollout_active")

    t.say("restart: the first goes back, then the second begins from stable")
    second = start("v3", supersede="restart")
    t.equal(second["state"], "pending")
    state(first, "superseded")
    t.check(second["id"] in get(first)["result"]["reason"], get(first)["result"])
    t.equal((state(second, "holding")["stable"], weights()), ("v1", {"v1": 50, "v3": 50}))
    t.equal(types(second)[:2], ["rollout.queued", "rollout.started"])

    t.say("queue: it waits, nothing of it is anywhere, and the controller may die")
    third = start("v4", supersede="queue")
    t.check("v4" not in s.api("GET", "/v1/services/shop/weights")["weights"], "registered already")
    os.kill(s.children()["controller"], signal.SIGKILL)
    t.eventually("it is back", lambda: get(third)["state"] == "pending")
    t.equal(v["v4"].requests, 0, "requests of who waits")

    t.say("another one takes its place in the queue; what waits is over without a trace")
    fourth = s.ctl("deploy", "shop", "--version", "v5", "--endpoint", v["v5"].address, "--steps", "50,100", "--hold", "1h",
                   "--warmup", "0s", "--supersede", "queue", "-o", "json")
    t.equal(fourth.returncode, 0, fourth.stdout + fourth.stderr)
    fourth = s.api("GET", "/v1/rollouts")["rollouts"][0]
    t.equal((fourth["version"], fourth["state"], get(third)["state"]), ("v5", "pending", "superseded"))
    t.equal(types(third), ["rollout.queued", "rollout.superseded"], "one event each")
    t.equal(weights(), {"v1": 50, "v3": 50}, "the one under way goes on")
    fifth = start("v4", supersede="queue")
    s.api("POST", f"/v1/rollouts/{fifth['id']}:abort", {"reason": "not today"})
    t.equal((get(fifth)["state"], get(fourth)["state"]), ("reverted", "superseded"))
    t.equal(weights(), {"v1": 50, "v3": 50}, "as it was")

    t.say("its turn comes when the other one succeeds, and it is beside that one then")
    sixth = start("v4", supersede="queue")
    s.api("POST", f"/v1/rollouts/{second['id']}:promote", {})
    state(second, "succeeded")
    t.equal((state(sixth, "holding")["stable"], weights()), ("v3", {"v3": 50, "v4": 50}))

    t.say("one that cannot begin when its turn comes says why")
    seventh = start("v4", supersede="queue")
    s.api("POST", f"/v1/rollouts/{sixth['id']}:promote", {})
    state(sixth, "succeeded")
    over = state(seventh, "reverted")
    t.check("already" in over["result"]["reason"], over["result"])
    t.equal(weights(), {"v4": 100})
    t.no_failures(load)


story(__doc__, tell)
