#!/usr/bin/env python3
"""OpenFeature clients ask a listener for flags: keys, rates, origins, long questions, entity tags;
they are told of every change, over HTTP/1 and HTTP/2, and let go when the proxy drains."""
import http.client
import json
import shutil
import socket
import subprocess

from harness import Skip, eventually, free_port, story

FLAG = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
        "targeting": {"if": [{"==": [{"var": "who"}, "ann"]}, "on"]}}
ASK, EVENTS = "/ofrep/v1/evaluate/flags", "/ofrep/v1/sse"
SESAME = {"Authorization": "Bearer sesame"}


class Events:
    """An open stream of events of the server on PORT; .text is what came so far."""

    def __init__(self, port, headers=None):
        self.conn = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.conn.request("GET", EVENTS, headers=headers or {})
        self.answer = self.conn.getresponse()
        self.text = b""

    def next(self):
        """One event or comment, up to its empty line; b"" at the end."""
        while b"\n\n" not in self.text:
            piece = self.answer.read1(4096)
            if not piece:
                return b""
            self.text += piece
        event, self.text = self.text.split(b"\n\n", 1)
        return event


def over_http2(t, port, long):
    if not shutil.which("curl"):
        raise Skip("there is no curl")
    for question, length in ((b"{}", 41), (long, 41)):
        a = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "--data-binary", "@-",
                            f"http://127.0.0.1:{port}{ASK}"], input=question, timeout=60,
                           capture_output=True, check=True)
        t.equal(len(json.loads(a.stdout)["flags"]), length, "over HTTP/2")


def tell(t):
    redis, origin = t.redis(), t.origin("v1")
    ports = {name: free_port() for name in ("web", "open", "slow", "plain")}
    ofrep = {"web": {"keys": ["other", "sesame"], "origins": ["https://shop.example"]},
             "open": {"origins": ["*"]},
             "slow": {"rate_limit": {"requests": 2, "per": "1h"}}}
    s = t.sluice(
        services={"shop": {"versions": {"v1": {"endpoints": [origin.address]}}}},
        flags={"redis": f"redis://127.0.0.1:{redis.port}/0"},
        listeners={name: {"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"],
                          **({"ofrep": ofrep[name]} if name in ofrep else {})}
                   for name, port in ports.items()})
    t.eventually("Redis is up", lambda: s.status()["flags"]["redis"] == "up")
    s.api("PUT", "/v1/flags/a%2Fb.c", FLAG, 201, {"If-None-Match": "*"})

    def ask(path=ASK, body=None, headers=None, method="POST", listener="open"):
        return s.get(path, method, body if isinstance(body, (bytes, type(None)))
                     else json.dumps(body), headers, ports[listener])

    context = {"context": {"who": "ann", "targetingKey": "u"}}
    for key in ("a%2Fb.c", "a/b.c", "%61/b%2ec"):
        a = ask(f"{ASK}/{key}", context)
        t.equal((a.status, json.loads(a.body)),
                (200, {"key": "a/b.c", "reason": "TARGETING_MATCH", "value": True,
                       "variant": "on"}), key)
    t.equal(a.headers["cache-control"], "no-store")
    t.equal(json.loads(ask(f"{ASK}/a/b.c").body)["variant"], "off", "an empty question")

    # a listener without it is a proxy and nothing else
    t.equal(ask(listener="plain").headers["x-version"], "v1")
    t.equal(ask("/elsewhere", method="GET").headers["x-version"], "v1")

    # who may ask
    t.equal(ask(listener="web").status, 401)
    t.equal(ask(listener="web").headers["www-authenticate"], "Bearer")
    t.equal(ask(listener="web", headers={"X-API-Key": "sesam"}).status, 401)
    t.equal(ask(listener="web", headers={"X-API-Key": "sesame"}).status, 200)
    t.equal(ask(listener="web", headers=SESAME).status, 200)
    t.equal([ask(listener="slow").status for _ in range(3)], [200, 200, 429])
    t.check(int(ask(listener="slow").headers["retry-after"]) > 0, "when to come again")

    # scripts of web pages
    shop = {"Origin": "https://shop.example"}
    a = ask(listener="web", method="OPTIONS", headers=shop)
    t.equal((a.status, a.headers["access-control-allow-origin"], a.headers["vary"]),
            (204, "https://shop.example", "Origin"))
    t.check("Authorization" in a.headers["access-control-allow-headers"], "what may be sent")
    a = ask(listener="web", headers={**shop, **SESAME})
    t.check("ETag" in a.headers["access-control-expose-headers"], "what may be read")
    t.check("access-control-allow-origin" not in
            ask(listener="web", method="OPTIONS", headers={"Origin": "https://evil"}).headers,
            "others may not")
    t.equal(ask(headers={"Origin": "https://any"}).headers["access-control-allow-origin"], "*")

    # questions that are none
    for method, path, want in (("GET", ASK, 405), ("POST", EVENTS, 405), ("POST", ASK + "x", 404),
                               ("GET", "/ofrep/v1/", 404), ("POST", ASK + "/gone", 404)):
        t.equal(ask(path, method=method).status, want, path)
    t.equal(json.loads(ask(body=b"{oops").body)["errorCode"], "PARSE_ERROR")
    t.equal(ask(body=b"[]").status, 400)

    # long ones: in one piece, in chunks, and too long
    long = json.dumps({"context": {"who": "ann", "x": "y" * 900000}}).encode()
    t.equal(json.loads(ask(f"{ASK}/a/b.c", long).body)["variant"], "on")
    conn = http.client.HTTPConnection("127.0.0.1", ports["open"], timeout=30)
    conn.request("POST", f"{ASK}/a/b.c", iter([long[i:i + 5000] for i in range(0, len(long), 5000)]),
                 encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    t.equal(json.loads(conn.getresponse().read())["variant"], "on", "in chunks")
    conn.close()
    t.equal(ask(headers={"Content-Length": "1000001"}).status, 413)
    with socket.create_connection(("127.0.0.1", ports["open"]), 30) as c:
        c.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % ASK.encode())
        answer = b""
        try:
            for _ in range(300):
                c.sendall(b"1388\r\n" + b" " * 5000 + b"\r\n")
        except OSError:
            pass  # it has heard enough
        while b"\r\n\r\n" not in answer:
            answer += c.recv(4096)
        t.check(answer.startswith(b"HTTP/1.1 413 "), f"chunks without end: {answer[:40]}")
    with socket.create_connection(("127.0.0.1", ports["open"]), 30) as c:
        c.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
                  % ASK.encode())
        t.check(c.recv(4096).startswith(b"HTTP/1.1 100 "), "an expectation is met")
        c.sendall(b"{}")
        t.check(c.recv(4096).startswith(b"HTTP/1.1 200 "), "and the question answered")

    # all flags, again only if their results changed
    for i in range(40):
        s.api("PUT", f"/v1/flags/n{i}", {**FLAG, "variants": {"on": "y" * 2000, "off": "n"}}, 201,
              {"If-None-Match": "*"})
    a = ask(body=context)
    t.equal(len(json.loads(a.body)["flags"]), 41)
    stream = json.loads(a.body)["eventStreams"][0]
    t.equal((stream["type"], stream["endpoint"]["requestUri"]), ("sse", EVENTS))
    tag = a.headers["etag"]
    again = ask(body=context, headers={"If-None-Match": tag})
    t.equal((again.status, again.body, again.headers["etag"]), (304, b"", tag))
    t.equal(ask(headers={"If-None-Match": tag}).status, 200, "for somebody else")

    over_http2(t, ports["open"], long)

    # events
    first, second = Events(ports["open"]), Events(ports["web"])
    t.equal(first.answer.status, 200)
    t.equal(first.answer.headers["content-type"], "text/event-stream")
    for e in (first, second):
        t.equal(e.next(), b"retry: 3000")
    curl = subprocess.Popen(["curl", "-sN", "--http2-prior-knowledge",
                             f"http://127.0.0.1:{ports['open']}{EVENTS}"], stdout=subprocess.PIPE)
    t.equal(curl.stdout.readline() + curl.stdout.readline(), b"retry: 3000\n\n")
    s.api("PUT", "/v1/flags/told", FLAG, 201, {"If-None-Match": "*"})
    t.check(curl.stdout.readline().startswith(b"id: "), "told over HTTP/2")
    for e in (first, second):
        event = dict(line.split(": ", 1) for line in e.next().decode().split("\n"))
        t.equal((event["event"], json.loads(event["data"])["type"]),
                ("message", "refetchEvaluation"))
    number = event["id"]
    t.equal(ask(body=context, headers={"If-None-Match": tag}).status, 200, "asked again")
    seen = Events(ports["open"], {"Last-Event-ID": number})
    missed = Events(ports["open"], {"Last-Event-ID": str(int(number) - 1)})
    t.equal((seen.next(), missed.next()), (b"retry: 3000", b"retry: 3000"))
    t.check(f"id: {number}" in missed.next().decode(), "what was missed is told at once")
    second.conn.close()  # nobody minds
    s.api("DELETE", "/v1/flags/told", want=204, headers={"If-Match": "*"})
    t.check(int(first.next().decode().split("\n")[0][4:]) > int(number), "numbers grow")
    t.check(b"refetch" in seen.next(), "who came later is told too")

    eventually("what was asked is in the log",
               lambda: s.access_log.read_text().count('"responded"') > 20)
    s.stop()
    t.equal((first.next(), seen.next()), (b"", b""), "streams end when the proxy does")
    curl.stdout.read()
    t.equal(curl.wait(30), 0, "over HTTP/2 as well")


story(__doc__, tell)
