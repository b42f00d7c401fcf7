#!/usr/bin/env python3
"""Malformed requests get the right 4xx or 5xx, the connection is closed, nothing behind them is
parsed or reaches the service, and each is counted and logged."""
import json
import socket

from harness import story

OK = b"Host: shop\r\n"
ROWS = [  # what, bytes, status
    ("both framings", b"POST / HTTP/1.1\r\n" + OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("two lengths", b"POST / HTTP/1.1\r\n" + OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("signed length", b"POST / HTTP/1.1\r\n" + OK + b"Content-Length: +5\r\n\r\nhello", 400),
    ("length list", b"POST / HTTP/1.1\r\n" + OK + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    ("unknown coding", b"POST / HTTP/1.1\r\n" + OK + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    ("chunked twice", b"POST / HTTP/1.1\r\n" + OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
    ("chunked in 1.0", b"POST / HTTP/1.0\r\n" + OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two hosts", b"GET / HTTP/1.1\r\n" + OK + OK + b"\r\n", 400),
    ("space before colon", b"GET / HTTP/1.1\r\n" + OK + b"X : y\r\n\r\n", 400),
    ("folded field", b"GET / HTTP/1.1\r\n" + OK + b"X: a\r\n b\r\n\r\n", 400),
    ("bare LF", b"GET / HTTP/1.1\nHost: shop\n\n", 400),
    ("NUL in value", b"GET / HTTP/1.1\r\n" + OK + b"X: a\0b\r\n\r\n", 400),
    ("control in value", b"GET / HTTP/1.1\r\n" + OK + b"X: a\x01b\r\n\r\n", 400),
    ("bad version", b"GET / HTTP/2.7\r\n" + OK + b"\r\n", 505),
    ("0.9", b"GET /\r\n\r\n", 400),
    ("look-alike", b"POST / HTTP/1.1\r\n" + OK + b"Content_Length: 5\r\n\r\nhello", 400),
    ("connect", b"CONNECT shop:443 HTTP/1.1\r\n" + OK + b"\r\n", 405),
    ("trace", b"TRACE / HTTP/1.1\r\n" + OK + b"\r\n", 405),
    ("star with GET", b"GET * HTTP/1.1\r\n" + OK + b"\r\n", 400),
    ("encoded NUL", b"GET /a%00b HTTP/1.1\r\n" + OK + b"\r\n", 400),
    ("long target", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + OK + b"\r\n", 414),
    ("many fields", b"GET / HTTP/1.1\r\n" + OK + b"X: y\r\n" * 200 + b"\r\n", 431),
    ("huge head", b"GET / HTTP/1.1\r\n" + OK + b"".join(b"X%d: %s\r\n" % (i, b"y" * 8000) for i in range(10)) + b"\r\n", 431),
    ("strange expectation", b"POST / HTTP/1.1\r\n" + OK + b"Expect: tea\r\nContent-Length: 1\r\n\r\nx", 417),
    ("binary", bytes(range(256)), 400),
]
BAD_CHUNKS = [b"5 \r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5;\r\nhello\r\n0\r\n\r\n",
              b"5\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\nhello", b"-1\r\n", b"5\r\nhelloX\r\n0\r\n\r\n"]


def exchange(port, data):
    """Everything that comes back until the connection ends."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as c:
        try:
            c.sendall(data)
            while part := c.recv(65536):
                got += part
        except ConnectionResetError:
            pass
    return got


def tell(t):
    v1 = t.origin("v1")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    t.equal(s.get("/").status, 200)
    before = v1.requests
    follow = b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n"
    for what, data, status in ROWS:
        t.say(what)
        got = exchange(s.port, data + follow)
        t.check(got.startswith(b"HTTP/1.1 %d " % status), f"{what}: want {status}, got {got[:60]!r}")
        t.equal(got.count(b"HTTP/1.1 "), 1, f"{what}: answers")
        t.check(b"connection: close" in got.lower(), f"{what}: the answer does not say close")
        t.check(b"server: sluice" in got.lower(), f"{what}: who answered")
    t.equal(v1.requests, before, "requests that reached the service")
    for body in BAD_CHUNKS:
        got = exchange(s.port, b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n" + body + follow)
        t.check(got.count(b"HTTP/1.1 ") <= 1, f"chunk {body!r}: {got[:200]!r}")
        t.check(not got.startswith(b"HTTP/1.1 2"), f"chunk {body!r} was taken: {got[:200]!r}")
    t.check(not any("/smuggled" in line for line in s.access_log.read_text().splitlines()),
            "something behind a bad request was parsed")
    counted = sum(v for k, v in s.metrics().items() if k.startswith("sluice_http_violations_total"))
    t.check(counted >= len(ROWS) - 3, f"only {counted:g} violations are counted")
    lines = [json.loads(line) for line in s.access_log.read_text().splitlines()]
    t.check(sum(line["status"] == 400 for line in lines) >= 15, "rejects are in the access log")
    t.equal(s.get("/").status, 200, "afterwards")


story(__doc__, tell)
