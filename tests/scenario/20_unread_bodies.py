#!/usr/bin/env python3
"""Answers that the proxy gives while a body is still coming are always received: by curl, and by a
client that looks for an answer only when it has sent all. After a small body of known length the
connection is kept."""
import pathlib
import shutil
import socket
import subprocess

from harness import Skip, free_port, story

SIZES = {"small": 1024, "medium": 65536, "large": 100 << 20}
WANT = {"/gone": 404, "/moved": 302, "/said": 200, "/down": 503, "/limited": 429, "/least": 413}


def curl(url, path, *options):
    """Twice in one run: both statuses, and what it complained about."""
    argv = ["curl", "-sS", "-m", "120", "-w", "%{http_code}\n", *options]
    run = subprocess.run([*argv, "-o", "/dev/null", "-o", "/dev/null", url, url], text=True,
                         capture_output=True, check=False, cwd=path.parent)
    return [int(line) for line in run.stdout.splitlines()], run.stderr


def send_all_first(port, path, size):
    """The status, and whether a request on the same connection is answered too."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as c, c.makefile("rb") as f:
        c.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        for at in range(0, size, 1 << 20):
            c.sendall(b"x" * min(size - at, 1 << 20))
        status, length = int(f.readline().split()[1]), 0
        while (line := f.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        f.read(length)
        try:
            c.sendall(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n")
            return status, f.readline().startswith(b"HTTP/1.1 200 ")
        except OSError:
            return status, False


def tell(t):
    if not shutil.which("curl"):
        raise Skip("there is no curl")
    v1 = t.origin("v1")
    up = lambda more: {"versions": {"v1": {"endpoints": [v1.address]}}, **more}
    s = t.sluice(
        workers=1,
        services={"down": {"versions": {"v1": {"endpoints": [f"127.0.0.1:{free_port()}"]}},
                           "health": {"path": "/up", "interval": "100ms", "fall": 1}},
                  "up": up({})},
        routes=[{"path": "/moved", "redirect": {"to": "/there"}},
                {"path": "/said", "respond": {"status": 200, "body": "so"}},
                {"path": "/down", "service": "down"},
                {"path": "/limited", "service": "up",
                 "rate_limit": {"requests": 1, "per": "24h", "burst": 1}},
                {"path": "/least", "service": "up", "max_body": 10},
                {"path": "/page", "service": "up"}])
    t.eventually("it is known to be down", lambda: s.get("/down").status == 503)
    t.eventually("the limit is used up", lambda: s.get("/limited").status == 429)
    pages = 0
    for path, want in WANT.items():
        for name, size in SIZES.items():
            file = pathlib.Path(t.directory) / name
            file.write_bytes(b"x" * size)
            url = f"http://127.0.0.1:{s.port}{path}"
            whole = ["--data-binary", f"@{name}"]
            chunks = ["-X", "POST", "-H", "Transfer-Encoding: chunked", "-T", name]
            ways = [whole, chunks] if path != "/least" else [whole]  # its origin reads no chunks
            for options in ways + [[*way, "-H", "Expect:"] for way in ways]:
                got, err = curl(url, file, *options)
                t.equal(got, [want] * 2, f"{path} {name} {options} {err}")
            t.equal(send_all_first(s.port, path, size), (want, size <= 65536), f"{path} {name}, all sent first")
            pages += size <= 65536
    t.equal(v1.requests, 1 + pages, "nothing else went on")

    with socket.create_connection(("127.0.0.1", s.port), timeout=30) as c:
        c.sendall(b"POST /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nGET ")
        t.check(c.recv(4096).startswith(b"HTTP/1.1 404 "), "answered before it is complete")
        c.sendall(b"/ HTGET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = b""
        while part := c.recv(65536):
            got += part
        t.check(got.startswith(b"HTTP/1.1 200 ") and got.count(b"HTTP/1.1") == 1, f"what follows the rest: {got!r}")


story(__doc__, tell)
