#!/usr/bin/env python3
"""Clients that speak HTTP/2 and are slow: streams and connections that are not read, bodies and
heads that never end, silence. Each ends on its own clock, the log says why, and what is beside it
goes on. Also what is told in advance: how many streams may be open, and in which order they want
their answers."""
import json
import threading

from harness import Peer, free_port, story
from raw_http2 import (CANCEL, DATA, HEADERS, PING, PROTOCOL_ERROR, SETTINGS, WINDOW, Raw, block, frame, request, settings)


class Service(Peer):
    """/size/N says N bytes; /wait answers once told to; anything else what it was asked with."""

    def __init__(self):
        self.go, self.waiting = threading.Event(), 0
        super().__init__()

    def serve(self, conn):
        f = conn.makefile("rb")
        with conn:
            try:
                while head := f.readline():
                    while (line := f.readline()) not in (b"\r\n", b""):
                        head += line
                    self.answer(conn, f, head)
            except OSError:
                pass  # cut off, as it has to be

    def answer(self, conn, f, head):
        path = head.split()[1]
        if path == b"/drip":
            f.read(10000)
            return
        if path == b"/wait":
            self.waiting += 1
            self.go.wait(100)
        body = b"x" * int(path[6:]) if path.startswith(b"/size/") else head
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def logged(s):
    return [json.loads(line) for line in s.access_log.read_text().splitlines()]


def ended(t, s, path, why):
    t.eventually(f"{path} ended by {why}",
                 lambda: [r["end"] for r in logged(s) if r["path"] == path.decode()] == [why])


def unread_stream(t, s, port):
    c = Raw(port, first=settings(table=0, window=1000))
    c.ask(1, request(b"/size/300000"))
    c.until(lambda: len(c.body(1)) == 1000)
    t.equal(c.answer(3, request(b"/size/1000")), 200, "a stream beside one that is not read")
    c.until(lambda: c.reset(1) is not None)
    t.equal(c.reset(1), CANCEL, "a stream that is not read")
    ended(t, s, b"/size/300000", "send_timeout")
    t.equal(c.answer(5), 200, "behind it")
    c.close()


def read_slowly(t, s, port):
    """Little by little, over more than the stall time in all: never cut."""
    c = Raw(port, first=settings(table=0, window=2000))
    c.ask(1, request(b"/size/40000"))
    for got in range(2000, 40001, 2000):
        t.equal(c.until(lambda: len(c.body(1)) >= got), True, f"{got} bytes of a slow reader")
        threading.Event().wait(0.15)
        c.send(frame(WINDOW, 0, 1, (2000).to_bytes(4, "big")))
    t.equal(len(c.body(1)), 40000, "a slow reader's answer")
    c.close()


def unread_connection(t, s, port):
    c = Raw(port, first=settings(table=0, window=0x7fffffff), receive=4096)
    c.send(frame(WINDOW, 0, 0, (0x7fff0000 - 65535).to_bytes(4, "big")))
    c.ask(1, request(b"/size/20000000"))
    ended(t, s, b"/size/20000000", "send_timeout")
    c.close()


def unsent(t, s, port):
    c = Raw(port)
    c.ask(1, request(b"/drip", b"POST"), end=False)
    c.send(frame(DATA, 0, 1, b"a"))
    t.equal(c.answer(3), 200, "beside a body that does not come")
    c.until(lambda: c.over(1))
    t.check(c.over(1), "a body that does not come")
    ended(t, s, b"/drip", "body_timeout")
    c.send(frame(HEADERS, 0, 5, block(request())[:10]))  # and nothing behind it
    c.until(lambda: c.closed)
    t.equal((c.goaway(), c.closed), (CANCEL, True), "a head that never ends")
    c = Raw(port)
    c.send(frame(HEADERS, 5, 1, block(request()))[:20])  # in the middle of the only frame
    c.until(lambda: c.closed)
    t.equal((c.goaway(), c.closed), (CANCEL, True), "a frame that never ends")


def idle(t, port):
    c = Raw(port)
    t.equal(c.answer(1), 200, "a request")
    c.until(lambda: c.closed)
    t.equal((c.goaway(), c.closed), (0, True), "a connection without requests")
    t.check(not c.find(PING), "nobody was asked for a sign of life without a request")


def answer_pings(c):
    n = 0
    while c.until(lambda: len(c.find(PING)) > n or c.over(1)) and not c.over(1):
        c.send(frame(PING, 1, 0, c.find(PING)[n].payload))
        n += 1


def silent(t, s, service, port):
    """Long requests: a client that answers PING is waited for, one that does not is gone."""
    good, gone = Raw(port), Raw(port)
    good.ask(1, request(b"/wait"))
    gone.ask(1, request(b"/wait"))
    t.eventually("both wait", lambda: service.waiting == 2)
    answering = threading.Thread(target=answer_pings, args=(good,))
    answering.start()
    gone.until(lambda: gone.closed)  # it reads, but says nothing
    t.check(gone.find(PING) and gone.closed, f"one that gives no sign of life: {gone.frames}")
    t.eventually("the other one was asked more than once", lambda: len(good.find(PING)) > 1)
    service.go.set()
    answering.join()
    t.equal(good.status(1), 200, "one that gives signs of life")
    t.eventually("the log says who left", lambda: sorted(
        r["end"] for r in logged(s) if r["path"] == "/wait") == ["client_abort", "done"])
    good.close()


def told(t, port):
    c = Raw(port)
    c.until(lambda: c.find(SETTINGS))
    first = c.find(SETTINGS)[0].payload
    values = {first[i + 1]: int.from_bytes(first[i + 2:i + 6], "big") for i in range(0, len(first), 6)}
    t.equal((values[3], values[8], values[9]), (7, 1, 1),
            "max_concurrent_streams, extended CONNECT, no priorities of RFC 7540")
    for i in range(1, 15, 2):
        c.ask(i, request(b"/drip", b"POST"), end=False)
    c.send(frame(PING, 0, 0, b"all good"))
    t.check(c.until(lambda: c.find(PING, flags=1)) and c.goaway() is None, "seven streams")
    c.ask(15, request(b"/drip", b"POST"), end=False)
    t.equal(c.end(), PROTOCOL_ERROR, "the eighth stream, of one who was told")


def order(t, port):
    """RFC 9218: with all answers there and no window, then with one, the most urgent goes first."""
    c = Raw(port, first=settings(table=0, window=0))
    wanted = {1: b"u=6", 3: b"u=0", 5: b"u=7", 7: b"u=2, i"}
    for i, u in wanted.items():
        c.ask(i, request(b"/size/9000", more=[(b"priority", u)]))
    c.send(frame(0x10, 0, 0, (5).to_bytes(4, "big") + b"u=1"))  # PRIORITY_UPDATE: on second thoughts
    c.until(lambda: all(c.status(i) for i in wanted))
    c.send(frame(PING, 0, 0, b"are they"))
    c.until(lambda: c.find(PING, flags=1))
    c.send(settings(window=65535))
    c.until(lambda: all(c.over(i) for i in wanted))
    ends = [f.stream for f in c.frames if f.kind == DATA and f.flags & 1]
    t.equal(ends, [3, 5, 7, 1], "answers in the order of their urgency")
    c.answer(9, request(b"/seen", more=[(b"priority", b"u=4")]))
    t.check(b"\r\npriority: u=4\r\n" in c.body(9), f"the field is passed on: {c.body(9)}")
    c.close()


def tell(t):
    service, port, lively, calm = Service(), free_port(), free_port(), free_port()
    t.started.append(service)
    times = {"stall": "1s", "head": "1s", "idle": "1s"}
    s = t.sluice(workers=1, services={"shop": {"versions": {"v1": {"endpoints": [service.address]}}}},
                 listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2"], "timeouts": times},
                            "lively": {"address": f"127.0.0.1:{lively}", "protocols": ["h2"],
                                       "http2": {"ping": "2s"}},
                            "calm": {"address": f"127.0.0.1:{calm}", "protocols": ["h2"],
                                     "http2": {"max_concurrent_streams": 7, "ping": "0s"}}})
    t.say("what is not read")
    unread_stream(t, s, port)
    read_slowly(t, s, port)
    unread_connection(t, s, port)
    t.say("what is not sent")
    unsent(t, s, port)
    idle(t, port)
    t.say("silence")
    silent(t, s, service, lively)
    t.say("what is told")
    told(t, calm)
    order(t, calm)


story(__doc__, tell)
