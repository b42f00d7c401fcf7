#!/usr/bin/env python3
"""A service's end of HTTP/2, frame by frame: windows that shrink below what was sent, no more streams
and some again, GOAWAY and refusals in the middle of requests, an answer taken back, a server that says
nothing any more, copies of requests. No request fails that nobody has looked at."""
import json
import threading

from harness import story
from raw_http2 import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST, WINDOW, Endpoint, answer,
                       field, frame, settings)

REFUSED = 7
OK = b"\x88"  # :status 200


def goaway(last, code=0):
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def window(stream, n):
    return frame(WINDOW, 0, stream, n.to_bytes(4, "big"))


def reset(stream, code):
    return frame(RST, 0, stream, code.to_bytes(4, "big"))


def silent(side, f):
    pass


def opened(side):
    return [f.stream for f in side.find(HEADERS)]


def complete(side):
    return [f.stream for f in side.frames if f.kind in (HEADERS, DATA) and f.flags & END_STREAM]


def received(side, stream):
    return sum(len(f.payload) for f in side.find(DATA, stream))


class Asking(threading.Thread):
    """One request in the background."""

    def __init__(self, s, path, **more):
        super().__init__(daemon=True)
        self.s, self.path, self.more, self.status, self.error = s, path, more, None, None
        self.start()

    def run(self):
        try:
            self.status = self.s.get(self.path, timeout=120, **self.more).status
        except Exception as e:  # told by whoever asks
            self.error = e

    def result(self):
        self.join(120)
        return self.error or self.status


def answered(server):
    """The policy of a server that answers, with what came until now answered as well."""
    server.policy = answer
    for side in server.sides:
        for stream in complete(side):
            side.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, OK))


def pinged(t, side):
    """All that was said to the other end was read, and what it says of that has come."""
    n = len(side.find(PING, flags=ACK))
    side.send(frame(PING, 0, 0, b"untilnow"))
    t.eventually("an answer to PING", lambda: len(side.find(PING, flags=ACK)) > n)


def all_leave(t, server):
    """The next request finds no connection."""
    for side in server.sides:
        side.send(goaway(2 ** 31 - 1))
    t.eventually("they are gone", lambda: all(side.closed for side in server.sides))


def shrinking(t, s, server):
    t.say("a window that shrinks below what was sent")
    server.policy = silent
    one = Asking(s, "/", method="POST", body=b"x" * 200000)
    t.eventually("a request", lambda: server.sides and opened(server.sides[-1]))
    side = server.sides[-1]
    stream = opened(side)[-1]
    t.eventually("as much as the window takes", lambda: received(side, stream) == 65535)
    side.send(settings(window=1000) + window(0, 1000000) + window(stream, 64535))
    pinged(t, side)  # the window is 0 now
    t.equal(received(side, stream), 65535, "bytes in no window")
    side.send(window(stream, 500))
    t.eventually("500 more", lambda: received(side, stream) == 66035)
    pinged(t, side)
    t.equal(received(side, stream), 66035, "bytes in a window of 500")
    side.send(settings(window=300000))
    t.eventually("all", lambda: received(side, stream) == 200000 and stream in complete(side))
    answered(server)
    t.equal(one.result(), 200, "the answer")


def no_streams(t, s, server):
    t.say("no more streams on a connection")
    side = server.sides[-1]
    side.send(settings(streams=0))
    pinged(t, side)
    before = len(opened(side)), len(server.sides)
    t.equal([s.get("/").status for _ in range(3)], [200] * 3, "answers beside it")
    t.equal((len(opened(side)), len(server.sides)), (before[0], before[1] + 1), "on a new connection")
    other = server.sides[-1]
    t.say("and on none; then on one again")
    server.first = settings(streams=0)
    other.send(settings(streams=0))
    pinged(t, other)
    waits = [Asking(s, "/"), Asking(s, "/", method="POST", body=b"abc")]
    t.eventually("connections are tried", lambda: len(server.sides) > before[1] + 1)
    t.check(len(server.sides) < before[1] + 40, f"not without end: {len(server.sides)}")
    side.send(settings(streams=100))
    t.equal([w.result() for w in waits], [200, 200], "once there is room")
    server.first = settings()


def leaving(t, s, server):
    t.say("GOAWAY under eight requests, three of which were looked at")
    for body in (None, b"y" * 5000):
        all_leave(t, server)
        t.equal(s.get("/").status, 200, "on another one")
        side = server.sides[-1]
        first = max(opened(side))
        server.policy = silent
        asked = [Asking(s, f"/{i}", method="POST" if body else "GET", body=body) for i in range(8)]
        t.eventually("eight requests", lambda: len([n for n in complete(side) if n > first]) == 8)
        before = len(server.sides)
        server.policy = answer
        side.send(goaway(2 ** 31 - 1))
        side.send(goaway(first + 6))
        for n in (2, 4, 6):
            side.send(frame(HEADERS, END_HEADERS | END_STREAM, first + n, OK))
        t.equal([a.result() for a in asked], [200] * 8, "answers")
        again = [n for other in server.sides[before:] for n in opened(other)]
        t.equal(len(again), 5, "five were asked again, the others were not")
        t.eventually("it is left", lambda: side.closed)


def refusals(t, s, server):
    t.say("a refusal of a request whose body is on its way; an answer taken back")
    refused = []

    def refuse_once(side, f):
        if f.kind == HEADERS and not refused:
            refused.append(f.stream)
            side.send(reset(f.stream, REFUSED))
        elif f.stream not in refused:
            answer(side, f)
    server.policy = refuse_once
    t.equal(s.get("/", method="POST", body=b"z" * 10000).status, 200, "a POST that was refused")
    t.equal(len(refused), 1, "it was")

    def take_back(side, f):
        if f.kind == HEADERS:
            asked.append(f.stream)
            head = frame(HEADERS, END_HEADERS, f.stream, OK + field(b"content-length", b"10"))
            side.send(head + frame(DATA, 0, f.stream, b"abc") + reset(f.stream, REFUSED))
    asked, server.policy = [], take_back
    one = Asking(s, "/back")
    t.check(isinstance(one.result(), Exception), f"it broke off: {one.result()}")
    t.equal(len(asked), 1, "it was not asked again")

    def told():
        lines = [json.loads(line) for line in s.access_log.read_text().splitlines()]
        return [line for line in lines if line.get("path") == "/back"]
    t.eventually("its line", told)
    t.equal([(line["status"], line["end"]) for line in told()], [(200, "upstream_reset")], "and what it says")
    server.policy = answer


def deaf(t, s, server):
    """Begin a GET and a POST on a connection that says nothing any more -> they end by themselves."""
    t.say("a server that says nothing any more, not even to PING")
    t.equal(s.get("/quiet/").status, 200, "at first")
    side = server.sides[-1]
    n = len(complete(side))
    server.policy = lambda at, f: None if at is side else answer(at, f)
    asked = [Asking(s, "/quiet/"), Asking(s, "/quiet/", method="POST", body=b"abc")]
    t.eventually("they are asked", lambda: len(complete(side)) == n + 2)
    return side, asked


def given_up(t, side, asked):
    t.eventually("PING", lambda: side.find(PING), timeout=100)
    t.equal([a.result() for a in asked], [200, 502], "the GET was asked again, the POST may have been heard")
    t.eventually("it is closed", lambda: side.closed)


def mirrors(t, s, server, shadow):
    t.say("copies of requests, whatever comes of them")
    def results():
        return {k.split('result="')[1].split('"')[0]: n for k, n in s.metrics().items()
                if k.startswith("sluice_mirror_requests_total") and n}

    def copied(want):
        t.eventually(f"results {want}, have {results()}", lambda: results() == want)
    for body in (None, b"c" * 50000):
        t.equal(s.get("/copied/", method="POST" if body else "GET", body=body).status, 200, "the answer")
    copied({"ok": 2})
    t.equal(sorted(received(shadow.sides[-1], n) for n in complete(shadow.sides[-1])), [0, 50000], "whole copies")
    shadow.policy = lambda side, f: side.send(reset(f.stream, REFUSED)) if f.kind == HEADERS else None
    t.equal(s.get("/copied/").status, 200, "whose copy is refused")
    t.eventually("it is counted", lambda: sum(results().values()) == 3)
    shadow.policy = lambda side, f: side.send(goaway(0)) if f.kind == HEADERS else None
    t.equal(s.get("/copied/").status, 200, "whose copy meets GOAWAY")
    t.eventually("it is counted", lambda: sum(results().values()) == 4)
    shadow.policy = silent
    t.equal(s.get("/copied/", method="POST", body=b"d" * 50000).status, 200, "whose copy is not answered")
    t.eventually("it is counted", lambda: sum(results().values()) == 5)
    t.eventually("and taken back", lambda: any(side.find(RST) for side in shadow.sides))
    t.equal(results()["ok"], 2, "the others were not well")
    shadow.policy = answer
    t.equal(s.get("/copied/").status, 200, "the answer")
    t.eventually("well again", lambda: results()["ok"] == 3)


def tell(t):
    server, quiet, copied, shadow = Endpoint(), Endpoint(), Endpoint(), Endpoint()
    t.started += [server, quiet, copied, shadow]
    timeouts = {"connect": "30s", "first_byte": "100s", "idle": "100s"}

    def version(e):
        return {"endpoints": [e.address], "protocol": "h2c"}
    s = t.sluice(workers=1, services={
        "shop": {"versions": {"v1": version(server)}, "timeouts": timeouts},
        "quiet": {"versions": {"v1": version(quiet)}, "timeouts": timeouts},
        "copied": {"versions": {"v1": version(copied), "v2": version(shadow)}, "weights": {"v1": 100, "v2": 0},
                   "mirror": {"to": "v2", "percent": 100, "methods": ["GET", "POST"], "timeout": "2s",
                              "max_body": 100000}}},
        routes=[{"path": "/quiet/", "service": "quiet"}, {"path": "/copied/", "service": "copied"},
                {"path": "/", "service": "shop"}])
    side, asked = deaf(t, s, quiet)
    shrinking(t, s, server)
    no_streams(t, s, server)
    leaving(t, s, server)
    refusals(t, s, server)
    mirrors(t, s, copied, shadow)
    given_up(t, side, asked)


if __name__ == "__main__":
    story(__doc__, tell)
