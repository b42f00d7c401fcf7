#!/usr/bin/env python3
"""Hostile TLS: attack rows 40 (resumption across policies) and 41 (plain text beside a handshake,
on both sides), answers that are cut, slow and endless handshakes, renegotiation, garbage."""
import importlib
import pathlib
import random
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

from harness import free_port, story

sys.path.insert(0, str(pathlib.Path(__file__).parent))
tls27 = importlib.import_module("27_tls")

ASK = b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
HANDSHAKE_S = 10  # a handshake and the first head, together


# ---- row 40 ----

def s_client(t, port, name, *args, ask=ASK):
    """All that openssl s_client says about one exchange."""
    out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                          name, "-ign_eof", *map(str, args)], input=ask, cwd=t.directory,
                         capture_output=True, check=False)
    return (out.stdout + out.stderr).decode(errors="replace")


def row_40(t, ports):
    """A ticket is good for its listener and its client policy; others want it all again."""
    session, ask = t.directory / "session", ASK.replace(b"shop.test", b"need.test")
    alice = ("-cert", "alice.pem", "-key", "alice.key")
    for version in ("-tls1_2", "-tls1_3"):
        def said(listener, name, *args, **more):
            return s_client(t, ports[listener], name, version, *args, **more)
        said("one", "shop.test", "-sess_out", session)
        again = said("one", "shop.test", "-sess_in", session)
        t.check("Reused, " in again and "200 OK" in again, f"row 40: its own place: {again}")
        said("one", "shop.test", "-sess_out", session)
        other = said("one", "ask.test", "-sess_in", session)
        t.check("New, " in other, f"row 40: the name of another policy: {other}")
        other = said("one", "need.test", "-sess_in", session, ask=ask)
        t.check("200 OK" not in other, f"row 40: no certificate, no answer: {other}")
        other = said("one", "need.test", "-sess_in", session, *alice, ask=ask)
        t.check("New, " in other and "200 OK" in other, f"row 40: with one: {other}")
        other = said("two", "shop.test", "-sess_in", session)
        t.check("New, " in other and "200 OK" in other, f"row 40: another listener: {other}")
        # The way that was CVE-2025-23419: in by one name with a certificate, on by the other.
        said("one", "need.test", *alice, "-sess_out", session, ask=ask)
        other = said("one", "shop.test", "-sess_in", session, ask=ask)
        t.check("New, " in other and " 421 " in other, f"row 40: into a guarded host: {other}")


# ---- row 41, clients ----

def hello(name="shop.test"):
    """The flight that begins a handshake, and what goes on with it."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    s = context.wrap_bio(into, out, server_hostname=name)
    try:
        s.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read(), s, into, out


def to_the_end(c, timeout=5):
    c.settimeout(timeout)
    got = b""
    try:
        while more := c.recv(65536):
            got += more
    except ConnectionError:
        pass
    return got


def row_41_clients(t, port, origin):
    first, _, _, _ = hello()
    before = origin.requests
    for what, data in (("instead of a handshake", ASK), ("before it", ASK + first),
                       ("with it", first + ASK), ("in the middle of it", first[:40] + ASK)):
        with socket.create_connection(("127.0.0.1", port), 5) as c:
            c.sendall(data)
            c.shutdown(socket.SHUT_WR)
            got = to_the_end(c)
        t.check(b"HTTP/1" not in got, f"row 41: plain text {what}: {got[:200]!r}")
    t.equal(origin.requests, before, "row 41: nothing of it went on")


# ---- row 41, and cuts, upstream ----

class Upstream:
    """An endpoint that shakes hands as it should and then does as TELL says."""

    def __init__(self, directory, cert, tell):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(directory / cert["cert"], directory / cert["key"])
        self.tell, self.closed = tell, False
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not self.closed:
            try:
                c, _ = self.socket.accept()
                c.settimeout(5)
                self.tell(self, c)
                c.close()
            except OSError:
                pass

    def flight(self, c):
        """Read a ClientHello; the server's flight to it."""
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        s = self.context.wrap_bio(into, out, server_side=True)
        into.write(c.recv(65536))
        try:
            s.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return out.read()

    def answer(self, c, text, notify):
        s = self.context.wrap_socket(c, server_side=True)
        s.recv(65536)
        s.sendall(text)
        if notify:
            try:
                s.unwrap()
            except OSError:
                pass
        s.close()

    def stop(self):
        self.closed = True
        self.socket.close()


def forge_after_hello(u, c):
    c.recv(65536)
    c.sendall(FORGED)
    time.sleep(0.05)


def forge_behind_flight(u, c):
    c.sendall(u.flight(c) + FORGED)
    time.sleep(0.05)


def forge_in_flight(u, c):
    flight = u.flight(c)
    c.sendall(flight[:100] + FORGED + flight[100:])
    time.sleep(0.05)


UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"
COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all"
UPSTREAMS = {
    "forge-after-hello": forge_after_hello,
    "forge-in-flight": forge_in_flight,
    "forge-behind-flight": forge_behind_flight,
    "whole": lambda u, c: u.answer(c, UNTIL_CLOSE, True),
    "cut": lambda u, c: u.answer(c, UNTIL_CLOSE, False),
    "short": lambda u, c: u.answer(c, COUNTED, True),
}


def exchange(port, path):
    with socket.create_connection(("127.0.0.1", port), 10) as c:
        c.sendall(b"GET /%s HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n" % path.encode())
        return to_the_end(c, 15)


def upstreams(t, s):
    for name in ("forge-after-hello", "forge-in-flight", "forge-behind-flight"):
        got = exchange(s.port, name)
        t.check(got.startswith(b"HTTP/1.1 502") and b"forged" not in got, f"row 41: {name}: {got}")
    got = exchange(s.port, "whole")
    t.check(got.startswith(b"HTTP/1.1 200") and got.endswith(b"0\r\n\r\n"), f"close_notify: {got}")
    for name in ("cut", "short"):
        got = exchange(s.port, name)
        t.check(not got.endswith(b"0\r\n\r\n") and not got.endswith(b"\r\n\r\nall of it"),
                f"{name}: a truncated answer passes for a whole one: {got}")
    t.eventually("the log tells them apart", lambda: all(
        f'"path":"/{n}"' in s.access_log.read_text() for n in UPSTREAMS))
    ends = {n: [l for l in s.access_log.read_text().splitlines() if f'"path":"/{n}"' in l][0]
            for n in UPSTREAMS}
    t.check('"end":"done"' in ends["whole"], ends["whole"])
    t.check('"end":"done"' not in ends["cut"] + ends["short"], ends["cut"])


# ---- handshakes that do not end, garbage ----

class Slow(threading.Thread):
    """One connection that sends DATA a byte at a time, and when it was closed."""

    def __init__(self, port, data):
        super().__init__(daemon=True)
        self.port, self.data, self.took = port, data, None
        self.start()

    def run(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as c:
            begin = time.monotonic()
            try:
                for i in range(60):
                    c.settimeout(0.5)
                    c.sendall(self.data[i:i + 1])
                    try:
                        while c.recv(4096):
                            pass
                        break
                    except socket.timeout:
                        pass
            except ConnectionError:
                pass
            self.took = time.monotonic() - begin


def records(kind, body, version=0x0301):
    """BODY as TLS records."""
    return b"".join(struct.pack("!BHH", kind, version, len(body[i:i + 16384])) + body[i:i + 16384]
                    for i in range(0, len(body), 16384))


def is_closed(port, data):
    """Whether the peer closes a connection on which DATA came, long before its time is over."""
    with socket.create_connection(("127.0.0.1", port), 5) as c:
        c.settimeout(HANDSHAKE_S / 2)
        try:
            c.sendall(data)
            while c.recv(65536):
                pass
        except socket.timeout:
            return False
        except ConnectionError:
            pass
    return True


def garbage(t, s, port):
    first, _, _, _ = hello()
    r = random.Random(7)
    for _ in range(200):
        data = bytearray(first)
        for _ in range(r.randrange(1, 8)):
            data[r.randrange(len(data))] = r.randrange(256)
        with socket.create_connection(("127.0.0.1", port), 5) as c:
            c.sendall(data[:r.randrange(1, len(data) + 1)])
            c.shutdown(socket.SHUT_WR)
            t.check(b"HTTP/1" not in to_the_end(c), "an answer to a broken handshake")
    for kind in (0, 20, 21, 22, 23, 24, 128, 255):
        t.check(is_closed(port, records(kind, b"\xee" * 40)), f"a record of kind {kind}")
    endless = b"\x01\xff\xff\xff" + b"\x03\x03" + b"x" * 8000000  # a ClientHello of 16 MiB
    t.check(is_closed(port, records(22, endless)), "an endless ClientHello")
    t.check(is_closed(port, struct.pack("!BHH", 22, 0x0301, 0) * 100000), "empty records")
    t.check(len([w for w in s.status()["workers"] if w["state"] == "up"]) == 1, "the worker lives")


def renegotiation(t, port):
    """RFC 5746, CVE-2011-1473: TLS 1.2 is not renegotiated."""
    said = s_client(t, port, "shop.test", "-tls1_2", "-no_ign_eof", ask=b"R\nGET / HTTP/1.1\n")
    t.check("no renegotiation" in said or "NO_RENEGOTIATION" in said, f"renegotiation: {said}")


def tell(t):
    issue = tls27.pki(t.directory)
    shop = issue("shop", "shop.test,127.0.0.1")
    certificates = [shop, {**issue("ask", "ask.test"), "client_ca": "ca.pem",
                           "client_auth": "request"},
                    {**issue("need", "need.test"), "client_ca": "ca.pem", "client_auth": "require"}]
    issue("alice", "alice")
    origin = t.origin("v1")
    ports = {"one": free_port(), "two": free_port()}
    services = {"shop": {"versions": {"v1": {"endpoints": [origin.address]}}}}
    for name, tell_it in UPSTREAMS.items():
        u = Upstream(t.directory, shop, tell_it)
        t.started.append(u)
        services[name] = {"tls": {"ca": "ca.pem"}, "versions": {"v1": {"endpoints": [u.address]}}}
    s = t.sluice(workers=1, services=services,
                 routes=[*({"path": f"/{n}", "service": n} for n in UPSTREAMS),
                         {"path": "/", "service": "shop"}],
                 listeners={"web": {"address": f"127.0.0.1:{free_port()}"}} | {
                     n: {"address": f"127.0.0.1:{p}", "tls": {"certificates": certificates}}
                     for n, p in ports.items()})
    s.port = int(s.config["listeners"]["web"]["address"].split(":")[1])
    first, _, _, _ = hello()
    slow = {"silent": Slow(ports["one"], b""), "dripping": Slow(ports["one"], first[:100])}
    row_40(t, ports)
    row_41_clients(t, ports["one"], origin)
    upstreams(t, s)
    renegotiation(t, ports["one"])
    garbage(t, s, ports["one"])
    for name, client in slow.items():
        client.join(30)
        t.check(HANDSHAKE_S - 2 < client.took < HANDSHAKE_S + 3,
                f"a handshake that is {name} ends after {client.took} s")
    c = tls27.Client(t, ports["one"])
    t.equal(c.get("shop.test")[0].status, 200, "and good ones go on")


if __name__ == "__main__":
    story(__doc__, tell)
