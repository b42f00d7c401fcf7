#!/usr/bin/env python3
"""Copies of requests go to another version, marked, whole and in the share that was asked for;
whatever that version does with them, clients feel nothing, and its own traffic counters do not
move."""
import http.client
import re
import socket
import threading
import time

from harness import Failed, Peer, story


class Endpoint(Peer):
    """It keeps what it gets, and misbehaves as its mode says."""

    def __init__(self):
        self.mode, self.got, self.begun, self.lock = "ok", [], [], threading.Lock()
        super().__init__()

    def serve(self, conn):
        with conn, conn.makefile("rb") as f:
            used = False
            while line := f.readline():
                if used and self.mode == "stale":
                    return
                used, head = True, {}
                while (field := f.readline()) not in (b"\r\n", b""):
                    name, _, value = field.decode().partition(":")
                    head[name.strip().lower()] = value.strip()
                self.begun.append(line)
                body = f.read(int(head.get("content-length", 0))) + (chunks(f) if "transfer-encoding" in head else b"")
                with self.lock:
                    self.got.append((line.decode().split()[0], line.decode().split()[1], head, body))
                try:
                    self.answer(conn)
                except OSError:
                    return

    def answer(self, conn):
        mode = self.mode
        if mode == "hang":
            time.sleep(5)
        elif mode == "reset":
            conn.shutdown(socket.SHUT_RDWR)
        elif mode == "garbage":
            conn.sendall(b"\x00\x01\x02\r\n\r\n")
        elif mode == "endless":
            conn.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(100):
                conn.sendall(b"x" * 65536)
        elif mode == "error":
            conn.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")
        else:
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nshadow")

    def take(self):
        with self.lock:
            got, self.got = self.got, []
        return got


def chunks(f):
    body = b""
    while size := int(f.readline(), 16):
        body += f.read(size)
        f.readline()
    f.readline()
    return body


def results(s):
    """Of sluice_mirror_requests_total."""
    return {m[1]: int(m[2]) for m in re.finditer(
        r'sluice_mirror_requests_total\{service="shop",version="v2",result="(\w+)"\} (\d+)', s.call("GET", "/metrics").body.decode())}


def mirrored(t, s, want, before):
    def moved():
        now = results(s)
        return {k: n - before.get(k, 0) for k, n in now.items() if n != before.get(k, 0)}
    try:
        t.eventually(f"results {want}", lambda: moved() == want or None)
    except Failed as e:
        raise Failed(f"{e}, {moved()}") from e


def tell(t):
    v1, shadow = Endpoint(), Endpoint()
    t.started += [v1, shadow]
    mirror = {"to": "v2", "percent": 100, "methods": ["GET", "POST"], "timeout": "1s", "max_requests": 8, "max_body": 20000, "max_memory": 65536}
    service = {"versions": {"v1": {"endpoints": [v1.address]}, "v2": {"endpoints": [shadow.address]}},
               "weights": {"v1": 100, "v2": 0}, "mirror": mirror, "sticky": {"by": "header", "name": "x-user"},
               "overrides": [{"name": "qa", "match": {"header": {"x-canary": "1"}}, "to": "v2"}]}
    s = t.sluice(workers=1, services={"shop": service})

    def ask(n, path="/p", **more):
        for _ in range(n):
            t.equal(s.get(path, **more).status, 200, "the client's answer")

    t.say("copies are whole and marked")
    ask(5, "/p?q=1", headers={"X-Sluice-Mirror": "forged", "X-User": "ann"})
    mirrored(t, s, {"ok": 5}, {})
    got = shadow.take()
    t.equal([(g[0], g[1]) for g in got], [("GET", "/p?q=1")] * 5)
    head = got[0][2]
    t.equal((head["x-sluice-mirror"], head["host"], head["x-user"]), ("1", f"127.0.0.1:{s.port}", "ann"))
    t.check("content-length" not in head and head["x-request-id"] and head["via"] == "1.1 sluice", f"fields: {head}")
    t.check(all("x-sluice-mirror" not in g[2] for g in v1.take()), "a client can mark requests")

    t.say("bodies: by length, in chunks, too large, and methods that are not copied")
    before = results(s)
    body = bytes(range(256)) * 60
    ask(2, method="POST", body=body)
    ask(1, method="POST", body=iter([body[:100], body[100:9000], body[9000:]]))
    ask(1, method="POST", body=b"x" * 20001)
    ask(1, method="POST", body=iter([b"x" * 20000, b"x"]))
    ask(3, method="PUT", body=body)
    ask(2, method="POST", body=b"")
    mirrored(t, s, {"ok": 5, "too_large": 2}, before)
    t.equal([g[3] for g in shadow.take()], [body] * 3 + [b""] * 2)

    t.say("a client that leaves in the middle of its body")
    before = results(s)
    with socket.create_connection(("127.0.0.1", s.port), 10) as c:
        c.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        time.sleep(0.2)
    mirrored(t, s, {"cut": 1}, before)
    t.equal(shadow.take(), [])

    t.say("a body that takes longer than a copy may")
    before = results(s)
    with socket.create_connection(("127.0.0.1", s.port), 10) as c:
        c.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        mirrored(t, s, {"timeout": 1}, before)
        c.sendall(b"def")
        t.check(c.recv(4096).startswith(b"HTTP/1.1 200"), "the client is answered")
    mirrored(t, s, {"timeout": 1}, before)
    t.equal(shadow.take(), [])

    t.say("what the shadow does is not felt")
    for mode, want in (("error", {"error": 6}), ("reset", {"failed": 6}), ("garbage", {"failed": 6}), ("endless", {"ok": 6})):
        shadow.mode, before = mode, results(s)
        ask(6)
        mirrored(t, s, want, before)
    shadow.mode, before = "hang", results(s)
    ask(30)
    mirrored(t, s, {"timeout": 8, "busy": 22}, before)
    shadow.stop()
    before = results(s)
    ask(4)
    mirrored(t, s, {"failed": 4}, before)

    t.say("large bodies, and what copies may hold")
    shadow.take()
    shadow.mode = "ok"
    shadow.start()
    mirror.update(max_body=8 << 20, max_memory=12 << 20, timeout="30s")
    s.write_config()
    s.api("POST", "/v1/config:reload")
    before = results(s)
    large = bytes(range(256)) * (5 << 12)  # 5 MiB
    ask(2, method="POST", body=large)
    mirrored(t, s, {"ok": 2}, before)  # a third one beside them would not fit
    ask(1, method="POST", body=iter([large[:70000], large[70000:]]))
    mirrored(t, s, {"ok": 3}, before)
    t.check([g[3] for g in shadow.take()] == [large] * 3, "a large body arrives changed")
    waiting, v1.begun = [], []
    for n in range(3):  # two fit; whoever comes third is told by its length, or in the middle
        c = socket.create_connection(("127.0.0.1", s.port), 10)
        c.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(large) + large[:-1])
        waiting.append(c)
        t.eventually("it is here", lambda: len(v1.begun) == n + 1)
    mirrored(t, s, {"ok": 3, "no_memory": 1}, before)
    for c in waiting:
        c.sendall(large[-1:])
        t.check(c.recv(4096).startswith(b"HTTP/1.1 200"), "the client is answered")
        c.close()
    mirrored(t, s, {"ok": 5, "no_memory": 1}, before)
    ask(2, method="POST", body=large)  # the memory is free again
    mirrored(t, s, {"ok": 7, "no_memory": 1}, before)
    shadow.stop()
    answered = sum(n for k, n in results(s).items() if k in ("ok", "error"))
    t.equal(s.metrics()['sluice_mirror_duration_seconds_count{service="shop",version="v2"}'], answered, "times of copies")
    mirror.update(timeout="1s")

    t.say("a kept connection that is dead is no failure")
    shadow.take()
    s.write_config()
    s.api("POST", "/v1/config:reload")
    shadow.mode, before = "stale", results(s)
    shadow.start()
    for n in range(1, 4):
        ask(1)
        mirrored(t, s, {"ok": n}, before)
    t.equal(len(shadow.take()), 3)
    shadow.mode = "ok"

    t.say("the share: by client, the same ones, more of them when it grows")
    def users(percent):
        mirror["percent"] = percent
        s.write_config()
        s.api("POST", "/v1/config:reload")
        shadow.take()
        before = sum(results(s).values())
        conn = http.client.HTTPConnection("127.0.0.1", s.port, timeout=10)
        for i in range(400):
            conn.request("GET", "/", headers={"X-User": f"user-{i}"})
            t.equal(conn.getresponse().read() != b"", True)
        conn.close()
        t.eventually("all copies ended", lambda: sum(results(s).values()) - before == len(shadow.got) or None)
        return {g[2]["x-user"] for g in shadow.take()}
    mirror["max_requests"] = 1000
    ten, thirty = users(10), users(30)
    t.say(f"10 %: {len(ten)} of 400 users, 30 %: {len(thirty)}")
    t.check(20 <= len(ten) <= 60 and 90 <= len(thirty) <= 150, "the share is not what was asked for")
    t.check(ten <= thirty, "users left when the share grew")
    del service["sticky"]
    mirror["percent"] = 25
    s.write_config()
    s.api("POST", "/v1/config:reload")
    before = results(s)
    ask(40)
    mirrored(t, s, {"ok": 10}, before)

    t.say("its own traffic is not copied, and copies are not its traffic")
    mirror["percent"] = 100
    s.write_config()
    s.api("POST", "/v1/config:reload")
    before = results(s)
    ask(3, headers={"X-Canary": "1"})
    t.equal(results(s), before)
    answered = re.findall(r'sluice_requests_total\{service="shop",version="v2",.*\} (\d+)', s.call("GET", "/metrics").body.decode())
    t.equal(answered, ["3"], "traffic of v2")


story(__doc__, tell)
