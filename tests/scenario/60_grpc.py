#!/usr/bin/env python3
"""Calls of gRPC, frame by frame: how they end is read from trailers and from answers that are a
head only, counted, retried and held against endpoints; deadlines are kept and passed on; what the
proxy has to say itself, it says as gRPC."""
import json
import pathlib
import shutil
import subprocess
import time

from harness import Peer, Skip, free_port, story

CLIENT = pathlib.Path(__file__).with_name("grpc_client.js")
MESSAGE = b"\0\0\0\0\3abc"  # not compressed, 3 bytes


class Service(Peer):
    """Calls over HTTP/1.1, byte for byte: their names say how they end. REFUSING: every call
    is answered with this status, by a head only."""

    def __init__(self, refusing=None):
        self.calls, self.refusing = [], refusing
        super().__init__()

    def serve(self, conn):
        f = conn.makefile("rb")
        with conn:
            while line := f.readline():
                head = line
                while (line := f.readline()) not in (b"\r\n", b""):
                    head += line
                try:
                    while (n := int(f.readline(), 16)):
                        f.read(n + 2)
                    f.readline()
                    if not self.answer(conn, f, head):
                        return
                except (OSError, ValueError):
                    return

    def answer(self, conn, f, head):
        path = head.split()[1].decode()
        what, _, arg = path[1:].partition("/")
        lines = head.decode().lower().split("\r\n")
        self.calls.append((path, [l for l in lines if l.startswith(("grpc-timeout:", "te:"))]))
        if self.refusing is not None:
            what, arg = "only", str(self.refusing)
        begin = (b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked"
                 b"\r\n\r\n%x\r\n%s\r\n" % (len(MESSAGE), MESSAGE))
        if what == "end":
            conn.sendall(begin + b"0\r\nGrpc-Status: %s\r\nGrpc-Message: so be it\r\n\r\n" % arg.encode())
        elif what == "only":
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: %s\r\n"
                         b"Grpc-Message: no\r\nContent-Length: 0\r\n\r\n" % arg.encode())
        elif what == "nothing":
            conn.sendall(begin + b"0\r\n\r\n")
        elif what == "dies":
            conn.sendall(begin)
            return False
        elif what == "http":
            conn.sendall(b"HTTP/1.1 %s Whatever\r\nContent-Length: 2\r\n\r\nno" % arg.encode())
        elif what == "hang":
            if arg:
                conn.sendall(begin)
            f.readline()
            return False
        return True


def node(t, url, calls):
    r = subprocess.run(["node", str(CLIENT), url, json.dumps(calls)], capture_output=True,
                       text=True, timeout=120, check=False)
    t.check(r.returncode == 0, f"node: {r.stdout[-2000:]} {r.stderr[-2000:]}")
    return json.loads(r.stdout)


def status(got):
    """The status and where it came: "head" if nothing followed it."""
    if got["error"]:
        return None, "reset"
    if got["ended"]:
        return got["headers"].get("grpc-status"), "head"
    return got["trailers"].get("grpc-status"), "trailers"


def endings(t, url):
    got = node(t, url, ["/end/0", "/end/13", "/only/5", "/only/0", "/nothing", "/http/403",
                        "/dies"])
    want = [("0", "trailers"), ("13", "trailers"), ("5", "head"), ("0", "head"),
            (None, "trailers"), (None, "trailers"), ("14", "trailers")]
    t.equal([status(g) for g in got], want, "endings")
    t.equal(got[1]["trailers"]["grpc-message"], "so be it", "the message")
    t.equal(got[5]["status"], 403, "an answer that is not of gRPC is left alone")
    t.equal(got[6]["trailers"]["grpc-message"], "the upstream closed the connection", "blame")
    t.equal([len(g["body"]) for g in got], [8, 8, 0, 0, 8, 2, 8], "bodies")


def words_of_our_own(t, url):
    got = node(t, url, [{":path": "/end/0", ":authority": "other"}, {":authority": "dead"},
                        {":authority": "limited"}, {":authority": "limited"}])
    t.equal([status(g) for g in got], [("12", "head"), ("14", "head"), ("0", "trailers"),
                                       ("14", "head")], "answers of the proxy")
    for g in (got[0], got[1], got[3]):
        t.equal((g["status"], g["headers"]["content-type"]), (200, "application/grpc"), "form")
    t.equal(got[0]["headers"]["grpc-message"], "no route for this host and path", "words")


def deadlines(t, url, service):
    before = len(service.calls)
    got = node(t, url, [{":path": "/hang", "grpc-timeout": "300m"},
                        {":path": "/hang/later", "grpc-timeout": "300000u"},
                        {":path": "/end/0", "grpc-timeout": "1H"},
                        {":path": "/end/0", ":authority": "hurried", "grpc-timeout": "1H"},
                        {":path": "/end/0", ":authority": "hurried"},
                        {":path": "/end/0", "grpc-timeout": "soon"}])
    t.equal([status(g) for g in got[:3]], [("4", "head"), ("4", "trailers"), ("0", "trailers")],
            "deadlines")
    given = [dict(l.split(": ") for l in lines) for _, lines in service.calls[before:]]
    t.check(all(g["te"] == "trailers" for g in given), f"TE: {given}")
    first, hour, route = (int(given[i]["grpc-timeout"][:-1]) for i in (0, 2, 3))
    t.check(given[0]["grpc-timeout"].endswith("u") and 0 < first <= 300000, f"300 ms: {given[0]}")
    t.check(given[2]["grpc-timeout"].endswith("m") and 3000000 < hour <= 3600000, f"1 h: {given[2]}")
    t.check(given[3]["grpc-timeout"].endswith("u") and 0 < route <= 60000000,
            f"the route gives a minute: {given[3]}")
    t.check("grpc-timeout" in given[4], "the route's timeout is passed on")
    t.equal(given[5]["grpc-timeout"], "soon", "what is no deadline is left alone")
    t.say("a client that leaves when its time is up")
    node(t, url, [{":path": "/hang/late", "grpc-timeout": "300m", "leave": 292}])


def counted(t, s):
    def rows():
        return [json.loads(line) for line in s.access_log.read_text().splitlines()]
    t.eventually("every call is in the log", lambda: any(r["path"] == "/hang/late" for r in rows()))
    ends = {(r["path"], r["end"], r["status"], r.get("grpc_status")) for r in rows()}
    for want in (("/end/0", "done", 200, 0), ("/end/13", "done", 200, 13),
                 ("/only/5", "done", 200, 5), ("/nothing", "done", 200, 2),
                 ("/http/403", "done", 403, 7), ("/dies", "upstream_reset", 200, 14),
                 ("/hang", "grpc_deadline", 200, 4), ("/hang/later", "grpc_deadline", 200, 4),
                 ("/end/0", "no_route", 200, 12), ("/end/0", "connect_failed", 200, 14)):
        t.check(want in ends, f"{want} is not among {sorted(ends, key=str)}")
    t.check(("/hang/late", "grpc_deadline", 200, 4) in ends, "the client left at its deadline")

    def shown():
        m = s.metrics()
        each = {k: m.get(f'sluice_grpc_requests_total{{service="shop",version="v1",grpc_status="{k}"}}')
                for k in (0, 2, 4, 5, 7, 13, 14)}
        return m, each == {0: 6, 2: 1, 4: 3, 5: 1, 7: 1, 13: 1, 14: 1}
    t.eventually("all are in the metrics", lambda: shown()[1])


def judged(t, s):
    """Of the 14 calls above 13, 2, 14 and 4 (three times) are the version's errors."""
    def shares():
        shop = [x for x in s.api("GET", "/v1/stats?window=120s")["services"] if x["name"] == "shop"]
        return (shop[0]["requests"], shop[0]["errors"]) == (14, 6)
    t.eventually("6 of 14 are errors", shares)


def retried(t, url, refusing, service):
    got = node(t, url, [{":path": "/end/0", ":authority": "twice"}] * 20)
    t.equal({status(g) for g in got}, {("0", "trailers")}, "UNAVAILABLE is tried again")
    t.check(refusing.calls, "nobody asked the endpoint that refuses")
    asked = len(service.calls)
    got = node(t, url, [{":path": "/only/13", ":authority": "twice"}] * 4)
    t.equal({status(g)[0] for g in got} <= {"13"}, True, "INTERNAL is not on the list")
    t.check(len(service.calls) > asked, "passed on")


def ejected(t, s, url):
    """An endpoint whose calls fail in their trailers gets a pause."""
    def gone():
        node(t, url, [{":path": "/end/13", ":authority": "ejecting"}] * 3)
        return any(k.startswith("sluice_endpoint_ejected{") and "ejecting" in k and v
                   for k, v in s.metrics().items())
    t.eventually("it is ejected", gone)


def tell(t):
    if not shutil.which("node"):
        raise Skip("there is no node")
    service, refusing = Service(), Service(refusing=14)
    t.started += [service, refusing]
    port = free_port()
    one = {"versions": {"v1": {"endpoints": [service.address]}}}
    s = t.sluice(listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]}},
                 workers=1,
                 services={
                     "shop": one,
                     "dead": {"versions": {"v1": {"endpoints": [f"127.0.0.1:{free_port()}"]}}},
                     "twice": {"versions": {"v1": {"endpoints": [service.address, refusing.address]}},
                               "retry": {"on": ["unavailable"], "budget": 100}},
                     "ejecting": {"versions": {"v1": {"endpoints": [service.address, refusing.address]}},
                                  "outlier": {"consecutive_errors": 3, "eject": "1h"}}},
                 routes=[{"host": "shop", "path": "/", "service": "shop"},
                         {"host": "hurried", "path": "/", "service": "shop", "timeout": "1m"},
                         {"host": "limited", "path": "/", "service": "twice",
                          "rate_limit": {"requests": 1, "per": "1h", "key": "none"}},
                         {"host": "dead", "path": "/", "service": "dead"},
                         {"host": "twice", "path": "/", "service": "twice"},
                         {"host": "ejecting", "path": "/", "service": "ejecting"}])
    url = f"http://127.0.0.1:{port}"
    began = time.monotonic()
    for step in (lambda: endings(t, url), lambda: words_of_our_own(t, url),
                 lambda: deadlines(t, url, service), lambda: counted(t, s), lambda: judged(t, s),
                 lambda: retried(t, url, refusing, service), lambda: ejected(t, s, url)):
        step()
        t.say(f"{time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    story(__doc__, tell)
