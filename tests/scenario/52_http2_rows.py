#!/usr/bin/env python3
"""What http/2 clients must not do, by the rows of the attack table (26 to 36): what would be another
request in HTTP/1.1 is refused, floods and bombs end by GOAWAY, stalls by a reset; and others on the
same worker, on connections of their own or beside it on the same one, notice nothing."""
import importlib
import json

from harness import free_port, story
from raw_http2 import (CALM, CANCEL, COMPRESSION, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING,
                       PRIORITY, PROTOCOL_ERROR, RST, SETTINGS, WINDOW, Raw, block, field, frame, number, request,
                       settings)

Service = importlib.import_module("50_http2").Service
FEW = 3000  # frames of a flood: more than anybody may send


class Table:
    """The rows, and somebody whose connection was there before them."""

    def __init__(self, t, s, service):
        self.t, self.s, self.service = t, s, service
        self.neighbour, self.next = Raw(s.port), 1

    def others(self, row):
        status = self.neighbour.answer(self.next)
        self.t.equal(status, 200, f"row {row}: a request of somebody else")
        self.next += 2

    def seen(self):
        """Requests over HTTP/2 that the service saw; the load speaks HTTP/1.1."""
        return sum(b"\r\nvia: 2.0" in h.lower() for h in self.service.heads)

    def refused(self, row, what, fields, end=True, body=b"", trailers=None):
        """It is refused, and the service never sees it."""
        seen = self.seen()
        c = Raw(self.s.port)
        c.ask(1, fields, end and not body and trailers is None)
        if body:
            c.send(frame(DATA, END_STREAM if trailers is None else 0, 1, body))
        if trailers is not None:
            c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(trailers)))
        c.until(lambda: c.over(1))
        self.t.equal(c.verdict(1), "refused", f"row {row}: {what}")
        self.t.check(c.over(1), f"row {row}: {what}: nothing came back")
        if not body and trailers is None:
            self.t.equal(self.seen(), seen, f"row {row}: {what}: requests that the service saw")
        c.close()

    def taken(self, row, what, fields, body=b""):
        c = Raw(self.s.port)
        self.t.equal(c.answer(1, fields, body=body), 200, f"row {row}: {what}")
        c.close()

    def flood(self, row, what, frames, code=CALM, beside=True):
        """FRAMES end the connection with CODE; a request before them on it was answered."""
        c = Raw(self.s.port)
        if beside:
            self.t.equal(c.answer(1), 200, f"row {row}: {what}: before")
        for f in frames:
            if not c.send(f):
                break
        self.t.equal(c.end(), code, f"row {row}: {what}")
        c.close()
        self.others(row)


def row_26(t):
    for name, bad in (("CR LF", b"\r\nx: y"), ("LF", b"\nx"), ("CR", b"\rx"), ("NUL", b"\0"), ("space", b" x")):
        for pseudo in (b":path", b":method", b":authority", b":scheme"):
            fields = [(n, v + bad if n == pseudo else v) for n, v in request()]
            t.refused(26, f"{name} in {pseudo}", fields)
        t.refused(26, f"{name} in a name", request(more=[(b"x-a" + bad, b"1")]))
        if name != "space":
            t.refused(26, f"{name} in a value", request(more=[(b"x-a", b"1" + bad)]))
    t.refused(26, "an upper-case name", request(more=[(b"X-A", b"1")]))
    t.refused(26, "an empty name", request(more=[(b"", b"1")]))


def row_27(t):
    for name, value in ((b"transfer-encoding", b"chunked"), (b"connection", b"x-a"), (b"upgrade", b"websocket"),
                        (b"keep-alive", b"timeout=5"), (b"proxy-connection", b"close"), (b"te", b"gzip")):
        t.refused(27, name, request(more=[(name, value)]))
    t.taken(27, "te: trailers", request(more=[(b"te", b"trailers")]))


def row_28(t):
    for length, body in ((b"2", b"hello"), (b"99", b"hello"), (b"-5", b"hello"), (b"+5", b"hello"), (b"5, 6", b"hello")):
        t.refused(28, f"a length of {length} and {body}",
                  request(b"/echo", b"POST", [(b"content-length", length)]), body=body)
    t.refused(28, "two lengths", request(b"/echo", b"POST", [(b"content-length", b"5"), (b"content-length", b"6")]),
              body=b"hello")
    t.refused(28, "a length and no body", request(b"/", b"POST", [(b"content-length", b"5")]))
    t.taken(28, "a length that is right", request(b"/echo", b"POST", [(b"content-length", b"5")]), body=b"hello")


def row_29(t):
    plain = request()
    for n, _ in plain:
        t.refused(29, f"no {n}", [f for f in plain if f[0] != n])
        t.refused(29, f"{n} twice", plain + [(n, dict(plain)[n])])
    t.refused(29, "a late one", plain[:3] + [(b"x-a", b"1"), plain[3]])
    t.refused(29, "an unknown one", plain + [(b":x", b"1")])
    t.refused(29, "one of an answer", plain + [(b":status", b"200")])
    t.refused(29, ":authority and Host differ", request(more=[(b"host", b"evil")]))
    t.refused(29, "Host twice", plain[:3] + [(b"host", b"shop"), (b"host", b"shop")])
    t.taken(29, ":authority and Host agree", request(more=[(b"host", b"shop")]))
    t.taken(29, "Host alone", plain[:3] + [(b"host", b"shop")])


def row_30(t):
    post = request(b"/echo", b"POST")
    t.refused(30, "a pseudo field", post, body=b"a", trailers=[(b":path", b"/x")])
    t.refused(30, "a coding", post, body=b"a", trailers=[(b"transfer-encoding", b"chunked")])
    t.refused(30, "CR LF", post, body=b"a", trailers=[(b"x-a", b"1\r\nx: y")])
    c = Raw(t.s.port)
    c.ask(1, request(b"/trailers", b"POST", [(b"te", b"trailers")]), end=False)
    c.send(frame(DATA, 0, 1, b"abc") + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(
        [(b"host", b"evil"), (b"x-mine", b"8")])))
    c.until(lambda: c.over(1))
    t.t.equal(c.status(1), 200, "row 30: a routing field is dropped")
    t.t.check(b"evil" not in b"".join(f.payload for f in c.frames), "row 30: a Host that came late")
    c.close()


def row_31(t):
    numbers = range(3, 2 * FEW, 2)
    t.flood(31, "rapid reset", (frame(HEADERS, 5, i, block(request())) + frame(RST, 0, i, b"\0\0\0\x08")
                                for i in numbers))
    c = Raw(t.s.port)  # made you reset: a window of nothing is the stream's error
    for i in numbers:
        if not c.send(frame(HEADERS, 4, i, block(request(b"/echo", b"POST"))) + frame(WINDOW, 0, i, b"\0\0\0\0")):
            break
    t.t.check(c.end() in (CALM, PROTOCOL_ERROR), f"row 31: made you reset: {c.goaway()}")
    t.others(31)


def row_32(t):
    head = frame(HEADERS, END_STREAM, 3, block(request()))
    t.flood(32, "CONTINUATION", [head] + [frame(CONTINUATION, 0, 3, field(b"x-a", b"b") * 8)] * FEW)
    t.flood(32, "empty CONTINUATION", [head] + [frame(CONTINUATION, 0, 3)] * FEW)
    t.flood(32, "a block of more than 64 KiB", [head] + [frame(CONTINUATION, 0, 3, field(b"x-a", b"b" * 16000))] * 5)


def row_33(t):
    c = Raw(t.s.port)
    crumb = (b"cookie", b"a")
    t.t.equal(c.answer(1, request(more=[crumb] * 100)), 200, "row 33: 100 crumbs")
    t.t.equal(c.answer(3, request(more=[crumb] * 200)), 431, "row 33: 200 crumbs")
    t.t.equal(c.answer(5, request(more=[(b"x-a", b"1")] * 200)), 431, "row 33: 200 fields")
    t.t.equal(c.answer(7), 200, "row 33: and then a good request")
    c.close()
    for name in (b"x", b"cookie"):
        first = block(request()) + field(name, b"", keep=True)
        t.flood(33, f"references to {name}", [settings(window=0)] + [
            frame(HEADERS, 5, i, (first if i == 3 else block(request())) + b"\xbe" * 15000) for i in range(3, 180, 2)])


def row_34(t):
    large = field(b"bmb", b"a" * 4000, keep=True)
    t.flood(34, "4000 bytes a reference", [frame(HEADERS, 5, 3, block(request()) + large + b"\xbe" * 12000)])
    t.flood(34, "a table larger than ours", [frame(HEADERS, 5, 3, b"\x3f" + number(8192 - 31, 7) + block(request()))],
            code=COMPRESSION)


def row_35(t):
    floods = {
        "SETTINGS": [frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64")] * FEW,
        "PING": [frame(PING, 0, 0, b"12345678")] * FEW,
        "PRIORITY": [frame(PRIORITY, 0, i, b"\0\0\0\0\x01") for i in range(3, 2 * FEW, 2)],
        "WINDOW_UPDATE": [frame(WINDOW, 0, 0, b"\0\0\0\x01")] * FEW,
        "empty DATA": [frame(HEADERS, 4, 3, block(request(b"/echo", b"POST")))] + [frame(DATA, 0, 3)] * FEW,
        "unknown frames": [frame(0xee, 0, 0, b"x")] * FEW,
        "PRIORITY_UPDATE": [frame(0x10, 0, 0, b"\0\0\0\x03u=1")] * FEW,
    }
    for what, frames in floods.items():
        t.flood(35, what, [b"".join(frames[i:i + 50]) for i in range(0, len(frames), 50)])
    t.flood(35, "streams that were passed over",
            [frame(HEADERS, 5, 9, block(request())), frame(HEADERS, 5, 5, block(request()))], code=PROTOCOL_ERROR)
    c = Raw(t.s.port)  # one that we reset is no such thing
    t.t.equal(c.answer(1, request(b"/early", b"POST"), end=False), 413, "row 35: an early answer")
    c.until(lambda: c.reset(1) is not None)
    c.send(frame(DATA, 0, 1, b"late") + frame(HEADERS, 5, 1, block([(b"x-late", b"1")])))
    t.t.equal(c.answer(3), 200, "row 35: behind what crossed a reset")
    c.close()


def row_36(t):
    c = Raw(t.s.port, first=settings(table=0, window=0))
    for i in range(1, 21, 2):  # ten that are never read: of each at most a little is kept
        c.ask(i, request(b"/size/10000000"))
    c.until(lambda: all(c.reset(i) is not None for i in range(1, 21, 2)))
    t.t.equal({c.reset(i) for i in range(1, 21, 2)}, {CANCEL}, "row 36: streams that nobody reads")
    c.send(settings(window=65535))
    t.t.equal(c.answer(21), 200, "row 36: beside them on the connection")
    c.close()
    t.t.eventually("row 36: the log says why", lambda: len(
        [1 for line in t.s.access_log.read_text().splitlines() if json.loads(line)["end"] == "send_timeout"]) == 10)


def tell(t):
    service = Service()
    t.started.append(service)
    port = free_port()
    s = t.sluice(workers=1, services={"shop": {"versions": {"v1": {"endpoints": [service.address]}}}},
                 listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"],
                                    "timeouts": {"stall": "2s"}}})
    s.port = port
    load = t.load(s, clients=2, rate=100)
    table = Table(t, s, service)
    for row in (row_26, row_27, row_28, row_29, row_30, row_31, row_32, row_33, row_34, row_35, row_36):
        t.say(row.__name__.replace("_", " "))
        row(table)
        table.others(row.__name__[4:])
    t.no_failures(load)


story(__doc__, tell)
