#!/usr/bin/env python3
"""What a service manager is told through its notify socket: ready, reloading with the time it
began, ready again also when the new config was bad, stopping. The children are told nothing."""
import signal
import socket
import time

from harness import story


def tell(t):
    v1 = t.origin("v1")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(t.directory / "notify.sock"))
    manager.settimeout(20)
    s = t.sluice(env={"NOTIFY_SOCKET": str(t.directory / "notify.sock")}, ready=False,
                 services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})

    def told():
        return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())

    t.equal(told(), {"READY": "1"})
    t.equal(s.get("/").status, 200, "ready means that it serves")
    s.wait_ready()
    for config in ("good", "bad"):
        if config == "bad":
            s.config_path.write_text("{")
        before = time.monotonic_ns() // 1000
        s.signal(signal.SIGHUP)
        message = told()
        began = int(message.pop("MONOTONIC_USEC"))
        t.equal(message, {"RELOADING": "1"}, config)
        t.check(before <= began <= time.monotonic_ns() // 1000, f"it began at {began}")
        t.equal(told(), {"READY": "1"}, f"after a {config} config")
        t.equal(s.get("/").status, 200)
    for name, pid in s.children().items():
        with open(f"/proc/{pid}/environ", "rb") as f:
            t.check(b"NOTIFY_SOCKET" not in f.read(), f"{name} could speak for the service")
    s.signal(signal.SIGTERM)
    t.equal(told(), {"STOPPING": "1"})
    manager.close()
    t.equal(s.wait(), 0, "exit status")


story(__doc__, tell)
