#!/usr/bin/env python3
"""HTTP/2 to services, h2c and h2, from clients of both protocols: meanings of messages, shared
connections within what the server takes at once, refusals and GOAWAY without a failed request."""
import importlib
import json
import os
import pathlib
import re
import shutil
import subprocess

from harness import Process, Skip, free_port, story

SERVER = pathlib.Path(__file__).with_name("http2_server.js")


class Service(Process):
    """A node process that speaks HTTP/2."""

    def __init__(self, t, name, pair=None, port=None, **env):
        self.port = port or free_port()
        files = [str(t.directory / pair[k]) for k in ("cert", "key")] if pair else []
        super().__init__(name, ["node", str(SERVER), str(self.port), *files], t.directory,
                         env={**os.environ, **{k: str(v) for k, v in env.items()}})
        self.address = f"127.0.0.1:{self.port}"
        t.started.append(self)


def curl(t, url, *args, timeout=60):
    r = subprocess.run(["curl", "-sSk", "-m", str(timeout - 5), "-H", "host: shop", *args, url],
                       capture_output=True, timeout=timeout)
    return r.stdout, r.stderr.decode(errors="replace")


def fields(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in
                                      (l.split(": ", 1) for l in lines[1:] if ": " in l)}, body


def ask(t, url, *args):
    out, err = curl(t, url, "-i", *args)
    t.check(out, f"an answer from {url}: {err}")
    return fields(out)


def meanings(t, url, spoken, scheme):
    """What SPOKEN means to curl: the protocol of the client."""
    status, h, body = ask(t, url + "/x", *spoken)
    t.equal((status, h["x-method"], h["x-authority"], h["x-scheme"]), (200, "GET", "shop", scheme), "GET")
    t.check("connection" not in h or h["connection"] == "close", "no field of one hop")
    status, h, body = ask(t, url + "/echo", *spoken, "-d", "hello")
    t.equal((status, h["x-length"], body), (200, "5", b"hello"), "POST with a length")
    status, h, body = ask(t, url + "/echo", *spoken, "-H", "Transfer-Encoding: chunked", "-d", "hello")
    t.equal((status, h["x-length"], body), (200, "5", b"hello"), "POST without a length")
    status, h, body = ask(t, url + "/h", *spoken, "-I")
    t.equal((status, h["content-length"], body), (200, "1000", b""), "HEAD")
    status, h, body = ask(t, url + "/204", *spoken)
    t.equal((status, h["x-a"], body), (204, "1", b""), "204")
    status, h, body = ask(t, url + "/304", *spoken)
    t.equal((status, h["content-length"], body), (304, "5", b""), "304")
    out, _ = curl(t, url + "/interim", "-i", *spoken)
    t.check(re.match(rb"HTTP/\S+ 103", out) and out.endswith(b"ok"), f"103 and what is behind it: {out}")
    if spoken == ["--http1.1"]:  # over HTTP/2, curl may take the reset behind it for an error
        status, h, body = ask(t, url + "/early", *spoken, "-d", "x" * 1000)
        t.equal((status, body), (413, b"big"), "an early answer")
    status, h, body = ask(t, url + "/only", *spoken)
    t.equal((status, h["grpc-status"], body), (200, "13", b""), "a head that is all")
    out, err = curl(t, url + "/broken", *spoken)
    t.check(b"abc".startswith(out), f"what came of an answer that broke off: {out}")  # a reset overtakes
    t.check("(18)" in err or "(92)" in err, f"and that it broke off: {err}")
    out, err = curl(t, url + "/size/104857600", *spoken, "-o", "/dev/null", "-w", "%{size_download}")
    t.equal(out, b"104857600", "100 MiB down " + err)


def upload(t, url, spoken):
    large = t.directory / "large"
    if not large.exists():
        with open(large, "wb") as f:
            f.truncate(104857600)
    status, h, _ = ask(t, url + "/echo", *spoken, "-H", "Expect:", "-T", str(large))
    t.equal((status, h["x-length"]), (200, "104857600"), "100 MiB up")


def trailers(t, port, k):
    """Both ways, from a client of HTTP/1.1."""
    import socket
    with socket.create_connection(("127.0.0.1", port), timeout=20) as c:
        c.sendall(b"POST /" + k.encode() + b"/trailers HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\nConnection: TE, close\r\n"
                  b"Trailer: X-Mine\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nX-Mine: 8\r\n\r\n")
        got = b""
        while part := c.recv(65536):
            got += part
    t.check(b"\r\n0\r\nx-sum: 7\r\nx-got: 8\r\n\r\n" in got.lower(), f"trailers both ways: {got}")


def seen(t, url):
    return json.loads(ask(t, url + "/seen")[2])


def loaded(t, url, n, post=False):
    """N requests of h2load: those that did not end with 2xx."""
    body = ["-d", str(t.directory / "body")] if post else []
    (t.directory / "body").write_bytes(b"x" * 100)
    r = subprocess.run(["h2load", "-n", str(n), "-c", "4", "-m", "20", "-H", ":authority: shop", *body, url],
                       capture_output=True, text=True, timeout=120)
    m = re.search(r"status codes: (\d+) 2xx", r.stdout)
    t.check(m, f"h2load: {r.stdout[-500:]} {r.stderr[-500:]}")
    return n - int(m.group(1))


def shared(t, url):
    t.say("shared connections")
    t.equal(loaded(t, url + "/plain/x", 4000), 0, "requests that failed")
    got = seen(t, url + "/plain")
    t.check(got["connections"] < 20, f"few connections carry them: {got}")
    for k, most in (("few", 10), ("one", 1)):
        t.equal(loaded(t, f"{url}/{k}/x", 1000), 0, f"at most {most} at once: requests that failed")
    t.say("one slow answer beside others")
    slow = subprocess.Popen(["curl", "-sS", "-m", "60", "-H", "host: shop", url + "/one/slow/4000"],
                            stdout=subprocess.PIPE)
    t.equal(loaded(t, url + "/one/x", 50), 0, "requests beside a slow one that failed")
    t.equal(slow.communicate(timeout=60)[0], b"slow", "the slow one")
    before = seen(t, url + "/plain")["requests"]
    slow = subprocess.Popen(["curl", "-sS", "-m", "60", "-H", "host: shop", url + "/plain/slow/3000"],
                            stdout=subprocess.PIPE)
    t.eventually("it is asked", lambda: seen(t, url + "/plain")["requests"] > before + 1)
    before = seen(t, url + "/plain")["requests"]
    t.equal(loaded(t, url + "/plain/x", 200), 0, "requests that were answered before an older one")
    t.equal(slow.communicate(timeout=60)[0], b"slow", "the older one")
    t.equal(seen(t, url + "/plain")["requests"] - before, 201, "none was asked twice")
    t.say("GOAWAY after every seventh request")
    t.equal(loaded(t, url + "/old/x", 2000), 0, "GET under GOAWAY that failed")
    t.equal(loaded(t, url + "/old/x", 2000, post=True), 0, "POST under GOAWAY that failed")
    t.equal(ask(t, url + "/plain/refused-once", "-d", "hello")[0], 200, "a POST that was refused at first")


def restarts(t, url, old):
    t.say("the server is killed and comes back")
    old.process.kill()
    old.wait()
    t.equal(ask(t, url + "/old/x")[0], 502, "nobody is there")
    again = Service(t, "again", port=old.port)
    t.eventually("it answers again", lambda: ask(t, url + "/old/x")[0] == 200)
    t.check(again.process.poll() is None, "by the new one")


def tell(t):
    if not all(shutil.which(tool) for tool in ("node", "curl", "h2load")):
        raise Skip("there is no node, curl or h2load")
    issue = importlib.import_module("27_tls").pki(t.directory)
    pair = issue("web", "shop,127.0.0.1")
    plain, secure = Service(t, "plain"), Service(t, "secure", pair)
    few, one = Service(t, "few", STREAMS=10), Service(t, "one", STREAMS=1)
    old = Service(t, "old", AGE=7)
    tls = {"verify": "none"}
    services = {"plain": (plain, "h2c", {}), "secure": (secure, "h2", {"tls": tls}), "few": (few, "h2c", {}),
                "one": (one, "h2c", {}), "old": (old, "h2c", {})}
    port, tport = free_port(), free_port()
    s = t.sluice(listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]},
                            "tls": {"address": f"127.0.0.1:{tport}", "protocols": ["h2", "http/1.1"],
                                    "tls": {"certificates": [pair]}}},
                 services={k: {"versions": {"v1": {"endpoints": [v[0].address], "protocol": v[1]}}, **v[2]}
                           for k, v in services.items()},
                 routes=[{"path": f"/{k}/", "host": "shop", "service": k, "rewrite": "/"}
                         for k in services])
    for k, v in services.items():
        t.equal(s.api("GET", f"/v1/services/{k}")["versions"][0]["protocol"], v[1], f"what {k} is spoken to in")
        t.eventually(f"{k} answers", lambda: curl(t, f"http://127.0.0.1:{port}/{k}/x", "-o", "/dev/null",
                                                  "-w", "%{http_code}")[0] == b"200")
    for k in ("plain", "secure"):
        scheme = "https" if k == "secure" else "http"
        for base, spoken in ((f"http://127.0.0.1:{port}", ["--http1.1"]),
                             (f"http://127.0.0.1:{port}", ["--http2-prior-knowledge"]),
                             (f"https://127.0.0.1:{tport}", ["--http2"])):
            t.say(f"{k} endpoint, client {base.split(':')[0]} {spoken[0]}")
            meanings(t, f"{base}/{k}", spoken, scheme)
        upload(t, f"http://127.0.0.1:{port}/{k}", ["--http1.1"])
        upload(t, f"https://127.0.0.1:{tport}/{k}", ["--http2"])
    trailers(t, port, "plain")
    url = f"http://127.0.0.1:{port}"
    shared(t, url)
    restarts(t, url, old)


if __name__ == "__main__":
    story(__doc__, tell)
