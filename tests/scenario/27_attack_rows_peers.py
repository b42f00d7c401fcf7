#!/usr/bin/env python3
"""The known attacks on proxies, those that need a second peer or time: Expect (16), early answers
(17), Upgrade (18), interim answers (19), answers that break off (21), slow readers (36), slow
bodies (37), the edges of the limits (38), plaintext where TLS is due (41), PROXY headers (42), and
what comes from Redis and to the control API (44)."""
import importlib
import json
import pathlib
import socket
import ssl
import time

from harness import Peer, free_port, story

pki = importlib.import_module("27_tls").pki
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
BLOCK = bytes(65536)
FRAME = b"\x81\x85\0\0\0\0hello"


def head(method, fields=b"", version=b"1.1", target=b"/x"):
    return method + b" " + target + b" HTTP/" + version + b"\r\nHost: shop\r\n" + fields + b"\r\n"


class Upstream(Peer):
    """Each connection is run by .script(conn, input); what the script returns is kept."""

    def __init__(self):
        self.script, self.told, self.heads = self.answer, [], []
        super().__init__()

    def serve(self, conn):
        script, told = self.script, self.told
        conn.settimeout(20)
        with conn:
            try:
                told.append(script(conn))
            except OSError as e:
                told.append(e)

    def answer(self, conn):
        """The plain service: one answer a connection, to what has no body."""
        self.heads = [read_head(conn)]
        conn.sendall(LAST)


def read_head(conn):
    got = b""
    while b"\r\n\r\n" not in got:
        part = conn.recv(65536)
        if not part:
            raise ConnectionError(f"ended after {got!r}")
        got += part
    return got


def quiet(conn, seconds):
    """What comes within SECONDS; b"" is also the end."""
    conn.settimeout(seconds)
    try:
        return conn.recv(65536)
    except TimeoutError:
        return None
    finally:
        conn.settimeout(20)


def talk(port, data, until=None):
    """Send DATA -> what comes until the connection ends or UNTIL is in it."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as c:
        try:
            c.sendall(data)
            while not (until and until in got) and (part := c.recv(65536)):
                got += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    return got


def play(t, up, script, act):
    """Run ACT with SCRIPT as the upstream -> (what ACT gave, what SCRIPT gave)."""
    up.script, up.told = script, []
    got, told = act(), up.told
    t.eventually("the upstream is through", lambda: told)
    up.script, up.told = up.answer, []
    if isinstance(told[0], OSError):
        raise told[0]
    return got, told[0]


def row_16(t, port, up):
    post = head(b"POST", b"Content-Length: 5\r\nExpect: 100-continue\r\n") + b"hello"

    def waits(conn):
        first, early = read_head(conn), quiet(conn, 0.4)
        conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = conn.recv(65536)
        conn.sendall(OK)
        return first, early, body
    got, (first, early, body) = play(t, up, waits, lambda: talk(port, post, b"\r\n\r\nok"))
    t.check(b"\r\nExpect: 100-continue\r\n" in first, f"row 16: Expect is not forwarded: {first!r}")
    t.check(first.endswith(b"\r\n\r\n") and early is None, f"row 16: the body came early: {first!r} {early!r}")
    t.equal(body, b"hello", "row 16: body behind 100")
    t.check(got.startswith(b"HTTP/1.1 100 ") and got.count(b"HTTP/1.1 ") == 2, f"row 16: {got!r}")

    def mute(conn):
        read_head(conn)
        start = time.monotonic()
        body = conn.recv(65536)
        conn.sendall(OK)
        return time.monotonic() - start, body
    _, (took, body) = play(t, up, mute, lambda: talk(port, post, b"\r\n\r\nok"))
    t.check(took > 0.8 and body == b"hello", f"row 16: without 100 the body came after {took:.1f} s: {body!r}")

    for final in (b"413 Content Too Large", b"200 OK"):
        def refuses(conn):
            read_head(conn)
            conn.sendall(b"HTTP/1.1 " + final + b"\r\nContent-Length: 2\r\n\r\nno")
            return conn.recv(65536)
        got, rest = play(t, up, refuses, lambda: talk(port, post + head(b"GET", target=b"/smuggled")))
        t.check(got.startswith(b"HTTP/1.1 " + final) and got.endswith(b"no"), f"row 16: {got!r}")
        t.check(b"connection: close" in got.lower() and got.count(b"HTTP/1.1 ") == 1, f"row 16: {got!r}")
        t.equal(rest, b"", f"row 16: behind a final {final.decode()} came")

    for fields in (b"", b"Content-Length: 0\r\n"):
        talk(port, head(b"GET", b"Expect: 100-continue\r\nConnection: close\r\n" + fields))
        t.check(b"xpect" not in up.heads[-1], f"row 16: without a body: {up.heads[-1]!r}")
    for value in (b"100-continue, x", b"x", b"200-ok", b""):
        got = talk(port, head(b"POST", b"Content-Length: 5\r\nExpect: " + value + b"\r\n") + b"hello")
        t.check(got.startswith(b"HTTP/1.1 417 "), f"row 16: Expect: {value}: {got[:60]!r}")


def row_17(t, port, up):
    def early(conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        total = 0
        try:
            while part := conn.recv(65536):
                total += len(part)
        except ConnectionResetError:
            pass
        return total
    size = 8 << 20
    for sent in (1000, size):
        before = up.connections
        got, total = play(t, up, early, lambda: talk(port, head(b"POST", b"Content-Length: %d\r\n" % size) + b"x" * sent))
        t.check(got.startswith(b"HTTP/1.1 403 ") and got.endswith(b"no"), f"row 17, {sent} sent: {got[:100]!r}")
        t.check(b"connection: close" in got.lower(), f"row 17: the client may go on: {got!r}")
        t.check(total < size, "row 17: all of an unwanted body went up")
        t.check(talk(port, head(b"GET", b"Connection: close\r\n")).endswith(b"ok"), "row 17: afterwards")
        t.equal(up.connections - before, 2, "row 17: connections")


def row_18(t, port, up):
    ask = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    close = b"Connection: close\r\n"
    for what, data in {
            "POST": head(b"POST", b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"),
            "a length": head(b"GET", b"Connection: Upgrade, close\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"),
            "HTTP/1.0": head(b"GET", ask, b"1.0"),
            "no Connection": head(b"GET", close + b"Upgrade: websocket\r\n"),
            "a list": head(b"GET", b"Connection: Upgrade, close\r\nUpgrade: websocket, h2c\r\n"),
            "h2c": head(b"GET", b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
    }.items():
        t.check(talk(port, data).endswith(b"ok"), f"row 18, {what}")
        t.check(b"pgrade" not in up.heads[-1], f"row 18, {what}: {up.heads[-1]!r}")

    def other(conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil")
        return conn.recv(65536)
    got, _ = play(t, up, other, lambda: talk(port, head(b"GET", ask), b"\r\n\r\n502 "))
    t.check(got.startswith(b"HTTP/1.1 502 ") and b"evil" not in got, f"row 18: another protocol: {got!r}")

    def declines(conn):
        first = read_head(conn)
        conn.sendall(OK)
        return first, conn.recv(65536)
    got, (first, rest) = play(t, up, declines, lambda: talk(port, head(b"GET", ask) + head(b"GET", close)))
    t.check(first.endswith(b"\r\n\r\n") and rest == b"", f"row 18: after 200 the connection was used: {first!r} {rest!r}")
    t.equal(got.count(b"HTTP/1.1 200 "), 2, "row 18: answers after a declined Upgrade")

    def accepts(conn):
        first, early = read_head(conn), quiet(conn, 0.3)
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
        frame = conn.recv(65536)
        conn.sendall(frame)
        return first, early, frame
    got, (first, early, frame) = play(t, up, accepts, lambda: talk(port, head(b"GET", ask) + FRAME, FRAME))
    t.check(first.endswith(b"\r\n\r\n") and early is None, f"row 18: bytes before 101: {first!r} {early!r}")
    t.equal(frame, FRAME, "row 18: the tunnel carries")
    t.check(got.startswith(b"HTTP/1.1 101 "), f"row 18: {got!r}")


def row_19(t, port, up):
    def interim(conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 32 + LAST)
    got, _ = play(t, up, interim, lambda: talk(port, head(b"GET", b"Connection: close\r\n")))
    t.equal(got.count(b"HTTP/1.1 103 "), 32, "row 19: interim answers relayed")
    got, _ = play(t, up, interim, lambda: talk(port, head(b"GET", b"", b"1.0")))
    t.check(got.startswith(b"HTTP/1.1 200 ") and b"103" not in got, f"row 19: to HTTP/1.0: {got[:80]!r}")


def row_21(t, port, up):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    for what, rest in {"a bad chunk": b"zz\r\n", "an end": b""}.items():
        def breaks(conn):
            read_head(conn)
            conn.sendall(chunked)
            time.sleep(0.2)  # the head is through
            conn.sendall(rest)
        got, _ = play(t, up, breaks, lambda: talk(port, head(b"GET")))
        t.check(b"hello" in got and b"\r\n0\r\n" not in got, f"row 21, {what} in the middle: {got!r}")


def resident(s):
    pid = s.children()["worker 0"]
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise ValueError("no VmRSS")


def ends(s):
    return [json.loads(line)["end"] for line in s.access_log.read_text().splitlines()]


def row_36(t, s, port, up):
    """Clients that ask for much and read nothing."""
    clients, size, before = [], 64 << 20, resident(s)

    def gives(conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(BLOCK)):
            conn.sendall(BLOCK)
    up.script = gives
    for _ in range(20):
        c = socket.socket()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.connect(("127.0.0.1", port))
        c.sendall(head(b"GET"))
        clients.append(c)
    time.sleep(0.8)
    grown = resident(s) - before
    t.say(f"row 36: 20 stalled readers cost {grown} KiB")
    if "asan" not in str(t.build):
        t.check(grown < 20 * 512, f"row 36: the worker grew by {grown} KiB")
    t.eventually("row 36: all of them are cut off", lambda: ends(s).count("send_timeout") == 20)
    for c in clients:
        c.close()
    up.script = up.answer


def row_37(t, s, port, up):
    def waits(conn):
        while conn.recv(65536):
            pass
    start = time.monotonic()
    got, _ = play(t, up, waits, lambda: talk(port, head(b"POST", b"Content-Length: 100\r\n") + b"x"))
    took = time.monotonic() - start
    t.check(got.startswith(b"HTTP/1.1 408 ") and took > 0.8, f"row 37: after {took:.1f} s: {got[:60]!r}")
    start = time.monotonic()
    got = talk(port, b"GET / HTTP/1.1\r\nHo")
    took = time.monotonic() - start
    t.check(got.startswith(b"HTTP/1.1 408 ") and took > 1.5, f"row 37: after {took:.1f} s: {got[:60]!r}")
    size = 16 << 20

    def gives(conn):
        read_head(conn)
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(BLOCK)):
            conn.sendall(BLOCK)
    up.script, total = gives, 0
    with socket.socket() as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.settimeout(20)
        c.connect(("127.0.0.1", port))
        c.sendall(head(b"GET", b"Connection: close\r\n"))
        start = time.monotonic()
        while part := c.recv(1 << 20):
            total += len(part)
            if time.monotonic() - start < 3:  # slow, but not stalled
                time.sleep(0.2)
    up.script = up.answer
    t.check(total > size, f"row 37: a slow reader got {total} of {size} bytes")
    t.check({"body_timeout", "head_timeout"} <= set(ends(s)), f"row 37: ends {set(ends(s))}")


def row_38(t, port):
    def status(data):
        got = talk(port, data)
        return int(got[9:12]) if got.startswith(b"HTTP/1.1 ") else None

    def line(n):
        return b"X: " + b"y" * (n - 3) + b"\r\n"
    close = b"Connection: close\r\n"
    fields = b"X: y\r\n"
    full = 65536 - len(head(b"GET", close)) - 3 * 16386
    for what, data, want in (
            ("8000 bytes of target", head(b"GET", close, target=b"/" + b"a" * 7999), 200),
            ("a line of 16 KiB", head(b"GET", close + line(16384)), 200),
            ("a longer line", head(b"GET", close + line(16385)), 431),
            ("a request line of 16 KiB", head(b"GET", close, target=b"/" + b"a" * (16384 - 14)), 200),
            ("a longer request line", head(b"GET", close, target=b"/" + b"a" * (16385 - 14)), 414),
            ("128 fields", head(b"GET", close + fields * 126), 200),
            ("129 fields", head(b"GET", close + fields * 127), 431),
            ("a name of 256 bytes", head(b"GET", close + b"n" * 256 + b": y\r\n"), 200),
            ("a longer name", head(b"GET", close + b"n" * 257 + b": y\r\n"), 431),
            ("a head of more than 64 KiB", head(b"GET", close + line(16384) * 3 + line(full - 1)), 431),
            ("a method of 33 bytes", head(b"M" * 33, close), 501)):
        t.equal(status(data), want, f"row 38: {what}")


def row_41(t, s, secure, plain_tls):
    """Plaintext to a TLS listener, and plaintext from an upstream that has to speak TLS."""
    got = talk(secure, head(b"GET", b"Connection: close\r\n"))
    t.check(not got.startswith(b"HTTP/"), f"row 41: a plain request to TLS: {got[:60]!r}")
    injected = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def answers_plain(conn):
        conn.sendall(injected)
        return conn.recv(65536)

    def answers_hello(conn):
        hello = conn.recv(65536)
        conn.sendall(injected)
        return hello

    def shakes_hands(conn):
        conn.sendall(injected)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(t.directory / "up.pem", t.directory / "up.key")
        try:
            with context.wrap_socket(conn, server_side=True) as secured:
                return secured.recv(65536)
        except OSError:
            return b""
    for script in (answers_plain, answers_hello, shakes_hands):
        plain_tls.script, plain_tls.told = script, []
        a = s.get("/tls", port=s.web)
        t.check(a.status == 502 and b"evil" not in a.body, f"row 41, {script.__name__}: {a.status} {a.body!r}")
        t.eventually("row 41: the upstream is through", lambda: plain_tls.told)
        t.check(not any(isinstance(b, bytes) and b"GET " in b for b in plain_tls.told), "row 41: a request went out")


def row_42(t, port, here, elsewhere):
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n"
    get = head(b"GET", b"Connection: close\r\n")
    t.check(talk(here, header + get).endswith(b"ok"), "row 42: a header from where it is required")
    t.equal(talk(here, get), b"", "row 42: no header where it is required")
    t.equal(talk(elsewhere, header + get), b"", "row 42: a header from outside the networks")
    t.equal(talk(elsewhere, get), b"", "row 42: from outside the networks")
    for data in (header, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)):
        got = talk(port, data + get)
        t.check(got.startswith(b"HTTP/1.1 400 ") and got.count(b"HTTP/1.1") == 1, f"row 42: on a plain listener: {got!r}")


def redis(port, *words):
    out = b"*%d\r\n" % len(words)
    for w in words:
        w = w if isinstance(w, bytes) else str(w).encode()
        out += b"$%d\r\n%s\r\n" % (len(w), w)
    with socket.create_connection(("127.0.0.1", port), 5) as c:
        c.sendall(out)
        return c.recv(65536)


def row_44(t, s, port, up, store):
    """Hostile documents: to the control API, and in Redis, where a good flag must still arrive."""
    deep = b"[" * 100000
    for body, want in ((deep, {400, 422}), (b"{" * 40, {400, 422}), (b"\xff\xfe", {400, 422}), (b"x" * (2 << 20), {413})):
        with socket.socket(socket.AF_UNIX) as c:
            c.settimeout(20)
            c.connect(str(s.socket))
            try:
                c.sendall(b"PUT /v1/services/shop/weights HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          b"Content-Length: %d\r\n\r\n" % len(body) + body)
            except (BrokenPipeError, ConnectionResetError):
                pass
            got = c.recv(65536)
        t.check(int(got[9:12]) in want, f"row 44: {body[:20]!r}: {got[:60]!r}")
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    evil = {"state": "ENABLED", "variants": {"a\r\nX-Evil: 1": True}, "defaultVariant": "a\r\nX-Evil: 1"}
    flags = {"evil": json.dumps(evil), "key\r\nX-Evil: 1": json.dumps(flag), "deep": deep, "nul": b"\0" * 100,
             "field": json.dumps({**flag, "metadata": {"proxy.header": "X-Flag-a\r\nX-Evil: 1"}}),
             "huge": json.dumps({**flag, "metadata": {"x": "y" * (4 << 20)}}), "good": json.dumps(flag)}
    s.api("PUT", "/v1/flags/first", flag, 201, {"If-None-Match": "*"})
    for key, doc in flags.items():
        redis(store.port, "HSET", "{ff:prod}:flags", key, doc)
    redis(store.port, "HINCRBY", "{ff:prod}:meta", "version", 1)
    redis(store.port, "PUBLISH", "{ff:prod}:changed", b"\r\n" * 100)

    def good():
        talk(port, head(b"GET", b"Connection: close\r\n"))
        t.check(b"evil" not in up.heads[-1].lower(), f"row 44: {up.heads[-1]!r}")
        return b"\r\nX-Flag-good: on" in up.heads[-1]
    t.eventually("row 44: the good flag is live among the bad ones", good)


def tell(t):
    pki(t.directory)("up", "127.0.0.1")
    up, plain_tls = Upstream(), Upstream()
    t.started += [up, plain_tls]
    store = t.redis()
    web, secure, here, elsewhere = (free_port() for _ in range(4))
    address = "127.0.0.1:{}".format
    s = t.sluice(
        workers=1,
        listeners={"web": {"address": address(web), "timeouts": {"head": "2s", "stall": "1s"}},
                   "secure": {"address": address(secure), "tls": {"certificates": [{"cert": "up.pem", "key": "up.key"}]}},
                   "here": {"address": address(here), "proxy_protocol": {"from": ["127.0.0.0/8"]}},
                   "elsewhere": {"address": address(elsewhere), "proxy_protocol": {"from": ["192.0.2.0/24"]}}},
        services={"shop": {"retry": {"attempts": 1}, "versions": {"v1": {"endpoints": [up.address]}}},
                  "tls": {"retry": {"attempts": 1}, "tls": {"ca": "ca.pem"},
                          "versions": {"v1": {"endpoints": [plain_tls.address]}}}},
        routes=[{"path": "/", "service": "shop"}, {"path": "/tls", "service": "tls"}],
        flags={"redis": f"redis://127.0.0.1:{store.port}/0", "env": "prod"})
    s.web = web
    worker = s.children()["worker 0"]
    row_16(t, web, up)
    row_17(t, web, up)
    row_18(t, web, up)
    row_19(t, web, up)
    row_21(t, web, up)
    row_36(t, s, web, up)
    row_37(t, s, web, up)
    row_38(t, web)
    row_41(t, s, secure, plain_tls)
    row_42(t, web, here, elsewhere)
    row_44(t, s, web, up, store)
    t.equal(s.children()["worker 0"], worker, "the worker is the same process")


story(__doc__, tell)
