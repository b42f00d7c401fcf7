#!/usr/bin/env python3
"""Who is told what: every event in its order and signed, again after a failure, one target's trouble
is not another's, what waits is still sent after the controller was killed, and nothing is sent twice
that was taken."""
import collections
import hashlib
import hmac
import json
import os
import signal

from harness import free_port, story
from receiver import Receiver

SECRET = "correct horse"


class Hooks(Receiver):
    """Takes notices; what came by path, and the status each path answers."""

    def __init__(self):
        self.got, self.answers = collections.defaultdict(list), {}
        super().__init__()

    def take(self, command, path, headers, body):
        status = self.answers.get(path, 200)
        self.got[path].append((status, headers, body))
        return status, ""

    def taken(self, path):
        """The types of what was taken, in order."""
        return [h["Sluice-Event"] for status, h, _ in self.got[path] if status == 200]


def signed(headers, body):
    seconds, mark = (part.split("=", 1)[1] for part in headers["Sluice-Signature"].split(","))
    want = hmac.new(SECRET.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(mark, want)


def tell(t):
    v1, v2 = t.origin("v1"), t.origin("v2")
    hooks = Hooks()
    t.started.append(hooks)
    s = t.sluice(env={"HOOK_SECRET": SECRET, "HOOK_SLACK": hooks.url + "/slack"},
                 services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})

    def start(want=201, **spec):
        return s.api("POST", "/v1/services/shop/rollouts", {"version": "v2", "endpoints": [v2.address], "warmup": "0s",
                     "steps": [{"weight": 50, "hold": {"until": "approval"}}, {"weight": 100}], **spec}, want=want)

    wrong = start(400, notify=[{"webhook": hooks.url, "secret": "plain"}])
    t.equal(wrong["pointer"], "/notify/0/secret", "a secret that can be read")
    wrong = start(400, notify=[{"webhook": hooks.url, "on": ["step", "launched"]}])
    t.equal(wrong["pointer"], "/notify/0/on/1", "no such event")

    t.say("a receiver that fails is asked again, and hears everything in order")
    hooks.answers["/all"] = 503
    dead = "http://127.0.0.1:%d/" % free_port()
    r = start(notify=[{"webhook": dead}, {"webhook": hooks.url + "/all", "secret": "@env:HOOK_SECRET"},
                      {"on": ["succeeded", "rolled_back"], "slack": "@env:HOOK_SLACK"},
                      {"webhook": hooks.url + "/gone", "on": ["started"]}])
    t.eventually("it was tried twice", lambda: len(hooks.got["/all"]) >= 2)
    t.eventually("it waits for approval",
                 lambda: s.api("GET", f"/v1/rollouts/{r['id']}")["reason"] == "approval")
    t.check(len({h["Idempotency-Key"] for _, h, _ in hooks.got["/all"]}) == 1, "the first one blocks those behind it")

    t.say("the controller is killed; what waits is sent by the next one")
    before = len(hooks.got["/gone"])
    t.equal(before, 1, "taken at once")
    os.kill(s.children()["controller"], signal.SIGKILL)
    hooks.answers["/all"] = 200
    t.eventually("the hold is told", lambda: "rollout.holding" in hooks.taken("/all"))
    s.api("POST", f"/v1/rollouts/{r['id']}:promote", {})
    t.eventually("the end is told", lambda: "rollout.succeeded" in hooks.taken("/all"))
    said = [e["type"] for e in s.api("GET", "/v1/events?limit=1000")["events"] if e["rollout"] == r["id"]]
    t.equal(hooks.taken("/all"), [x for x in said if x.startswith("rollout.")], "every event, in order, once")
    t.check(all(signed(h, b) for _, h, b in hooks.got["/all"]), "all are signed")
    t.equal(len(hooks.got["/gone"]), 1, "what was taken before the kill is not sent again")
    told = json.loads([b for st, h, b in hooks.got["/all"] if h["Sluice-Event"] == "rollout.succeeded"][0])
    t.equal((told["name"], told["phase"], told["checksum"], told["rollout"], told["metadata"]["eventType"]),
            ("shop", "Succeeded", "v2", r["id"], "Normal"), "as Flagger's receivers expect it")

    t.say("Slack gets a sentence")
    t.eventually("it is there", lambda: hooks.taken("/slack") == ["rollout.succeeded"])
    t.check("v1 to v2" in json.loads(hooks.got["/slack"][0][2])["text"], str(hooks.got["/slack"]))
    s.api("POST", "/v1/services/shop:undo", {})
    t.eventually("the way back too", lambda: hooks.taken("/slack")[1:] == ["rollout.rolled_back"])

    t.say("a receiver that refuses is given up, and that is an event")
    hooks.answers["/no"] = 410
    start(notify=[{"webhook": hooks.url + "/no", "on": ["started"]},
                  {"webhook": hooks.url + "/no", "secret": "@env:HOOK_ABSENT", "on": ["started"]}])

    def failures():
        return [e["message"] for e in s.api("GET", "/v1/events?limit=1000")["events"] if e["type"] == "notify.failed"]
    t.eventually("both are said", lambda: len(failures()) == 2)
    t.check("status 410" in failures()[0] and "@env:HOOK_ABSENT is not there" in failures()[1], str(failures()))
    t.equal(len(hooks.got["/no"]), 1, "a request without its signature is not sent")


story(__doc__, tell)
