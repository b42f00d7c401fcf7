#!/usr/bin/env python3
"""Gates, smoke checks, hooks and approvals: nothing moves before they pass, a failed one says why
and what to do, a blue-green release is one switch and comes back at once, and a hook that may have
run when the controller died is not run again by itself."""
import collections
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from xml.etree import ElementTree

from harness import story
from receiver import Receiver

DONE = ("succeeded", "reverted", "rolled_back", "superseded")


class Hooks(Receiver):
    """What came by path, and what each path answers."""

    def __init__(self):
        self.got, self.answers = collections.defaultdict(list), {}
        self.hold = threading.Event()
        self.hold.set()
        super().__init__()

    def take(self, command, path, headers, body):
        self.got[path].append((command, headers, body))
        if path == "/slow":
            self.hold.wait(60)
        return self.answers.get(path, (200, "{}"))

    def stop(self):
        self.hold.set()
        super().stop()


def approve_as(s, uid, rollout):
    """The approval of another user, over the same socket. -> (status, body)"""
    script = (
        "import http.client,json,os,socket,sys\n"
        "os.setuid(int(sys.argv[1]))\n"
        "c=http.client.HTTPConnection('x'); c.sock=socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[2])\n"
        "c.request('POST','/v1/rollouts/%s:approve'%sys.argv[3],'{}',{'content-type':'application/json'})\n"
        "a=c.getresponse(); print(a.status,a.read().decode())\n")
    out = subprocess.run(["python3", "-c", script, str(uid), str(s.socket), rollout],
                         capture_output=True, text=True, timeout=60, check=True).stdout
    return int(out.split()[0]), out


HEADINGS = ["Deployment Method", "Infrastructure Changes", "Configuration Updates", "Validation Results",
            "Rollback Instructions", "Monitoring Links", "Decision Log", "Status for Next Session"]


def read_reports(t, s, newest):
    """The newest rollout in every form; a failed one as JUnit."""
    text = s.ctl("handover").stdout
    t.check(text.startswith(f"# {newest}: shop, v3 to v2"), text[:200])
    for heading in HEADINGS:
        t.check(f"\n## {heading}\n" in text, f"no section {heading}")
    t.check("- board: https://board.example/shop/v2?{{x}}\n" in text, "links are filled in")
    t.check("owner: team-shop" in text and "`sluicectl undo shop`" in text, text)
    report = json.loads(s.ctl("-o", "json", "rollout", "report", newest).stdout)
    log = report["decision_log"]
    t.equal([x["type"] for x in log][0], "rollout.started")
    t.equal([x["type"] for x in log][-1], "rollout.succeeded")
    t.check({x["kind"] for x in log} == {"strategy", "configuration", "infrastructure", "risk mitigation"}, str(log))
    t.check(any("hook_unknown" in x["message"] for x in log), "the hold is in it")
    t.check(all(x["alternatives"] for x in log), "every choice has what else could be")
    failed = next(x for x in s.api("GET", "/v1/rollouts")["rollouts"] if x["state"] == "reverted")
    suite = ElementTree.fromstring(s.ctl("rollout", "report", failed["id"], "--junit").stdout)
    t.equal((suite.get("name"), suite.get("failures")), ("shop v3", "2"), "the rollout and its check")
    bad = [c.get("name") for c in suite if c.find("failure") is not None]
    t.equal(bad, [failed["id"], "home"])


def read_audit(t, s):
    """Who did what; a byte that somebody changes behind our back is found."""
    lines = s.ctl("audit", "list").stdout.splitlines()
    t.check(any("uid 1 (daemon)" in x and "rollout.approve" in x for x in lines), "\n".join(lines))
    t.equal(s.ctl("audit", "verify").returncode, 0, "the chain holds")
    row = s.api("GET", "/v1/audit?limit=2")["audit"][1]
    with sqlite3.connect(t.directory / "state" / "sluice.db", timeout=60) as db:
        db.execute("UPDATE audit SET why = 'x' WHERE seq = ?", (row["seq"],))
    broken = s.ctl("audit", "verify")
    t.equal((broken.returncode, broken.stdout), (1, f"record {row['seq']} is not as it was written\n"))


def tell(t):
    v1, v2, v3 = t.origin("v1"), t.origin("v2"), t.origin("v3")
    hooks = Hooks()
    t.started.append(hooks)
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})

    def start(want=201, **spec):
        return s.api("POST", "/v1/services/shop/rollouts", {"warmup": "0s", **spec}, want=want)

    def get(r):
        return s.api("GET", f"/v1/rollouts/{r['id']}")

    def state(r, *states):
        t.eventually(f"{r['id']} is one of {states}", lambda: get(r)["state"] in states)
        return get(r)

    wrong = start(400, version="v2", endpoints=[v2.address], steps=[
        {"weight": 100}, {"smoke": {"request": "GET /", "expect": {"status": "ok"}}}])
    t.equal(wrong["pointer"], "/steps/1/smoke/expect/status", "where it is wrong")

    t.say("a gate that fails holds it, and nothing has moved")
    hooks.answers["/ci"] = (200, '{"state": "failed"}')
    plan = {"version": "v2", "endpoints": [v2.address],
            "gates": [{"http": {"name": "ci", "url": hooks.url + "/ci", "method": "GET",
                                "expect": {"json": {"$.state": "passed"}}}}],
            "smoke": [{"name": "home", "request": "GET /home", "headers": {"X-Smoke": "yes"},
                       "expect": {"status": 200, "header": {"x-version": "^v2$"}, "json": {"$.method": "GET"}}}],
            "steps": [{"weight": 50, "hold": "0s"},
                      {"http": {"name": "tell", "url": hooks.url + "/tell", "retries": 2}},
                      {"weight": 100}]}
    load = t.load(s, clients=2, rate=100)
    r = start(**plan)
    held = state(r, "holding")
    t.equal((held["reason"], held["steps"][0]["check"]), ("check_failed", "failed"))
    t.check("$.state is \"failed\"" in held["steps"][0]["seen"], held["steps"][0]["seen"])
    t.equal(v2.requests, 0, "requests on it")
    wait = s.ctl("rollout", "wait", r["id"], "--for", "paused")
    t.equal(wait.returncode, 0, wait.stdout + wait.stderr)
    t.check("check_failed" in wait.stdout + wait.stderr, wait.stdout + wait.stderr)
    t.check('http "ci"' in s.ctl("rollout", "show", r["id"]).stdout, "it is shown")
    hooks.answers["/ci"] = (200, '{"state": "passed"}')
    t.equal(s.ctl("rollout", "retry", r["id"]).returncode, 0, "retry")
    over = state(r, *DONE)
    t.equal(over["state"], "succeeded", str(over["result"]))
    t.equal([x["kind"] for x in over["steps"]],
            ["http", "smoke", "weight", "http", "weight", "smoke"], "what was done")
    method, headers, body = hooks.got["/tell"][0]
    told = json.loads(body)
    t.equal((method, told["name"], told["checksum"], told["weight"], told["rollout"]),
            ("POST", "shop", "v2", 50, r["id"]), "what the hook was told")
    t.equal(headers["Idempotency-Key"], told["id"], "its key")

    t.say("a smoke check that fails takes the version back before anybody saw it")
    v3.errors = 1.0
    r = start(version="v3", endpoints=[v3.address], strategy="bluegreen",
              smoke=[{"name": "home", "request": "GET /", "retries": 1}])
    over = state(r, *DONE)
    t.equal((over["state"], over["result"]["verdict"]), ("reverted", "failed"), str(over["result"]))
    t.check("home" in over["result"]["reason"] and "500" in over["result"]["reason"], over["result"]["reason"])
    t.equal(v3.requests, 2, "the check, twice")

    t.say("blue-green: one switch, and back")
    v3.errors = 0.0
    r = start(version="v3", endpoints=[v3.address], strategy="bluegreen",
              smoke=[{"name": "home", "request": "GET /"}])
    t.equal(get(r)["strategy"], "bluegreen")
    over = state(r, *DONE)
    t.equal(over["state"], "succeeded", str(over["result"]))
    t.equal([(x["kind"], x["weight"]) for x in over["steps"]], [("smoke", 0), ("weight", 100), ("smoke", 100)])
    before = v2.requests
    t.equal({s.get("/").headers["x-version"] for _ in range(20)}, {"v3"}, "after the switch")
    t.equal(v2.requests - before, 0, "nobody is left behind")
    s.api("POST", "/v1/services/shop:undo", {})
    t.equal({s.get("/").headers["x-version"] for _ in range(20)}, {"v2"}, "after undo")
    state(r, "rolled_back")

    t.say("people must agree")
    os.chmod(s.socket, 0o666)
    os.chmod(s.socket.parent, 0o755)
    r = start(version="v3", steps=[
        {"weight": 10, "hold": "0s"},
        {"approve": {"name": "release", "need": 2, "of": ["daemon", "bin", "root"], "not_author": True}},
        {"weight": 100}])
    t.eventually("it waits for people", lambda: get(r)["reason"] == "approval")
    refused = s.ctl("rollout", "approve", r["id"])
    t.check(refused.returncode != 0 and "started it" in refused.stderr, refused.stderr)
    status, text = approve_as(s, 65534, r["id"])
    t.check(status == 409 and "not yours" in text, text)
    status, text = approve_as(s, 1, r["id"])
    t.equal(status, 200, text)
    t.equal(get(r)["steps"][1]["approvals"], ["uid 1 (daemon)"], "who agreed")
    t.equal(get(r)["weight"]["set"], 10, "one is not enough")
    status, text = approve_as(s, 2, r["id"])
    t.equal(status, 200, text)
    t.equal(state(r, *DONE)["state"], "succeeded")

    t.say("the controller dies while hooks run")
    hooks.hold.clear()
    r = start(version="v2", owners=["team-shop"], links={"board": "https://board.example/{{service}}/{{version}}?{{x}}"}, steps=[
        {"weight": 10, "hold": "0s"},
        {"http": {"name": "once", "url": hooks.url + "/slow", "timeout": "1m"}}, {"weight": 100}])
    t.eventually("the hook is called", lambda: len(hooks.got["/slow"]) == 1)
    os.kill(s.children()["controller"], signal.SIGKILL)
    t.eventually("it is not known whether it ran", lambda: get(r)["reason"] == "hook_unknown")
    time.sleep(1)
    t.equal(len(hooks.got["/slow"]), 1, "calls")
    hooks.hold.set()
    s.api("POST", f"/v1/rollouts/{r['id']}:retry", {})
    t.equal(state(r, *DONE)["state"], "succeeded")
    keys = {h["Idempotency-Key"] for _, h, _ in hooks.got["/slow"]}
    t.equal((len(hooks.got["/slow"]), len(keys)), (2, 1), "the same key both times")
    types = collections.Counter(e["type"] for e in s.api("GET", "/v1/events?limit=1000")["events"] if e["rollout"] == r["id"])
    t.check(types["rollout.step"] == 3 and types["rollout.holding"] >= 1, f"events: {types}")
    t.no_failures(load)
    read_reports(t, s, r["id"])
    read_audit(t, s)


story(__doc__, tell)
