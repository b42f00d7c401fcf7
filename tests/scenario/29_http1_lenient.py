#!/usr/bin/env python3
"""Two listeners in front of one service, one strict and one lenient: the strict one refuses, the
lenient one mends. What goes on is canonical, what frames has to be right all the same, and each
use is counted."""
import socket

from harness import Peer, free_port, story

GET = b"GET /x HTTP/1.1\r\nHost: shop\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: shop\r\n"
MENDED = {  # kind: (bytes, what the service has to see, what it must not)
    "bare_lf": (b"GET /x HTTP/1.1\nHost: shop\nX-A: 1\n\n", b"\r\nX-A: 1\r\n", None),
    "obs_fold": (GET + b"X-A: 1\r\n  2\r\n\r\n", b"\r\nX-A: 1 2\r\n", None),
    "field_value": (GET + b"X-A: 1\x01\x002\r\n\r\n", b"\r\nX-A: 1  2\r\n", None),
    "cl_and_te": (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                  b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n", b"\r\n3\r\nabc\r\n0\r\n", b"Content-Length"),
}
REFUSED = [
    POST + b"Content-Length: 4\r\n 0\r\n\r\nabcd",
    POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: shop\r\n x\r\n\r\n",
    GET + b"X: a\rb\r\n\r\n",
]


class Keeper(Peer):
    """Keeps all bytes it got and answers each head."""

    def __init__(self):
        self.got = b""
        super().__init__()

    def serve(self, conn):
        with conn:
            while part := conn.recv(65536):
                self.got += part
                if b"\r\n\r\n" in part and (b"chunked" not in self.got or part.endswith(b"0\r\n\r\n")):
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def exchange(port, data):
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as c:
        try:
            c.sendall(data)
            c.shutdown(socket.SHUT_WR)
            while part := c.recv(65536):
                got += part
        except ConnectionResetError:
            pass
    return got


def tell(t):
    keeper = Keeper()
    t.started.append(keeper)
    strict, lenient = free_port(), free_port()
    s = t.sluice(
        listeners={"web": {"address": f"127.0.0.1:{strict}", "half_close": True},
                   "old": {"address": f"127.0.0.1:{lenient}", "half_close": True,
                           "http1_lenient": ["bare_lf", "obs_fold", "ctl_value", "te_cl"]}},
        services={"shop": {"versions": {"v1": {"endpoints": [keeper.address]}}}})

    def count(kind, action):
        return s.metrics().get(f'sluice_http_violations_total{{kind="{kind}",action="{action}"}}', 0)

    for kind, (data, seen, unseen) in MENDED.items():
        keeper.got = b""
        got = exchange(strict, data)
        t.check(got.startswith(b"HTTP/1.1 400"), f"{kind}: the strict one said {got[:80]!r}")
        t.equal(keeper.got, b"", f"{kind}: the strict one forwarded")
        got = exchange(lenient, data)
        t.check(got.startswith(b"HTTP/1.1 200"), f"{kind}: the lenient one said {got[:80]!r}")
        t.equal(got.count(b"HTTP/1.1 "), 1, f"{kind}: answers")
        t.check(seen in keeper.got, f"{kind}: the service saw {keeper.got!r}")
        t.check(not unseen or unseen not in keeper.got, f"{kind}: the service saw {keeper.got!r}")
        t.check(b"smuggled" not in keeper.got, f"{kind}: the service saw {keeper.got!r}")
        t.check(b"\n" not in keeper.got.replace(b"\r\n", b""), f"{kind}: not canonical: {keeper.got!r}")
        t.eventually(f"{kind} is counted", lambda: (count(kind, "refused"), count(kind, "accepted")) == (1, 1))
    for data in REFUSED:
        keeper.got = b""
        got = exchange(lenient, data)
        t.check(got.startswith(b"HTTP/1.1 400") or not got, f"{data!r}: {got[:80]!r}")
        t.check(b"\r\nabc" not in keeper.got and (not keeper.got or b"chunked" in keeper.got), f"{data!r}: {keeper.got!r}")
    t.equal(sum(v for k, v in s.metrics().items() if k.startswith("sluice_http_violations_total") and "accepted" in k),
            4, "uses of leniency")


story(__doc__, tell)
