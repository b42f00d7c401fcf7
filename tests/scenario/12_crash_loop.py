#!/usr/bin/env python3
"""A worker that dies as soon as it is up is started again with growing pauses, status says so,
and the other worker goes on and serves those who wait at the dead one's socket."""
import json
import os
import signal
import time

from harness import story


def tell(t):
    v1 = t.origin("v1")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    other = s.children()["worker 1"]
    end, killed, row = time.monotonic() + 20, set(), None
    while time.monotonic() < end:
        pid = s.children().get("worker 0")
        if pid:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        row = s.status()["workers"][0]
        if row["state"] == "backoff" and row["backoff_ms"] >= 1600:
            break
    doctor = s.ctl("doctor", "-o", "json")
    found = json.loads(doctor.stdout)
    t.equal((doctor.returncode, found["ok"]), (1, False), "doctor's verdict, as JSON")
    t.check(any("worker 0 is backoff" in f["text"] and not f["ok"] for f in found["findings"]), f"findings: {found}")
    answers = [s.get("/", timeout=1.2).status for _ in range(20)]  # half of them for slot 0
    t.equal(answers, [200] * 20, "answers while one worker waits")
    t.check(row["state"] == "backoff", f"no backoff after {len(killed)} deaths: {row}")
    t.say(f"after {len(killed)} deaths: {row}")
    t.check("signal 9" in row["reason"], f"reason: {row['reason']}")
    t.check(len(killed) < 10, f"{len(killed)} deaths in so short a time are no backoff")
    t.equal(s.children()["worker 1"], other, "the other worker")
    row = t.eventually("it is up again when it is left alone", lambda: next(
        (w for w in s.status()["workers"] if w["slot"] == 0 and w["state"] == "up"), None))
    t.check(row["restarts"] >= 4, f"restarts: {row}")
    events = [e["type"] for e in s.api("GET", "/v1/events?limit=1000")["events"]]
    t.check("worker.backoff" in events and "worker.up" in events, f"events: {set(events)}")
    t.equal(len(s.api("GET", "/v1/events?last=2")["events"]), 2, "the newest events")
    t.equal(s.api("GET", "/v1/status")["config"]["path"][0], "/", "the path of the config")
    doctor = s.ctl("doctor")
    t.check("ok   2 of 2 workers are up" in doctor.stdout, f"doctor: {doctor.stdout}")
    for _ in range(20):
        t.equal(s.get("/").status, 200)


story(__doc__, tell)
