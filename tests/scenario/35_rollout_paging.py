#!/usr/bin/env python3
"""A rollout that waits climbs its ladder of people, one after the other, also when the controller is
killed between two rungs, and not once it goes on; PagerDuty gets one incident that is opened and
resolved; a mail server gets letters, with a password, and one that refuses is given up."""
import collections
import email
import email.policy
import json
import os
import shutil
import signal
import subprocess

from harness import Process, Skip, free_port, story
from receiver import Receiver

# A real mail server; what it got is one line of JSON each.
SERVER = """
import asyncio, json, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "user": session.auth_data and
                          session.auth_data.login.decode(), "text": envelope.content.decode()}), flush=True)
        return "250 OK"

def check(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"sluice", b"tell nobody"), handled=False, auth_data=data)

c = Controller(Handler(), hostname="127.0.0.1", port=int(sys.argv[1]), authenticator=check, auth_require_tls=False,
               auth_required=len(sys.argv) > 2)
c.start()
print("{}", flush=True)
import time
while True:
    time.sleep(60)
"""
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's packages


class Pager(Receiver):
    """Takes events as PagerDuty does: 202, and 400 for a key that it does not know."""

    def __init__(self):
        self.got = collections.defaultdict(list)
        super().__init__()

    def take(self, command, path, headers, body):
        event = json.loads(body)
        self.got[event["routing_key"]].append(event)
        return 202 if event["routing_key"] in ("key-of-ann", "key-of-bob") else 400, ""


def tell(t):
    if subprocess.run([PYTHON, "-c", "import aiosmtpd"], capture_output=True, check=False).returncode != 0 or not shutil.which(PYTHON):
        raise Skip("there is no python3-aiosmtpd")
    v1, v2 = t.origin("v1"), t.origin("v2")
    pager, port, guarded = Pager(), free_port(), free_port()
    enqueue = pager.url + "/v2/enqueue"
    t.started.append(pager)
    post = Process("post", [PYTHON, "-c", SERVER, str(port)], t.directory)
    guard = Process("guard", [PYTHON, "-c", SERVER, str(guarded), "guarded"], t.directory)
    for p in (post, guard):
        t.started.append(p)
        t.eventually("the mail server is up", lambda p=p: "{}" in p.log())

    def letters(p):
        return [json.loads(line) for line in p.log().splitlines() if line.startswith('{"from"')]

    s = t.sluice(env={"PD_ANN": "key-of-ann", "PD_BOB": "key-of-bob", "MAIL": "tell nobody", "WRONG": "guess"},
                 services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})

    def start(**spec):
        return s.api("POST", "/v1/services/shop/rollouts", {"version": "v2", "endpoints": [v2.address], "warmup": "0s",
                     "steps": [{"weight": 50, "hold": {"until": "approval"}}, {"weight": 100}], **spec}, want=201)["id"]

    def mail(server, **more):
        return {"to": ["ann@shop.example", "bob@shop.example"], "from": "sluice@shop.example", "server": f"smtp://127.0.0.1:{server}", **more}

    t.say("a ladder: ann at once, bob later, and the boss not before he is due")
    r = start(notify=[{"name": "ann", "on": ["holding", "succeeded"], "pagerduty": "@env:PD_ANN", "url": enqueue},
                      {"name": "bob", "on": [], "pagerduty": "@env:PD_BOB", "url": enqueue},
                      {"name": "boss", "on": [], "email": mail(port)},
                      {"on": ["started", "succeeded"], "email": mail(guarded, user="sluice", password="@env:MAIL")}],
              escalation=[{"after": "0s", "to": "ann"}, {"after": "3s", "to": "bob"}, {"after": "1h", "to": "boss"}])
    ann, bob = pager.got["key-of-ann"], pager.got["key-of-bob"]
    t.eventually("ann is told and called", lambda: len(ann) >= 2)
    os.kill(s.children()["controller"], signal.SIGKILL)
    t.eventually("bob is called by the next controller", lambda: bob)
    t.equal([(e["event_action"], e["dedup_key"], e["payload"]["severity"], e["payload"]["source"]) for e in (ann[0], ann[1], bob[0])],
            [("trigger", r, "warning", "shop")] * 3, "one incident")
    t.equal(("unanswered for 0s" in ann[1]["payload"]["summary"], "unanswered for 3s" in bob[0]["payload"]["summary"]), (True, True))
    s.api("POST", f"/v1/rollouts/{r}:promote", {})
    t.eventually("it is resolved", lambda: ann[-1]["event_action"] == "resolve")
    t.equal((len(bob), letters(post)), (1, []), "nobody else is called once it went on")

    t.say("letters")
    t.eventually("both are there", lambda: len(letters(guard)) == 2)
    for letter, event in zip(letters(guard), ("started", "succeeded")):
        t.equal((letter["from"], letter["to"], letter["user"]),
                ("sluice@shop.example", ["ann@shop.example", "bob@shop.example"], "sluice"), "envelope")
        m = email.message_from_string(letter["text"], policy=email.policy.default)
        t.equal((m["Subject"], m["To"], m["Auto-Submitted"], m.get_content_type()),
                (f"[sluice] shop: rollout.{event}, v1 to v2", "ann@shop.example, bob@shop.example", "auto-generated", "text/plain"), "header")
        t.check(f"rollout   {r}" in m.get_content() and f"rollout.{event}" in m.get_content(), m.get_content())
    t.check(len({email.message_from_string(x["text"])["Message-ID"] for x in letters(guard)}) == 2, "ids of their own")

    t.say("the boss is called when it is his turn, and whatever he is told is one letter")
    s.api("POST", "/v1/services/shop:undo", {})
    r = start(notify=[{"name": "boss", "on": [], "email": mail(port)}], escalation=[{"after": "1s", "to": "boss"}, {"after": "2s", "to": "boss"}])
    t.eventually("two letters", lambda: len(letters(post)) == 2)
    s.api("POST", f"/v1/rollouts/{r}:abort", {})
    t.eventually("aborted", lambda: s.api("GET", f"/v1/rollouts/{r}")["state"] == "reverted")

    t.say("what an operator writes stays in the body of one letter")
    r = start(notify=[{"on": ["aborting", "reverted"], "email": mail(port)}])
    t.eventually("it waits", lambda: s.api("GET", f"/v1/rollouts/{r}")["state"] == "holding")
    s.api("POST", f"/v1/rollouts/{r}:abort", {"reason": "line one\r\nBcc: eve@evil.example\r\n.\r\nQUIT"})
    t.eventually("both letters", lambda: len(letters(post)) == 4)
    for letter in letters(post)[2:]:
        m = email.message_from_string(letter["text"], policy=email.policy.default)
        t.equal((m["Bcc"], letter["to"]), (None, ["ann@shop.example", "bob@shop.example"]), "no other recipient")

    t.say("who refuses is given up, and that is an event")
    start(notify=[{"on": ["started"], "email": {**mail(port), "to": ["nobody@shop.example"]}},
                  {"on": ["started"], "email": mail(guarded, user="sluice", password="@env:WRONG")},
                  {"on": ["started"], "pagerduty": "@env:WRONG", "url": enqueue}])

    def failures():
        return [e["message"] for e in s.api("GET", "/v1/events?limit=1000")["events"] if e["type"] == "notify.failed"]
    t.eventually("all three", lambda: len(failures()) == 3)
    t.equal(sorted(f.rpartition("status ")[2] for f in failures()), ["400", "535", "550"], "and says why")


story(__doc__, tell)
