#!/usr/bin/env python3
"""The access log never stands in the way: nobody reads the pipe that it goes to, or the disk
that it lies on is full. Requests go on as before, what is lost is counted, lines stay whole, and
when there is room again the log goes on."""
import json
import os
import subprocess
import time

from harness import story

REQUESTS = 600
PATH = "/" + "x" * 1500  # some hundred fill any pipe and the room in front of it


def lost(s):
    return s.metrics()["sluice_access_log_dropped_total"]


def hammer(t, s):
    """Enough requests to fill the log, none of them slow or refused."""
    for _ in range(REQUESTS):
        t.equal(s.get(PATH).status, 200)


def check_lines(t, lines):
    for line in lines:
        row = json.loads(line)
        t.check(row["status"] == 200 and row["end"] == "done", line)


def pipe(t):
    fifo = t.directory / "log.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    v1 = t.origin("v1")
    s = t.sluice(workers=1, access_log={"path": str(fifo), "format": "json"},
                 services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    hammer(t, s)
    t.eventually("lines are lost and counted", lambda: lost(s) > 0)
    text = b""
    for _ in range(20):  # the worker writes on, once a turn, when there is room
        try:
            while part := os.read(reader, 65536):
                text += part
        except BlockingIOError:
            pass
        s.get("/after")
        time.sleep(0.02)
    whole, _, _ = text.rpartition(b"\n")
    lines = whole.split(b"\n")
    check_lines(t, lines)
    t.check(any(json.loads(line)["path"] == "/after" for line in lines), "the log goes on")
    kept = sum(json.loads(line)["path"].startswith("/xx") for line in lines)  # long ones are cut
    t.equal(kept + lost(s), REQUESTS, "every line is written or counted")
    s.stop()
    os.close(reader)


def disk(t):
    logs = t.directory / "logs"
    logs.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", logs],
                             capture_output=True, check=False)
    if mounted.returncode:
        t.say("no tmpfs can be mounted here, the full disk is left out")
        return
    try:
        v1 = t.origin("v1")
        log = logs / "access.log"
        s = t.sluice(workers=1, access_log={"path": str(log), "format": "json"},
                     services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
        hammer(t, s)
        t.eventually("lines are lost and counted", lambda: lost(s) > 0)
        os.truncate(log, 0)
        for _ in range(3):
            t.equal(s.get("/after").status, 200)
        t.eventually("the log goes on", lambda: b'"path":"/after"' in log.read_bytes())
        lines = log.read_bytes().split(b"\n")[:-1]
        check_lines(t, lines[1:])  # of the first, the beginning may have been on the full disk
        s.stop()
    finally:
        t.end()
        t.started.clear()
        subprocess.run(["umount", "-l", logs], check=False)


def tell(t):
    pipe(t)
    t.end()
    t.started.clear()
    disk(t)


story(__doc__, tell)
