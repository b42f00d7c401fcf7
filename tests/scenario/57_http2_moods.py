#!/usr/bin/env python3
"""Servers of HTTP/2 that end connections under long answers, answer before they have read all,
change their settings in between, or are cut while they say goodbye."""
import socket
import threading

from harness import free_port, story
from raw_http2 import DATA, END_STREAM, HEADERS, WINDOW, Raw, frame, settings
from raw_http2_server import ALL, NO_ERROR, Http2Peer, cut, goaway, head, reset


def leaving(_, conn, f):
    """Each connection takes one request, whose answer never ends."""
    if f.kind == HEADERS:
        conn.sendall(head(f.stream) + goaway(f.stream))


class Fleeting(Http2Peer):
    """Each connection ends with the first words."""

    def serve(self, conn):
        with conn:
            conn.sendall(ALL)
            conn.shutdown(socket.SHUT_WR)
            while conn.recv(65536):
                pass


def tell(t):
    peers = {"leaving": Http2Peer(leaving), "unwilling": Http2Peer(lambda *_: None, ALL + goaway(0)), "fleeting": Fleeting(lambda *_: None)}
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
        c.ask(n, [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/leaving"), (b":authority", b"a")])
        c.until(lambda: c.status(n) or c.over(n))
        t.equal(c.status(n), 200, f"answer {i}")
    c.close()

    t.say("connections that end before they took anything")
    for k in ("unwilling", "fleeting"):
        t.equal(s.get("/" + k, port=port).status, 502, k)
        t.check(peers[k].connections <= 20, f"{k}: {peers[k].connections} connections for one request")


if __name__ == "__main__":
    story(__doc__, tell)
