#!/usr/bin/env python3
"""plan says what a rollout would do, how long it would take and what the judge would notice at the
traffic that there is, and changes nothing; deploy --dry-run says the same; what could not begin is
refused by both."""
import json

from harness import story

SPEC = {"version": "v2", "warmup": "10s", "smoke": [{"name": "home", "request": "GET /"}],
        "steps": [{"weight": 5, "hold": {"min": "1m", "max": "30m", "until": "evidence"}},
                  {"weight": 50, "hold": "2m"}, {"weight": 100}]}


def tell(t):
    v1, v2 = t.origin("v1"), t.origin("v2")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    spec = {**SPEC, "endpoints": [v2.address]}
    before = s.status()["generation"]

    quiet = s.api("POST", "/v1/services/shop/rollouts:plan", spec)
    t.equal((quiet["traffic"]["rps"], quiet["service"], quiet["version"], quiet["stable"]), (0, "shop", "v2", "v1"))
    weights = [step for step in quiet["steps"] if step["kind"] == "weight"]
    t.equal([step["weight"] for step in weights], [5, 50, 100])
    t.equal(weights[0]["certificate"], None, "nothing is proved without traffic")

    load = t.load(s, clients=4, rate=300)
    def busy():
        plan = s.api("POST", "/v1/services/shop/rollouts:plan", spec)
        return plan if plan["traffic"]["rps"] > 5 and plan["steps"][1]["certificate"] else None
    plan = t.eventually("there is traffic, and it is enough", busy)
    t.equal([step["kind"] for step in plan["steps"]], ["smoke", "weight", "weight", "weight", "smoke"])
    five, fifty = plan["steps"][1:3]
    t.check(abs(five["canary_rps"] - plan["traffic"]["rps"] * 0.05) < 0.01, f"{five}")
    t.equal([round(d["errors_to"] / d["errors_from"]) for d in fifty["detects"]], [10, 5, 2])
    ten, _, two = (d["found"] for d in fifty["detects"])
    t.check(ten and (not two or two["requests"] > ten["requests"]), f"a small one takes longer: {fifty}")
    t.equal(plan["spec"]["version"], "v2", "the complete specification")

    t.say("for people, and as a file")
    path = t.directory / "rollout.jsonc"
    path.write_text("// ours\n" + json.dumps(spec))
    run = s.ctl("rollout", "plan", "shop", "-f", str(path))
    t.say(run.stdout + run.stderr)
    t.equal(run.returncode, 0)
    t.check("would roll v2 out: shop from v1 to v2, canary" in run.stdout and "errors 0.1 % -> 1 % are found" in run.stdout, run.stdout)
    dry = s.ctl("deploy", "shop", "-f", str(path), "--dry-run")
    t.equal((dry.returncode, dry.stdout.splitlines()[0]), (10, run.stdout.splitlines()[0]), "deploy --dry-run")
    t.equal(json.loads(s.ctl("rollout", "plan", "shop", "-f", str(path), "-o", "json").stdout)["dry_run"], True)

    t.say("what could not begin")
    wrong = s.api("POST", "/v1/services/shop/rollouts:plan", {**spec, "steps": [{"weight": 5}, {"weight": 4}]}, want=400)
    t.check(wrong["pointer"].startswith("/steps/"), str(wrong))
    path.write_text('{ "version": "v/2", "colour": "red", "steps": [ { "weight": 5, "hold": "soon" }, { "weight": 100 } ] }')
    run = s.ctl("rollout", "plan", "shop", "-f", str(path))
    for where in ("/version", "/colour", "/steps/0/hold"):
        t.check(f"({where})" in run.stderr, f"every mistake at once: {run.stderr}")
    s.api("POST", "/v1/services/shop/rollouts:plan", {**SPEC, "version": "v9"}, want=404)
    s.api("POST", "/v1/services/none/rollouts:plan", spec, want=404)

    t.equal(s.api("GET", "/v1/rollouts")["rollouts"], [], "nothing has begun")
    t.equal(s.status()["generation"], before, "nothing was published")
    t.equal(list(s.api("GET", "/v1/services/shop/weights")["weights"]), ["v1"], "no version was registered")
    t.no_failures(load)


story(__doc__, tell)
