#!/usr/bin/env python3
"""The disk under the store is full: traffic goes on, a change is refused with a clear error and
changes nothing, status warns, a bad version is still taken back; when there is room again,
everything works."""
import os
import subprocess

from harness import Skip, story


def tell(t):
    state = t.directory / "state"
    state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", state],
                             capture_output=True, check=False)
    if mounted.returncode:
        raise Skip("mounting a tmpfs is not allowed: " + mounted.stderr.decode().strip())
    try:
        fill(t, state)
    finally:
        t.end()
        t.started.clear()
        subprocess.run(["umount", "-l", state], check=False)


def fill(t, state):
    v1, bad = t.origin("v1"), t.origin("bad")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    s.api("PUT", "/v1/services/shop/versions/v2", {"endpoints": [bad.address]}, want=201)
    load = t.load(s, clients=2, rate=100)
    s.api("PUT", "/v1/services/shop/weights", {"v1": 90, "v2": 10})
    with open(state / "ballast", "wb", buffering=0) as f:
        try:
            while f.write(b"x" * 4096):
                pass
        except OSError:
            pass
    refused = None
    for i in range(200):  # the store may have some room of its own left
        answer = s.call("PUT", "/v1/services/shop/weights", {"v1": 80 - i % 2, "v2": 20 + i % 2})
        if answer.status != 200:
            refused = answer
            break
    t.check(refused is not None, "a full disk is never noticed")
    t.check(refused.status in (500, 503, 507), f"{refused.status} {refused.body!r}")
    t.check(b"problem" in refused.headers["content-type"].encode(), f"{refused}")
    before = s.api("GET", "/v1/services/shop/weights")["weights"]
    t.equal(s.call("PUT", "/v1/services/shop/weights", {"v1": 50, "v2": 50}).status, refused.status)
    t.equal(s.api("GET", "/v1/services/shop/weights")["weights"], before, "nothing changed")
    t.check(s.status()["warnings"], "status warns")
    os.unlink(state / "ballast")
    t.eventually("there is room again", lambda: s.call(
        "PUT", "/v1/services/shop/weights", {"v1": 50, "v2": 50}).status == 200)
    t.eventually("the warning is gone", lambda: not [w for w in s.status()["warnings"] if "store" in str(w)])
    t.no_failures(load)


story(__doc__, tell)
