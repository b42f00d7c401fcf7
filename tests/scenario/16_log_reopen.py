#!/usr/bin/env python3
"""The access log is moved away and SIGUSR1 sent: every request is in the old file or the new one,
once, as one line of JSON."""
import json
import signal

from harness import story


def lines(*paths):
    return [json.loads(line) for p in paths if p.exists() for line in p.read_text().splitlines()]


def tell(t):
    v1 = t.origin("v1")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    old, sent = s.directory / "access.1", 0
    load = t.load(s, clients=4, rate=300)
    t.eventually("there is a log", lambda: len(lines(s.access_log)) > 20)
    s.access_log.rename(old)
    s.signal(signal.SIGUSR1)
    t.eventually("there is a new one", lambda: len(lines(s.access_log)) > 20)
    t.no_failures(load)
    sent = load.ok
    t.eventually("every request is logged", lambda: len(lines(old, s.access_log)) == sent)
    size = old.stat().st_size
    t.equal(s.get("/").status, 200)
    t.eventually("the last one is in the new file", lambda: len(lines(old, s.access_log)) > sent)
    t.equal(old.stat().st_size, size, "size of the old file")


story(__doc__, tell)
