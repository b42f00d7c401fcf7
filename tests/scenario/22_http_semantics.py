#!/usr/bin/env python3
"""What HTTP/1.1 asks of an intermediary, seen from both sides: pipelining, HEAD, 204, 304, 1.0
clients, 100-continue, early answers, fields between hops, forwarded fields, request ids."""
import json
import socket

from harness import Peer, story


class Scripted(Peer):
    """A service that keeps what it received and answers by path, byte for byte."""

    ANSWERS = {
        b"/204": b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
        b"/304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"e\"\r\n\r\n",
        b"/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        b"/close": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"/hops": b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n",
        b"/early": b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig",
        b"/interim": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    }

    def __init__(self):
        self.heads = []
        super().__init__()

    def serve(self, conn):
        f = conn.makefile("rb")
        with conn:
            while line := f.readline():
                head = line
                while (line := f.readline()) not in (b"\r\n", b""):
                    head += line
                self.heads.append(head)
                method, path, _ = head.split(b"\r\n")[0].split()
                lower = head.lower()
                if path == b"/early":
                    conn.sendall(self.ANSWERS[path])
                    return
                if b"expect: 100-continue" in lower:
                    conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                length = [l for l in lower.split(b"\r\n") if l.startswith(b"content-length:")]
                body = f.read(int(length[0].split(b":")[1])) if length else b""
                if path in self.ANSWERS:
                    conn.sendall(self.ANSWERS[path])
                    if path == b"/close":
                        return
                elif method == b"HEAD":
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                else:
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Path: %s\r\n\r\n%s"
                                 % (len(body), path, body))


def talk(port, data, want):
    """Send DATA, read until WANT is in what came or it ends."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as c:
        c.sendall(data)
        while want not in got and (part := c.recv(65536)):
            got += part
    return got


def get(path, *fields, method=b"GET", version=b"1.1"):
    return b"%s %s HTTP/%s\r\nHost: shop\r\n%s\r\n" % (method, path, version, b"".join(f + b"\r\n" for f in fields))


def tell(t):
    o = Scripted()
    t.started.append(o)
    s = t.sluice(workers=1, services={"shop": {"versions": {"v1": {"endpoints": [o.address]}}}})

    got = talk(s.port, b"".join(get(b"/p%d" % i) for i in range(20)), b"/p19")
    t.equal([i for i in range(20) if b"X-Path: /p%d\r\n" % i in got], list(range(20)), "pipelined")
    t.check(got.index(b"/p3\r") < got.index(b"/p4\r") < got.index(b"/p15\r"), "in order")

    close = b"Connection: close"
    got = talk(s.port, get(b"/x", close, method=b"HEAD"), b"never")
    t.check(b"Content-Length: 1000" in got and got.endswith(b"\r\n\r\n"), f"HEAD: {got!r}")
    got = talk(s.port, get(b"/204") + get(b"/after", close), b"never")
    t.check(b" 204 " in got and b"X-Path: /after" in got, f"204: {got!r}")
    t.check(b"transfer-encoding" not in got.lower().split(b"\r\n\r\n")[0], "204 has no framing")
    got = talk(s.port, get(b"/304") + get(b"/after", close), b"never")
    t.check(b" 304 " in got and b"X-Path: /after" in got, f"304: {got!r}")
    got = talk(s.port, get(b"/chunked", close), b"never")
    t.check(b"3\r\nabc\r\n" in got or b"5\r\nabcde\r\n" in got, f"chunked: {got!r}")
    t.check(b"x=y" not in got, "chunk extensions end here")
    got = talk(s.port, get(b"/chunked", version=b"1.0"), b"never")
    t.check(got.endswith(b"\r\n\r\nabcde") and b"chunked" not in got.lower(), f"to a 1.0 client: {got!r}")
    got = talk(s.port, get(b"/close", close), b"never")
    t.check(b"until the end" in got, f"until close: {got!r}")
    got = talk(s.port, get(b"/interim", close), b"never")
    t.check(got.index(b" 103 ") < got.index(b" 200 "), f"interim: {got!r}")

    got = talk(s.port, get(b"/e", close, b"Content-Length: 5", b"Expect: 100-continue", method=b"POST"), b"100 Continue")
    t.check(got.startswith(b"HTTP/1.1 100 "), f"100-continue: {got!r}")
    got = talk(s.port, get(b"/early", b"Content-Length: 1000000", method=b"POST") + b"x" * 1000, b"never")
    t.check(got.startswith(b"HTTP/1.1 413 ") and got.endswith(b"big"), f"early answer: {got!r}")

    got = talk(s.port, get(b"/hops", close, b"X-Forwarded-For: 6.6.6.6", b"X-Flag-x: on", b"Proxy-Connection: keep-alive",
                           b"Keep-Alive: 5", b"TE: gzip", b"X-Mine: 1", b"X-Request-Id: abc-123"), b"never").lower()
    t.check(b"x-end: 2" in got and b"x-hop" not in got and b"keep-alive:" not in got, f"hops: {got!r}")
    t.check(b"x-request-id: abc-123" in got and b"via: 1.1 sluice" in got, f"added: {got!r}")
    head = o.heads[-1].decode().lower()
    for absent in ("6.6.6.6", "x-flag-x", "proxy-connection", "keep-alive", "\r\nte:"):
        t.check(absent not in head, f"{absent} went up: {head}")
    for present in ("x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http", "x-forwarded-host: shop",
                    "x-request-id: abc-123", "via: 1.1 sluice", "x-mine: 1", "traceparent: 00-"):
        t.check(present in head, f"{present} did not go up: {head}")
    s.get("/hops", headers={"Connection": "x-forwarded-for, x-mine", "X-Mine": "1"})
    head = o.heads[-1].decode().lower()
    t.check("x-forwarded-for: 127.0.0.1" in head and "x-mine" not in head, f"Connection options: {head}")

    t.eventually("all in the access log", lambda: len(s.access_log.read_text().splitlines()) >= 30)
    for line in s.access_log.read_text().splitlines():
        row = json.loads(line)
        t.check(row["end"] and row["request_id"] and row["duration_ms"] >= 0, line)


story(__doc__, tell)
