#!/usr/bin/env python3
"""Servers of HTTP/2 that end connections under long answers, answer before they have read all,
change their settings in between, or are cut while they say goodbye."""
import http.client
import socket

from harness import free_port, story
from raw_http2 import DATA, END_STREAM, HEADERS, Raw, frame, request
from raw_http2_server import ALL, NO_ERROR, Http2Peer, cut, goaway, head, reset


def leaving(_, conn, f):
    """Each connection takes one request, whose answer never ends."""
    if f.kind == HEADERS:
        conn.sendall(head(f.stream) + goaway(f.stream))


def hasty(_, conn, f):
    """Has its answer ready before the body, and wants none of it."""
    if f.kind == HEADERS:
        conn.sendall(head(f.stream) + frame(DATA, END_STREAM, f.stream, b"early") + reset(f.stream, NO_ERROR))


def cut_off(_, conn, f):
    """Says goodbye to all but the first request and is gone before it is heard."""
    if f.kind == HEADERS:
        conn.sendall(head(f.stream) + frame(DATA, 0, f.stream, b"abc") + goaway(f.stream)[:12])
        cut(conn)


class Fleeting(Http2Peer):
    """Each connection ends with the first words."""

    def serve(self, conn):
        with conn:
            conn.sendall(ALL)
            conn.shutdown(socket.SHUT_WR)
            while conn.recv(65536):
                pass


def tell(t):
    peers = {"leaving": Http2Peer(leaving), "unwilling": Http2Peer(lambda *_: None, ALL + goaway(0)), "fleeting": Fleeting(lambda *_: None), "silent": Http2Peer(lambda *_: None, b""), "hasty": Http2Peer(hasty), "cut": Http2Peer(cut_off)}
    t.started += peers.values()
    port = free_port()
    s = t.sluice(workers=1,
                 listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]}},
                 services={k: {"versions": {"v1": {"endpoints": [p.address], "protocol": "h2c"}}, "timeouts": {"connect": "2s"}} for k, p in peers.items()},
                 routes=[{"path": f"/{k}", "service": k} for k in peers])

    t.say("each connection is left under an answer that goes on")
    c = Raw(port)
    for i in range(80):
        n = 2 * i + 1
        c.ask(n, request(b"/leaving"))
        c.until(lambda: c.status(n) or c.over(n))
        t.equal(c.status(n), 200, f"answer {i}")
    c.close()

    t.say("connections that end before they took anything")
    for k in ("unwilling", "fleeting"):
        t.equal(s.get("/" + k, port=port).status, 502, k)
        t.check(peers[k].connections <= 20, f"{k}: {peers[k].connections} connections for one request")

    t.say("answers before the body, with a reset behind them")
    h = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for i in range(20):
        h.request("POST", "/hasty", b"x" * (i * 50000), {"Expect": "100-continue"} if i % 2 else {})
        r = h.getresponse()
        t.equal((r.status, r.read()), (200, b"early"), f"answer {i}")
        h.close()
    c = Raw(port)
    for n in range(1, 41, 2):
        c.ask(n, request(b"/hasty", b"POST"), end=False)
        c.send(frame(DATA, 0, n, b"x" * 3000))
    c.until(lambda: c.closed or all(c.over(n) for n in range(1, 41, 2)))
    t.equal([c.body(n) for n in range(1, 41, 2)], [b"early"] * 20)
    c.close()

    t.say("cut in the middle of a goodbye")
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", port), 60) as c:
            c.sendall(b"GET /cut HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            got = b""
            while part := c.recv(65536):
                got += part
        t.check(b"\r\n0\r\n" not in got, f"it broke off, and that is told: {got}")

    t.say("a server that says nothing, when all ends")
    t.equal(s.get("/silent", port=port).status, 504)


if __name__ == "__main__":
    story(__doc__, tell)
