#!/usr/bin/env python3
"""HTTP/2 from clients to an HTTP/1.1 service: by prior knowledge and by ALPN, bodies and trailers
both ways, interim, early and broken answers, many streams at once, one that nobody reads."""
import importlib
import json
import pathlib
import shutil
import subprocess

from harness import Peer, Skip, free_port, story

CLIENT = pathlib.Path(__file__).with_name("http2_client.js")


class Service(Peer):
    """HTTP/1.1, byte for byte."""

    def __init__(self):
        self.heads = []
        super().__init__()

    @staticmethod
    def body(f, head):
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while (n := int(f.readline().split(b";")[0], 16)):
                body += f.read(n)
                f.readline()
            trailers = b""
            while (line := f.readline()) != b"\r\n":
                trailers += line
            return body, trailers
        length = [l for l in lower.split(b"\r\n") if l.startswith(b"content-length:")]
        return (f.read(int(length[0].split(b":")[1])) if length else b""), b""

    def serve(self, conn):
        f = conn.makefile("rb")
        with conn:
            while line := f.readline():
                head = line
                while (line := f.readline()) not in (b"\r\n", b""):
                    head += line
                self.heads.append(head)
                try:
                    if not self.answer(conn, f, head):
                        return
                except OSError:
                    return

    def answer(self, conn, f, head):
        method, path, _ = head.split(b"\r\n")[0].split()
        if path == b"/early":
            conn.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
            return False
        if b"expect: 100-continue" in head.lower():
            conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, trailers = self.body(f, head)
        if path == b"/trailers":
            conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                         b"3\r\nabc\r\n0\r\nX-Sum: 7\r\nX-Got: " + trailers.replace(b"\r\n", b" ").strip()
                         + b"\r\n\r\n")
        elif path == b"/interim":
            conn.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                         b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        elif path == b"/204":
            conn.sendall(b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n")
        elif path == b"/304":
            conn.sendall(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"e\"\r\n\r\n")
        elif path == b"/broken":
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            return False
        elif path == b"/hops":
            conn.sendall(b"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\n"
                         b"X-End: 2\r\nContent-Length: 0\r\n\r\n")
        elif path.startswith(b"/size/"):
            n = int(path[6:])
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
            if method != b"HEAD":
                for at in range(0, n, 65536):
                    conn.sendall(b"x" * min(65536, n - at))
        elif method == b"HEAD":
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        else:
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Length: %d\r\n\r\n"
                         % (len(body) if len(body) < 4096 else 0, len(body))
                         + (body if len(body) < 4096 else b""))
        return True


def node(t, url, what, timeout=60):
    r = subprocess.run(["node", str(CLIENT), url, what], capture_output=True, text=True,
                       timeout=timeout)
    t.check(r.returncode == 0, f"node {what}: {r.stdout[-2000:]} {r.stderr[-2000:]}")
    return json.loads(r.stdout)


def meanings(t, url, service):
    got = node(t, url, "meanings")
    t.equal(got["get"]["status"], 200, "GET")
    t.check("connection" not in got["hops"]["headers"] and "x-hop" not in got["hops"]["headers"],
            "fields of one hop")
    t.equal(got["hops"]["headers"].get("x-end"), "2", "end-to-end field")
    t.equal((got["post"]["status"], got["post"]["body"]), (200, "hello"), "POST with a length")
    t.equal((got["stream"]["headers"]["x-length"]), "300000", "POST without a length")
    t.equal((got["head"]["headers"]["content-length"], got["head"]["body"]), ("1000", ""), "HEAD")
    t.equal((got["none"]["status"], got["none"]["body"]), (204, ""), "204")
    t.equal((got["same"]["status"], got["same"]["headers"]["content-length"]), (304, "5"), "304")
    t.equal(got["trailers"]["trailers"].get("x-sum"), "7", "trailers of the answer")
    t.equal(got["trailers"]["trailers"].get("x-got"), "x-mine: 8", "trailers of the request")
    t.equal([i[":status"] for i in got["interim"]["interim"]], [103], "103")
    t.equal(got["interim"]["body"], "ok", "the answer behind 103")
    t.equal((got["early"]["status"], got["early"]["body"]), (413, "big"), "early answer")
    t.equal(got["broken"]["error"], True, "an answer that broke off is a reset")
    t.equal(got["missing"]["status"], 404, "no route")
    head = [h for h in service.heads if h.startswith(b"GET /first")][0].lower()
    t.check(b"\r\nvia: 2.0 sluice\r\n" in head, "Via names HTTP/2")
    t.check(b"\r\ncookie: a=1; b=2\r\n" in head, f"crumbs of a cookie are one field: {head}")


def many(t, url):
    got = node(t, url, "many")
    t.equal((got["ok"], got["failed"]), (500, 0), "500 streams, 100 at a time")
    got = node(t, url, "stalled")
    t.equal((got["ok"], got["first"]), (50, 200), "streams beside one that nobody reads")


def large(t, url):
    out = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-H", "host: shop", "-o", "/dev/null", "-w",
                          "%{size_download} %{http_version}", url + "/size/104857600"],
                         capture_output=True, text=True, timeout=60)
    t.equal(out.stdout, "104857600 2", "100 MiB on one stream " + out.stderr)


def tell(t):
    if not shutil.which("node") or not shutil.which("curl"):
        raise Skip("there is no node or curl")
    service = Service()
    t.started.append(service)
    port = free_port()
    issue = importlib.import_module("27_tls").pki(t.directory)
    pair = issue("web", "shop,127.0.0.1")
    secure = free_port()
    s = t.sluice(listeners={"web": {"address": f"127.0.0.1:{port}",
                                    "protocols": ["h2", "http/1.1"]},
                            "tls": {"address": f"127.0.0.1:{secure}",
                                    "protocols": ["h2", "http/1.1"],
                                    "tls": {"certificates": [pair]}}},
                 services={"shop": {"versions": {"v1": {"endpoints": [service.address]}}}},
                 routes=[{"path": "/", "host": "shop", "service": "shop"}])
    url = f"http://127.0.0.1:{port}"
    t.say("h2c by prior knowledge")
    meanings(t, url, service)
    t.say("h2 by ALPN")
    meanings(t, f"https://127.0.0.1:{secure}", service)
    many(t, f"https://127.0.0.1:{secure}")
    for spoken in ("2", "1.1"):
        out = subprocess.run(["curl", "-sSk", "--http" + spoken, "-o", "/dev/null", "-w", "%{http_version}",
                              "-H", "host: shop", f"https://127.0.0.1:{secure}/"],
                             capture_output=True, text=True, timeout=20)
        t.equal(out.stdout, spoken, "ALPN " + out.stderr)
    t.say("many streams")
    many(t, url)
    t.say("100 MiB")
    large(t, url)
    t.eventually("the log names the protocol",
                 lambda: '"protocol":"HTTP/2.0"' in s.access_log.read_text())


if __name__ == "__main__":
    story(__doc__, tell)
