#!/usr/bin/env python3
"""A worker is killed with -9. Its replacement serves the connections that were waiting in its
queue, and the counters that it had collected are still there."""
import os
import signal
import threading
import time

from harness import story


def counters(s):
    return {k: v for k, v in s.metrics().items()
            if k.split("{")[0].endswith(("_total", "_count", "_sum", "_bucket"))}


def never_less(t, before, after):
    lost = {k: (v, after.get(k)) for k, v in before.items() if after.get(k, 0) < v}
    t.check(not lost, f"counters went back: {lost}")


def tell(t):
    v1 = t.origin("v1")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    for _ in range(50):
        t.equal(s.get("/").status, 200)
    before = counters(s)
    victim = s.children()["worker 0"]

    # A stopped worker accepts nothing: what the kernel gives to its socket waits in the queue.
    os.kill(victim, signal.SIGSTOP)
    answers = []

    def client():
        answers.append((s.get("/").status, time.monotonic()))

    clients = [threading.Thread(target=client) for _ in range(40)]
    for c in clients:
        c.start()
    time.sleep(0.5)
    waiting = len(clients) - len(answers)
    t.check(0 < waiting < len(clients), f"{waiting} of {len(clients)} wait: they should be spread")
    never_less(t, before, counters(s))

    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    for c in clients:
        c.join(20)
    t.equal([a[0] for a in answers], [200] * len(clients), "answers")
    first = min(at for _, at in answers if at > killed)
    t.say(f"{waiting} connections waited; the first answer came {(first - killed) * 1000:.0f} ms "
          f"after the kill")

    row = t.eventually("status knows the new worker", lambda: next(
        (w for w in s.status()["workers"] if w["slot"] == 0 and w["restarts"] == 1
         and w["state"] == "up" and w["pid"] not in (0, victim)), None))
    t.equal(row["pid"], s.children()["worker 0"])
    after = counters(s)
    never_less(t, before, after)
    gauges = {k: v for k, v in s.metrics().items() if "in_flight" in k and v != 0}
    t.check(not gauges, f"gauges leak: {gauges}")


story(__doc__, tell)
