#!/usr/bin/env python3
"""Above a mark of memory or descriptors new requests get 503 and are told when to come back, what
is under way ends well, idle connections make room before anybody is refused, and below the mark
everything is as before."""
import http.client
import json
import pathlib
import resource
import socket
import threading
import time

from harness import free_port, request, story

HEAD = b"GET /slow?ms=%d HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(s):
    return socket.create_connection(("127.0.0.1", s.port), timeout=20)


def closed(c):
    c.setblocking(False)
    try:
        return c.recv(1) == b""
    except BlockingIOError:
        return False


def tell(t):
    v1 = t.origin("v1")
    port = free_port()
    s = t.sluice(workers=1, overload={"descriptors": 50},
                 listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["http/1.1", "h2"]}},
                 services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    s.port = port
    pid = s.children()["worker 0"]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (200, 200))  # the mark: 100

    t.say("idle connections make room, those that waited longest")
    crowd = [connect(s) for _ in range(40)]
    time.sleep(0.3)
    kept = http.client.HTTPConnection("127.0.0.1", s.port, timeout=20)
    t.equal(request(kept, "GET", "/").status, 200, "before")
    late = [connect(s) for _ in range(30)]
    t.eventually("some are closed", lambda: s.metrics()["sluice_overload_closed_total"] >= 10)
    time.sleep(0.3)
    t.equal(request(kept, "GET", "/").status, 200, "a connection in use goes on, nobody is refused")
    t.check(sum(map(closed, crowd)) >= 10 and not any(map(closed, late)), "the oldest ones went")
    m = s.metrics()
    t.equal((m["sluice_overload_refused_total"], m["sluice_overloaded_workers"]), (0, 0), "calm")
    for c in crowd + late:
        c.close()

    t.say("busy connections are not touched: new requests are refused")
    busy = [connect(s) for _ in range(45)]
    for c in busy:
        c.sendall(HEAD % 4000)
    t.eventually("the mark is passed", lambda: s.metrics()["sluice_overloaded_workers"] == 1)
    warnings = s.status()["warnings"]
    t.check(any("refuse new requests" in w and "descriptors" in w for w in warnings), warnings)
    a = s.get("/")
    t.equal((a.status, a.headers["connection"], a.headers["retry-after"]), (503, "close", "1"))
    for c in busy:
        t.check(c.recv(65536).startswith(b"HTTP/1.1 200 "), "what was under way is answered")
        c.close()
    t.eventually("it is over", lambda: s.metrics()["sluice_overloaded_workers"] == 0)
    t.equal((s.get("/").status, s.status()["warnings"]), (200, []), "as before")
    line = next(json.loads(x) for x in s.access_log.read_text().splitlines() if '"overloaded"' in x)
    t.equal((line["end"], line["status"], line["attempts"]), ("overloaded", 503, 0), "the log")

    t.say("far above it nobody is accepted, and requests under way still get connections")
    busy = [connect(s) for _ in range(150)]
    for c in busy[:60]:
        c.sendall(HEAD % 1500)
    time.sleep(0.5)
    t.equal(s.metrics()["sluice_accept_failures_total"], 0, "it never came to the last one")
    answers = [c.recv(65536)[:12] for c in busy[:60]]
    t.check(set(answers) <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}, f"answers: {set(answers)}")
    for c in busy:
        c.close()
    t.eventually("new clients are served", lambda: s.get("/", timeout=5).status == 200)
    t.equal(s.children()["worker 0"], pid, "the same worker")

    t.say("idle connections of HTTP/2 make room too, and are told; they count as memory")
    before = s.metrics()["sluice_used_memory_bytes"]
    crowd = [connect(s) for _ in range(45)]
    for n, c in enumerate(crowd):
        c.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4))
    seen = [heard(c, 4) for c in crowd]  # its SETTINGS
    t.check(all(seen), "they are spoken to")
    t.eventually("memory", lambda: s.metrics()["sluice_used_memory_bytes"] > before + 45 * 4096)
    closed_before = s.metrics()["sluice_overload_closed_total"]
    late = [connect(s) for _ in range(60)]
    for c in late:
        c.sendall(b"GET /slow?ms=3000 HTTP/1.1\r\nHost: x\r\n\r\n")
    t.eventually("some are closed", lambda: s.metrics()["sluice_overload_closed_total"] > closed_before)
    t.check(any(heard(c, 7, 0.2) for c in crowd), "GOAWAY")
    for c in crowd + late:
        c.close()
    t.eventually("new clients are served", lambda: s.get("/", timeout=5).status == 200)

    t.say("memory: buffers of answers that nobody reads")
    s.config["overload"] = {"memory": "4MiB", "descriptors": 0}
    s.write_config()
    s.api("POST", "/v1/config:reload")
    huge, stop = socket.create_server(("127.0.0.1", 0)), threading.Event()
    threading.Thread(target=pour, args=(huge, stop), daemon=True).start()
    s.config["services"]["huge"] = {
        "versions": {"v1": {"endpoints": [f"127.0.0.1:{huge.getsockname()[1]}"]}}}
    s.config["routes"].append({"path": "/huge", "service": "huge"})
    s.write_config()
    s.api("POST", "/v1/config:reload")
    readers = [connect(s) for _ in range(40)]
    for c in readers:
        c.sendall(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
    t.eventually("the mark is passed", lambda: s.metrics()["sluice_overloaded_workers"] == 1)
    t.check(s.metrics()["sluice_used_memory_bytes"] >= 4 << 20, "that much is in use")
    t.equal(s.get("/").status, 503, "refused")
    t.check(any("memory" in w for w in s.status()["warnings"]), "a warning")
    for c in readers:
        c.close()
    t.eventually("it is over", lambda: s.metrics()["sluice_overloaded_workers"] == 0)
    t.equal(s.get("/").status, 200, "served again")
    stop.set()



def frame(kind, payload=b"", stream=0):
    return len(payload).to_bytes(3, "big") + bytes((kind, 0)) + stream.to_bytes(4, "big") + payload


def heard(c, kind, timeout=20):
    """Does a frame of KIND come, before the connection ends or is silent for so long?"""
    c.settimeout(timeout)
    try:
        with c.makefile("rb") as f:
            while len(head := f.read(9)) == 9:
                f.read(int.from_bytes(head[:3], "big"))
                if head[3] == kind:
                    return True
    except OSError:
        pass
    return False


def pour(server, stop):
    def one(c):
        try:
            c.recv(65536)
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            for _ in range(1500):
                if stop.is_set():
                    return
                c.sendall(b"x" * 65536)
        except OSError:
            pass
    while True:
        try:
            c, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(c,), daemon=True).start()


story(__doc__, tell)
