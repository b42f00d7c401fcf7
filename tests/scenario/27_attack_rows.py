#!/usr/bin/env python3
"""The known attacks on proxies, a row each: what the bytes are, and that nothing of them gets
through in another form. Rows 1 to 15 are requests that are refused; 16 to 21 what upstreams
say; 22 to 25 what is written anew; 37 and 38 limits of time and size. 27_attack_rows_peers.py has
the rows that need more than bytes; 43 is the fuzz targets, listed in CONTRIBUTING.md."""
import json
import socket
import time

from harness import Peer, story

HOST = b"Host: shop\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
FOLLOW = b"GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n"


def get(fields=b"", target=b"/"):
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + fields + b"\r\n"


REFUSED = {  # row: (bytes, statuses)
    "1 CL.TE": (POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", {400}),
    "1 TE.CL": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", {400}),
    "2 xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {501}),
    "2 chunked, identity": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", {400}),
    "2 empty element": (POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", {400}),
    "2 vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", {400}),
    "2 two lines": (POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", {400}),
    "3 TE in 1.0": (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "4 sign": (POST + b"Content-Length: +5\r\n\r\nhello", {400}),
    "4 minus": (POST + b"Content-Length: -1\r\n\r\n", {400}),
    "4 hexadecimal": (POST + b"Content-Length: 0x5\r\n\r\nhello", {400}),
    "4 empty": (POST + b"Content-Length: \r\n\r\n", {400}),
    "4 list": (POST + b"Content-Length: 5, 5\r\n\r\nhello", {400}),
    "4 twice": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", {400}),
    "4 overflow": (POST + b"Content-Length: 18446744073709551617\r\n\r\nh", {400}),
    "5 0x": (CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", {400}),
    "5 underscore": (CHUNKED + b"1_0\r\nhello\r\n0\r\n\r\n", {400}),
    "5 sign": (CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", {400}),
    "5 space": (CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n", {400}),
    "5 long": (CHUNKED + b"00000000000000005\r\nhello\r\n0\r\n\r\n", {400}),
    "5 empty": (CHUNKED + b"\r\nhello\r\n0\r\n\r\n", {400}),
    "6 bare LF in extension": (CHUNKED + b"5;a\nhello\r\n0\r\n\r\n", {400}),
    "6 bare semicolon": (CHUNKED + b"5;\r\nhello\r\n0\r\n\r\n", {400}),
    "6 space behind size": (CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", {400}),
    "6 unbalanced quote": (CHUNKED + b"5;a=\"b\r\nhello\r\n0\r\n\r\n", {400}),
    "6 endless extension": (CHUNKED + b"5;" + b"a" * 9000 + b"\r\nhello\r\n0\r\n\r\n", {400}),
    "7 bare LF": (b"GET / HTTP/1.1\nHost: shop\n\n", {400}),
    "7 bare CR": (get(b"X: a\rb\r\n"), {400}),
    "8 space before colon": (get(b"Transfer-Encoding : chunked\r\n"), {400}),
    "8 space in name": (get(b"Transfer Encoding: chunked\r\n"), {400}),
    "8 space before the first": (b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", {400}),
    "9 obs-fold": (get(b"X: a\r\n b\r\n"), {400}),
    "10 NUL": (get(b"X: a\0b\r\n"), {400}),
    "10 control": (get(b"X: a\x7fb\r\n"), {400}),
    "10 name above 0x7f": (get(b"X\xe9: a\r\n"), {400}),
    "11 underscores": (get(b"Transfer_Encoding: chunked\r\n"), {400}),
    "11 dots": (get(b"Content.Length: 5\r\n"), {400}),
    "11 X_Forwarded_Proto": (get(b"X_Forwarded_Proto: https\r\n"), {400}),
    "12 no Host": (b"GET / HTTP/1.1\r\n\r\n", {400}),
    "12 two": (get(HOST), {400}),
    "12 userinfo": (b"GET / HTTP/1.1\r\nHost: me@shop\r\n\r\n", {400}),
    "12 path": (b"GET / HTTP/1.1\r\nHost: shop/x\r\n\r\n", {400}),
    "12 comma": (b"GET / HTTP/1.1\r\nHost: shop,evil\r\n\r\n", {400}),
    "12 empty": (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", {400}),
    "13 other scheme": (get(target=b"ftp://shop/"), {400}),
    "13 userinfo": (get(target=b"http://me@shop/"), {400}),
    "13 opaque": (get(target=b"http:shop"), {400}),
    "14 asterisk": (get(target=b"*"), {400}),
    "14 CONNECT": (b"CONNECT shop:443 HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    "14 TRACE": (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    "15 HTTP/0.9": (b"GET /\r\n\r\n", {400}),
    "15 two digits": (b"GET / HTTP/1.32\r\n" + HOST + b"\r\n", {400}),
    "15 lower case": (b"GET / http/1.1\r\n" + HOST + b"\r\n", {400}),
    "15 HTTP/2": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", {505}),
    "16 expectation": (POST + b"Expect: tea\r\nContent-Length: 1\r\n\r\nx", {417}),
    "25 %00": (get(target=b"/a%00b"), {400}),
    "25 backslash": (get(target=b"/a\\..\\b"), {400}),
    "25 control": (get(target=b"/a\x01b"), {400}),
    "38 long target": (get(target=b"/" + b"a" * 20000), {414}),
    "38 many fields": (get(b"X: y\r\n" * 200), {431}),
    "38 long name": (get(b"x" * 300 + b": y\r\n"), {431}),
    "38 long line": (get(b"X: " + b"y" * 20000 + b"\r\n"), {431}),
}
ANSWERS = {  # row: what the upstream says to it
    "18 101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "19 too many 1xx": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 33 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "21 CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "21 two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "21 signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
    "21 coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhi",
    "21 chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "21 HTTP/0.9": b"hello\n",
    "21 HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "21 status 20": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "22 bare CR": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
}


class Raw(Peer):
    """An origin that answers with the bytes it was told to and keeps what it was sent."""

    def __init__(self):
        self.seen, self.say = [], b""
        super().__init__()

    def serve(self, conn):
        got = b""
        with conn:
            while part := conn.recv(65536):
                got += part
                while b"\r\n\r\n" in got:
                    head, _, got = got.partition(b"\r\n\r\n")
                    self.seen.append(head)
                    conn.sendall(self.say)


def exchange(port, data, end=True):
    """What comes back until the connection ends, or pauses for a moment."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=15 if end else 0.4) as c:
        try:
            c.sendall(data)
            while part := c.recv(65536):
                got += part
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            pass
    return got


def refused(t, s, raw):
    for row, (data, statuses) in REFUSED.items():
        got = exchange(s.port, data + FOLLOW)
        status = int(got[9:12]) if got.startswith(b"HTTP/1.1 ") else None
        t.check(status in statuses, f"row {row}: want {statuses}, got {got[:80]!r}")
        t.equal(got.count(b"HTTP/1.1 "), 1, f"row {row}: answers")
        t.check(b"connection: close" in got.lower(), f"row {row}: does not say close")
    t.check(not any(b"/smuggled" in head for head in raw.seen), "something was smuggled")


def bad_answers(t, s, raw):
    for row, data in ANSWERS.items():
        raw.say, before = data, raw.connections
        got = exchange(s.port, get(b"Connection: close\r\n"))
        final = [p for p in got.split(b"HTTP/1.1 ")[1:] if not p.startswith(b"1")]
        t.check(len(final) == 1 and final[0].startswith(b"502"), f"row {row}: {got[:200]!r}")
        raw.say = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        got = exchange(s.port, get(b"Connection: close\r\n"))
        t.check(got.endswith(b"ok"), f"row {row}: afterwards {got!r}")
        t.check(raw.connections > before, f"row {row}: the connection was kept")


def leftovers(t, s, raw):
    """Row 20: what lies behind an answer is never the next one's."""
    for method, first in ((b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
                          (b"GET", b"HTTP/1.1 204 No Content\r\n\r\nevil"),
                          (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\nevil"),
                          (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil")):
        raw.say, before = first, raw.connections
        got = exchange(s.port, get().replace(b"GET", method, 1), end=False)
        t.check(b"evil" not in got, f"row 20: {got!r}")
        raw.say = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        t.check(exchange(s.port, get(b"Connection: close\r\n")).endswith(b"ok"), "row 20: next")
        t.check(raw.connections > before, "row 20: the connection was kept")


def written_anew(t, s, raw):
    raw.say = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    def forwarded(data):
        raw.seen.clear()
        got = exchange(s.port, data, end=False)
        t.check(got.startswith(b"HTTP/1.1 200"), f"{data[:80]!r}: {got[:80]!r}")
        return raw.seen[-1].decode("latin-1").lower() + "\r\n"

    head = forwarded(get(target=b"http://other.test/x").replace(b"Host: shop", b"Host: evil"))
    t.check(head.startswith("get /x http/1.1\r\n"), f"row 13: {head}")
    t.check("\r\nhost: other.test\r\n" in head and "evil" not in head, f"row 13: {head}")
    head = forwarded(get(b"Connection: X-Forwarded-For, Authorization, Cookie, X-User, Host\r\n"
                         b"Authorization: me\r\nCookie: a=b\r\nX-User: root\r\n"
                         b"Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\n"))
    for kept in ("authorization: me", "cookie: a=b", "x-forwarded-for: 127.0.0.1", "host: shop"):
        t.check(f"\r\n{kept}\r\n" in head, f"row 23: {kept} is gone: {head}")
    for gone in ("x-user", "keep-alive", "proxy-connection", "\r\nconnection:"):
        t.check(gone not in head, f"row 23: {gone} went through: {head}")
    head = forwarded(get(b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
                         b"X-Real-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n"))
    t.check("1.2.3.4" not in head and "https" not in head, f"row 24: {head}")
    head = forwarded(get(target=b"/a/%2e%2e/b%2Fc?q=%00"))
    t.check(head.startswith("get /b%2fc?q=%00 "), f"row 25, the path that was matched: {head}")
    head = forwarded(get(b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"))
    t.check("upgrade" not in head, f"row 18: {head}")


def slow(t, s):
    """Row 37: a head has ten seconds in all, however it trickles in."""
    start, got = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", s.port), timeout=0.5) as c:
        c.sendall(b"GET / HTTP/1.1\r\n")
        while time.monotonic() - start < 60 and not got:
            try:
                c.sendall(b"X")
                got = c.recv(4096)
            except TimeoutError:
                pass
            except OSError:
                break
    took = time.monotonic() - start
    t.check(took > 8, f"row 37: ended after {took:.1f} s")
    t.check(got.startswith(b"HTTP/1.1 408"), f"row 37: {got!r}")


def tell(t):
    raw = Raw()
    t.started.append(raw)
    raw.say = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    s = t.sluice(workers=1, services={"shop": {
        "retry": {"attempts": 1},
        "versions": {"v1": {"endpoints": [f"127.0.0.1:{raw.port}"]}}}})
    refused(t, s, raw)
    bad_answers(t, s, raw)
    leftovers(t, s, raw)
    written_anew(t, s, raw)
    slow(t, s)
    for line in s.access_log.read_text().splitlines():
        json.loads(line)
    kinds = {k for k, v in s.metrics().items() if k.startswith("sluice_http_violations_total") and v}
    t.check(len(kinds) >= 12, f"violations are counted by kind: {kinds}")


story(__doc__, tell)
