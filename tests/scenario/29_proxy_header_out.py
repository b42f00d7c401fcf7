#!/usr/bin/env python3
"""Endpoints that want a PROXY header: every connection begins with one that names the client of
its one request, in both versions, also when the client is known from a relay in front."""
import re
import socket
import struct

from harness import Peer, free_port, story

V1 = re.compile(rb"PROXY (TCP[46]) (\S+) (\S+) (\d+) (\d+)\r\n")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class Wanting(Peer):
    """Reads a header and then requests until the other end closes; keeps both."""

    def __init__(self):
        self.seen, self.checks, self.wrong = [], [], []
        super().__init__()

    def serve(self, conn):
        with conn, conn.makefile("rb") as f:
            try:
                who = self.header(f)
                requests = 0
                while line := f.readline():
                    while f.readline() not in (b"\r\n", b""):
                        pass
                    requests += 1
                    if line.split()[1] == b"/up":
                        self.checks.append(who)
                    else:
                        self.seen.append((*who, line.split()[1].decode(), requests))
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except (ValueError, OSError, struct.error) as e:
                self.wrong.append(repr(e))

    @staticmethod
    def header(f):
        first = f.read(12)
        if first == SIGNATURE:
            command, family, n = struct.unpack("!BBH", f.read(4))
            body = f.read(n)
            size, kind = (4, socket.AF_INET) if family == 0x11 else (16, socket.AF_INET6)
            if command != 0x21 or n != 2 * size + 4:
                raise ValueError((command, family, n))
            ports = struct.unpack("!HH", body[2 * size:])
            return ("v2", socket.inet_ntop(kind, body[:size]), socket.inet_ntop(kind, body[size:2 * size]), *ports)
        m = V1.fullmatch(first + f.readline())
        if not m:
            raise ValueError(first)
        return ("v1", m[2].decode(), m[3].decode(), int(m[4]), int(m[5]))


def tell(t):
    one, two = Wanting(), Wanting()
    t.started += [one, two]
    front = free_port()
    s = t.sluice(workers=1, listeners={
        "web": {"address": f"127.0.0.1:{free_port()}", "trusted_proxies": ["127.0.0.1"]},
        "front": {"address": f"127.0.0.1:{front}", "trusted_proxies": ["127.0.0.1"]},
    }, services={
        "one": {"versions": {"v1": {"endpoints": [one.address]}}, "proxy_protocol": "v1", "health": {"path": "/up", "interval": "100ms"}},
        "two": {"versions": {"v1": {"endpoints": [two.address]}}, "proxy_protocol": "v2"},
    }, routes=[{"path": "/two", "service": "two"}, {"path": "/", "service": "one"}])

    with socket.create_connection(("127.0.0.1", front)) as c:  # one connection, both services
        mine = c.getsockname()[1]
        f = c.makefile("rb")
        for path in ("/a", "/two", "/b", "/two"):
            c.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
            while f.readline() != b"\r\n":
                pass
            t.equal(f.read(2), b"ok")
    t.equal(one.seen, [("v1", "127.0.0.1", "127.0.0.1", mine, front, path, 1) for path in ("/a", "/b")])
    t.equal(two.seen, [("v2", "127.0.0.1", "127.0.0.1", mine, front, "/two", 1)] * 2)

    for client, local in (("203.0.113.9", "127.0.0.1"), ("2001:db8::5", "::ffff:127.0.0.1")):
        for path, seen, version in (("/c", one.seen, "v1"), ("/two", two.seen, "v2")):
            t.equal(s.get(path, port=front, headers={"X-Forwarded-For": client}).status, 200)
            t.equal(seen[-1], (version, client, local, 0, front, path, 1))
    t.eventually("health checks bring a header too", lambda: len(one.checks) > 2)
    t.equal(one.wrong + two.wrong, [])
    t.equal(s.api("GET", "/v1/services/one")["health"], "healthy")


story(__doc__, tell)
