#!/usr/bin/env python3
"""A name server that lies (row 44): answers to questions that were not asked, bytes that no name
has, thousands of records, times to live of nothing, addresses of nobody, answers cut short. What
was known stays, nothing breaks, and the questions stay few."""
import ipaddress
import socket
import struct
import threading
import time

from harness import free_port, story

A, CNAME, AAAA, SRV = 1, 5, 28, 33


def labels(*parts):
    return b"".join(bytes([len(p)]) + p for p in parts) + b"\0"


def record(kind, data, ttl=0, name=b"\xc0\x0c"):
    return name + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


class Liar:
    """Answers questions with what self.lie makes of them; over TCP with the first of it."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        here = ("127.0.0.1", free_port())
        self.sock.bind(here)
        self.address = "%s:%d" % here
        self.stream = socket.create_server(here)
        self.lie, self.asked, self.ending = None, 0, False
        threading.Thread(target=self.run, daemon=True).start()
        threading.Thread(target=self.run_stream, daemon=True).start()

    def answers(self, q):
        self.asked += 1
        end = q.index(b"\0", 12) + 5
        return self.lie(q[:2], q[12:end], struct.unpack("!H", q[end - 4:end - 2])[0])

    def run_stream(self):
        while not self.ending:
            try:
                with self.stream.accept()[0] as conn:
                    n = struct.unpack("!H", conn.recv(2))[0]
                    answer = self.answers(conn.recv(n))[0]
                    conn.sendall(struct.pack("!H", len(answer)) + answer)
                    conn.recv(1)
            except (OSError, struct.error):
                continue

    def run(self):
        while not self.ending:
            try:
                q, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            for answer in self.answers(q):
                self.sock.sendto(answer, peer)

    def stop(self):
        self.ending = True
        self.sock.close()
        self.stream.shutdown(socket.SHUT_RDWR)
        self.stream.close()


def message(ident, question, records, flags=0x8180, count=None):
    n = len(records) if count is None else count
    return ident + struct.pack("!HHHHH", flags, 1, n, 0, 0) + question + b"".join(records)


def tell(t):
    origin = t.origin("v1")
    here = ipaddress.ip_address("127.0.0.1").packed
    liar = Liar()
    t.started.append(liar)

    def honest(ident, question, kind):
        records = {A: [record(A, here)],
                   SRV: [record(SRV, struct.pack("!HHH", 0, 0, origin.port)
                                + labels(b"one", b"test"))]}.get(kind, [])
        return [message(ident, question, records)]

    def wrong_id(ident, question, kind):
        bad = bytes([ident[0] ^ 1, ident[1]])
        return [message(bad, question, [record(A, bytes([127, 0, 0, 9]))])] * 20

    def wrong_question(ident, question, kind):
        other = labels(b"other", b"test") + struct.pack("!HH", kind, 1)
        return [message(ident, other, [record(A, bytes([127, 0, 0, 9]))])]

    def nobody(ident, question, kind):
        if kind == A:
            return [message(ident, question, [record(A, bytes(a)) for a in (
                (0, 0, 0, 0), (224, 0, 0, 1), (255, 255, 255, 255))])]
        return [message(ident, question, [record(AAAA, ipaddress.ip_address(a).packed) for a in (
            "::", "ff02::1", "fe80::1", "::ffff:127.0.0.9")] if kind == AAAA else [])]

    def odd_names(ident, question, kind):
        targets = (labels(b"a\0b", b"test"), labels(b"a.b\\", b"te st"), labels(b"-x", b"test"),
                   b"\0", labels(b"x" * 63, b"y" * 63, b"z" * 63, b"w" * 63))
        if kind != SRV:
            return honest(ident, question, kind)
        return [message(ident, question, [record(SRV, struct.pack("!HHH", 0, 0, 9) + name)
                                          for name in targets])]

    def cut(ident, question, kind):
        whole = honest(ident, question, kind)[0]
        return [whole[:-3] if kind in (A, SRV) else whole]

    def loops(ident, question, kind):
        return [message(ident, question, [record(CNAME, b"\xc0\x0c")] * 3
                        + [record(SRV, struct.pack("!HHH", 0, 0, 9) + b"\xc0\xff")])]

    def counted(ident, question, kind):
        return [message(ident, question, [record(kind, here)] if kind == A else [], count=65535)]

    def rubbish(ident, question, kind):
        return [ident + bytes([0x81, 0x80]) + b"\xff" * 200, b"", ident]

    liar.lie = honest
    s = t.sluice(
        dns={"resolvers": [liar.address], "timeout": "100ms", "negative": "100ms",
             "min_ttl": "100ms"},
        services={"shop": {"versions": {"v1": {"endpoints": [f"shop.test:{origin.port}"]}}},
                  "api": {"versions": {"v1": {"endpoints": ["srv:_http._tcp.api.test"]}}}},
        routes=[{"path": "/", "service": "shop"}, {"path": "/api", "service": "api"}])

    def known():
        return [n["addresses"] for n in s.status()["dns"]]

    good = [[origin.address], [origin.address]]
    t.eventually("the truth", lambda: known() == good)
    controller = s.children()["controller"]
    load = t.load(s)
    for lie in (wrong_id, wrong_question, nobody, odd_names, cut, loops, counted, rubbish):
        asked, liar.lie = liar.asked, lie
        time.sleep(1.2)
        t.equal(known(), good, lie.__name__)
        t.equal({s.get(p).status for p in ("/", "/api")}, {200}, lie.__name__)
        # two names, at most two families and two tries each, ten times a second
        t.check(liar.asked - asked < 150, f"{lie.__name__}: {liar.asked - asked} questions")
    t.no_failures(load)

    # a message of 2000 addresses, over TCP: of a name that many are too many
    def many(ident, question, kind):
        if kind != A:
            return honest(ident, question, kind)
        return [message(ident, question, [record(A, struct.pack("!I", 0x7f000001 + i))
                                          for i in range(2000)])]

    liar.lie = many
    t.eventually("as many as are taken", lambda: [len(n) for n in known()] == [256, 256])
    liar.lie = honest
    t.eventually("the truth again", lambda: known() == good)
    t.equal(s.children()["controller"], controller, "the same controller all along")


story(__doc__, tell)
