#!/usr/bin/env python3
"""The access log as other programs read it: goaccess takes every combined line, also those that
hostile clients caused; a reload changes the format; sampling leaves out good answers only."""
import json
import shutil
import signal
import socket
import subprocess

from harness import Skip, story

PERCENT = 10


def lines(s):
    return s.access_log.read_text().splitlines() if s.access_log.exists() else []


def reload(t, s, **access_log):
    s.config["access_log"].update(access_log)
    s.write_config()
    before = s.status()["generation"]
    s.signal(signal.SIGHUP)
    t.eventually("the new format is in effect", lambda: s.status()["generation"] > before
                 and all(w["generation"] == s.status()["generation"] for w in s.status()["workers"]))


def hostile(s):
    """Requests whose fields would break a line in two, and bytes that are no request."""
    for head in (b'GET /%22%0a"x" HTTP/1.1\r\nHost: a\r\nUser-Agent: a"b\\ \xff"\r\nReferer: " 200 0 "\r\nConnection: close\r\n\r\n', b"\x16\x03\x01\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", s.port), 10) as c:
            c.sendall(head)
            while c.recv(65536):
                pass


def tell(t):
    if not shutil.which("goaccess"):
        raise Skip("there is no goaccess")
    v1 = t.origin("v1")
    s = t.sluice(workers=1, services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    s.get("/first")
    reload(t, s, format="combined")
    for i in range(50):
        t.equal(s.get(f"/page/{i}?q=1", headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "Referer": "http://a.example/"}).status, 200)
    hostile(s)
    t.eventually("all are logged", lambda: len(lines(s)) == 53)
    t.equal(json.loads(lines(s)[0])["path"], "/first")
    combined = s.directory / "combined.log"
    combined.write_text("\n".join(lines(s)[1:]) + "\n")
    subprocess.run(["goaccess", combined, "--log-format=COMBINED", "--no-global-config", "-o", s.directory / "seen.json"],
                   check=True, capture_output=True, timeout=60)
    seen = json.loads((s.directory / "seen.json").read_text())
    t.equal((seen["general"]["total_requests"], seen["general"]["failed_requests"]), (52, 0), "lines taken, lines refused")
    t.equal(seen["general"]["unique_referrers"] >= 1, True, "it sees the referrers")

    reload(t, s, format="json", sample=PERCENT)
    before = len(lines(s))
    for _ in range(200):
        s.get("/sampled")
    t.eventually("one in ten is logged", lambda: len(lines(s)) - before == 200 * PERCENT // 100)
    v1.errors = 1.0
    for _ in range(20):
        s.get("/broken")
    t.eventually("errors are never left out", lambda: len(lines(s)) - before == 200 * PERCENT // 100 + 20)


story(__doc__, tell)
