#!/usr/bin/env python3
"""Limits of a route hold over all workers: a rate by header with what the client is told about
it, exchanges under way, bodies by length and by chunks; drills hurt only whom they are for."""
import http.client
import json
import socket
import threading
import time

from harness import request, story


def echo(server):
    """Agree to one WebSocket upgrade, then send back what comes."""
    c, _ = server.accept()
    while b"\r\n\r\n" not in c.recv(65536):
        pass
    c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    while data := c.recv(65536):
        c.sendall(data)


def read_exactly(c, n):
    data = b""
    while len(data) < n and (more := c.recv(65536)):
        data += more
    return data


def tell(t):
    v1 = t.origin("v1")
    echoing = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=echo, args=(echoing,), daemon=True).start()
    silent = socket.create_server(("127.0.0.1", 0))  # takes what comes and never answers
    s = t.sluice(
        services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}},
                  "echo": {"versions": {
                      "v1": {"endpoints": [f"127.0.0.1:{echoing.getsockname()[1]}"]}}},
                  "silent": {"versions": {
                      "v1": {"endpoints": [f"127.0.0.1:{silent.getsockname()[1]}"]}}}},
        routes=[{"path": "/", "service": "shop"},
                {"path": "/rate", "service": "shop",
                 "rate_limit": {"requests": 20, "per": "1h", "key": "header:x-api-key"}},
                {"path": "/slow", "service": "shop", "max_concurrent": 3},
                {"path": "/body", "service": "shop", "max_body": 100000},
                {"path": "/chunks", "service": "silent", "max_body": 100000},
                {"path": "/socket", "service": "echo", "max_body": 1000},
                {"path": "/drill", "service": "shop",
                 "fault": {"delay": "200ms", "abort": 418, "header": {"x-drill": "1"}}},
                {"path": "/share", "service": "shop",
                 "fault": {"abort": 500, "percent": 30, "header": {"x-drill": True, "x-team": "a"}}},
                {"path": "/late", "service": "shop", "fault": {"delay": "100ms"}}])

    ask = lambda key: s.get("/rate", headers={"X-Api-Key": key})  # each on a connection of its own
    answers = [ask("a") for _ in range(60)]
    t.equal([a.status for a in answers].count(200), 20, "requests within the rate, two workers")
    first, last = answers[0].headers, answers[-1].headers
    t.equal(first["ratelimit-policy"], '"route";q=20;w=3600', "the policy")
    t.equal(first["ratelimit"], '"route";r=19;t=180', "what is left")
    t.equal(answers[-1].status, 429, "over the rate")
    t.check(170 <= int(last["retry-after"]) <= 180, f"one each 180 s: {last}")
    t.check(last["ratelimit"].startswith('"route";r=0;t='), f"nothing is left: {last}")
    t.equal(ask("b").status, 200, "another key")
    t.equal(s.metrics()["sluice_rate_limited_total"], 40, "counted")

    got, lock = [], threading.Lock()

    def slow():
        a = s.get("/slow?ms=700")
        with lock:
            got.append((a.status, a.body))
    threads = [threading.Thread(target=slow) for _ in range(12)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    t.equal(sorted(a[0] for a in got), [200] * 3 + [503] * 9, "under way at once")
    t.equal(s.get("/slow?ms=1").status, 200, "the places are free again")

    t.equal(s.get("/body", "POST", b"x" * 100000).status, 200, "a body that fits")
    seen = v1.requests
    a = s.get("/body", "POST", headers={"Content-Length": "100001"})
    t.equal((a.status, v1.requests), (413, seen), "a length that does not fit: refused at once")
    conn = http.client.HTTPConnection("127.0.0.1", s.port, timeout=10)
    conn.request("POST", "/chunks", iter([b"x" * 40000] * 4), {"Transfer-Encoding": "chunked"},
                 encode_chunked=True)
    t.equal(conn.getresponse().status, 413, "chunks that add up")

    c = socket.create_connection(("127.0.0.1", s.port), 10)
    c.sendall(b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    t.check(c.recv(65536).startswith(b"HTTP/1.1 101 "), "the upgrade")
    for _ in range(5):
        c.sendall(b"z" * 900)
        t.equal(read_exactly(c, 900), b"z" * 900, "a tunnel has no body to limit")
    c.close()

    start = time.monotonic()
    a = s.get("/drill", headers={"X-Drill": "1"})
    t.check(a.status == 418 and time.monotonic() - start >= 0.2, f"the drill: {a}")
    t.equal(s.get("/drill").status, 200, "nobody else")
    drill = http.client.HTTPConnection("127.0.0.1", s.port, timeout=10)
    count = lambda n, **h: sum(request(drill, "GET", "/share", headers=h).status == 500
                               for _ in range(n))
    before = s.metrics()["sluice_faults_total"]
    hurt = count(400, **{"X-Drill": "whatever", "X-Team": "a"})
    t.check(80 <= hurt <= 160, f"30 % of 400: {hurt}")  # 4.4 standard deviations
    t.equal(s.metrics()["sluice_faults_total"] - before, hurt, "counted")
    t.equal((count(50), count(50, **{"X-Drill": "1"}), count(50, **{"X-Team": "a"}),
             count(50, **{"X-Drill": "1", "X-Team": "b"})), (0, 0, 0, 0), "one field is not both")
    body = b"y" * 300000
    start = time.monotonic()
    a = s.get("/late", "POST", body)
    t.equal((a.status, json.loads(a.body)["length"]), (200, len(body)), "a body behind a delay")
    t.check(time.monotonic() - start >= 0.1, "it was held back")
    gone = http.client.HTTPConnection("127.0.0.1", s.port, timeout=10)
    gone.request("GET", "/late")
    gone.close()
    time.sleep(0.3)
    keep = http.client.HTTPConnection("127.0.0.1", s.port, timeout=10)
    t.equal([request(keep, "GET", "/late").status for _ in range(3)], [200] * 3, "kept alive")
    ends = {json.loads(line)["end"] for line in s.access_log.read_text().splitlines()}
    t.check({"rate_limited", "too_busy", "body_too_large", "fault", "done"} <= ends, f"ends: {ends}")


story(__doc__, tell)
