#!/usr/bin/env python3
"""SIGUSR2: the program file was replaced, and the new one goes on in the same process. Clients of
HTTP/1.1 and HTTP/2, old connections and new ones, notice nothing; weights, counters and session
tickets stay. A file that fails its trial changes nothing."""
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess

from harness import Skip, free_port, story
from http2_load import Http2Load


def install(build, folder):
    """What a package does: new files under the old names."""
    for name in ("sluice", "sluice-control"):
        shutil.copy2(build / name, folder / (name + ".new"))
        os.replace(folder / (name + ".new"), folder / name)


def image(pid):
    """The file that a process runs, as the kernel tells it."""
    st = os.stat(f"/proc/{pid}/exe")
    return st.st_dev, st.st_ino


class Clients:
    """A connection that was there before, TLS with its ticket, and how many requests it had."""

    def __init__(self, t, port):
        self.context = ssl.create_default_context(cafile=t.directory / "shop.pem")
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2  # its tickets come with the handshake
        self.port, self.session = port, None

    def handshake(self):
        raw = socket.create_connection(("127.0.0.1", self.port), 20)
        with self.context.wrap_socket(raw, server_hostname="shop", session=self.session) as s:
            self.session = s.session
            return s.session_reused


def ask(f, conn):
    """One request on a kept connection -> (status, whether it is the last)."""
    conn.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
    head = b""
    while (line := f.readline()) not in (b"\r\n", b""):
        head += line.lower()
    f.read(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    return int(head.split()[1]), b"connection: close" in head


def upgraded(t, s, before):
    t.eventually("the workers are new", lambda: all(
        n.startswith("controller") or (n in before and before[n] != p)
        for n, p in s.children().items()) and len(s.children()) == 3)
    t.eventually("the control API answers", lambda: s.call("GET", "/readyz").status == 200)


def tell(t):
    if not shutil.which("node"):
        raise Skip("there is no node")
    folder = t.directory / "bin"
    folder.mkdir()
    install(t.build, folder)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=shop", "-addext", "subjectAltName=DNS:shop", "-keyout",
                    "shop.key", "-out", "shop.pem"], cwd=t.directory, check=True, capture_output=True)
    v1, v2 = t.origin("v1"), t.origin("v2")
    port, h2, tls = free_port(), free_port(), free_port()
    build, t.build = t.build, folder
    s = t.sluice(drain="60s",
                 listeners={"web": {"address": f"127.0.0.1:{port}"},
                            "h2": {"address": f"127.0.0.1:{h2}", "protocols": ["h2"]},
                            "tls": {"address": f"127.0.0.1:{tls}",
                                    "tls": {"certificates": [{"cert": "shop.pem", "key": "shop.key"}]}}},
                 services={"shop": {"versions": {"v1": {"endpoints": [v1.address]},
                                                 "v2": {"endpoints": [v2.address]}},
                                    "weights": {"v1": 100, "v2": 0}}})
    s.port = port
    s.api("PUT", "/v1/services/shop/weights", {"v1": 60, "v2": 40})
    clients = Clients(t, tls)
    t.check(not clients.handshake(), "the first session is a new one")
    load = t.load(s, clients=4, rate=200)
    node = Http2Load(t.directory, h2, sessions=2, streams=4)
    t.started.append(node)
    kept = socket.create_connection(("127.0.0.1", port), 60)
    f = kept.makefile("rb")
    t.equal(ask(f, kept), (200, False), "a connection that was there before")

    counted = s.metrics()["sluice_connections_total"]
    for n in range(3):
        before, old = s.children(), image(s.pid)
        so_far = load.ok
        t.eventually("the workers before the last ones are gone", lambda: s.log().count(" is gone, 0 left") == n)
        install(build, folder)
        s.signal(signal.SIGUSR2)
        upgraded(t, s, before)
        t.check(image(s.pid) != old, "the supervisor runs the old file")
        for name, pid in s.children().items():
            t.equal(pathlib.Path(f"/proc/{pid}/exe").resolve().parent, folder, name)
        t.equal(s.api("GET", "/v1/services/shop/weights")["weights"], {"v1": 60, "v2": 40}, "weights")
        t.check(clients.handshake(), "a ticket of the program before is good")
        if n == 0:
            t.equal(ask(f, kept), (200, True), "the kept connection is told with its next answer")
        t.eventually("requests go on", lambda: load.ok > so_far + 100)
        now = s.metrics()["sluice_connections_total"]
        t.check(now >= counted, f"connections went back from {counted} to {now}")
        counted = now

    t.eventually("the workers before the last ones are gone", lambda: s.log().count(" is gone, 0 left") == 3)
    before = s.children()
    (folder / "sluice.new").write_text("#!/bin/sh\nexit 3\n")
    (folder / "sluice.new").chmod(0o755)
    os.replace(folder / "sluice.new", folder / "sluice")
    s.signal(signal.SIGUSR2)
    t.eventually("the trial fails", lambda: "fails its check with status 3" in s.log())
    t.equal(s.children(), before, "children after a failed trial")
    install(build, folder)
    good = s.config_path.read_text()
    s.config_path.write_text("{ nonsense")
    s.signal(signal.SIGUSR2)
    t.eventually("the config fails the trial", lambda: "fails its check with status 11" in s.log())
    t.equal(s.children(), before, "children after a bad config")
    s.config_path.write_text(good)

    load.stop()
    t.no_failures(load)
    node.end()
    node.ended_well(t)
    s.signal(signal.SIGTERM)
    t.equal(s.wait(90), 0, "exit status")
    t.build = build


story(__doc__, tell)
