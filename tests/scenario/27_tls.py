#!/usr/bin/env python3
"""TLS to clients: versions, names, client certificates, resumption, reload under load."""
import http.client
import json
import os
import socket
import ssl
import subprocess
import threading
import time

from harness import Failed, free_port, request, story


def pki(directory):
    """A CA, a client's certificate, and servers' by name -> function that makes one more."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)

    def authority(name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "30", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
                f"{name}.pem")

    def issue(file, names, ca="ca", days=30, subject=None, kind=("ec", "-pkeyopt",
                                                                 "ec_paramgen_curve:P-256"),
              more=""):
        openssl("req", "-newkey", *kind, "-nodes", "-subj", subject or f"/CN={names.split(',')[0]}",
                "-keyout", f"{file}.key", "-out", f"{file}.csr")
        (directory / f"{file}.ext").write_text("subjectAltName=" + ",".join(
            ("IP:" if n[0].isdigit() else "DNS:") + n for n in names.split(",")) + "\n" + more)
        openssl("x509", "-req", "-in", f"{file}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                "-CAcreateserial", "-days", str(days), "-extfile", f"{file}.ext", "-out",
                f"{file}.pem.new")
        os.replace(directory / f"{file}.pem.new", directory / f"{file}.pem")
        return {"cert": f"{file}.pem", "key": f"{file}.key"}

    authority("ca")
    authority("other-ca")
    return issue


class Client:
    """HTTPS to the proxy's TLS port."""

    def __init__(self, t, port):
        self.t, self.port = t, port

    def context(self, cert=None, low=None, high=None):
        c = ssl.create_default_context(cafile=self.t.directory / "ca.pem")
        if cert:
            c.load_cert_chain(self.t.directory / f"{cert}.pem", self.t.directory / f"{cert}.key")
        if low:
            c.minimum_version = low
        if high:
            c.maximum_version = high
        c.set_alpn_protocols(["http/1.1"])
        return c

    def connect(self, name, context=None, session=None):
        raw = socket.create_connection(("127.0.0.1", self.port), 10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return (context or self.context()).wrap_socket(raw, server_hostname=name, session=session)

    def get(self, name, host=None, context=None, headers=None, session=None, sock=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port)
        conn.sock = sock or self.connect(name, context, session)
        a = request(conn, "GET", "/", headers={"Host": host or name, **(headers or {})})
        return a, conn.sock

    def refused(self, what, name, **options):
        try:
            a, _ = self.get(name, **options)
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            return
        raise Failed(f"{what}: answered with {a.status}")


def seen(answer):
    return json.loads(answer.body)["headers"]


def basics(t, s, c):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        a, sock = c.get("shop.test", context=c.context(low=version, high=version))
        t.equal(a.status, 200, "status")
        t.equal(sock.selected_alpn_protocol(), "http/1.1", "ALPN")
        t.equal(seen(a)["x-forwarded-proto"], "https", "what the upstream is told")
        t.equal(sock.version().replace(".", "_"), version.name, "version")
    old = c.context()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    c.refused("TLS 1.1", "shop.test", context=old)
    for name in ("shop.test", "www.shop.test", "a.wild.test", "b.wild.test"):
        a, _ = c.get(name)
        t.equal(a.status, 200, name)
    for name in ("wild.test", "a.b.wild.test", "unknown.test"):
        c.refused("a name that no certificate has", name)
    t.eventually("the access log says which TLS",
                 lambda: '"tls":"TLSv1.2"' in s.access_log.read_text()
                 and '"tls":"TLSv1.3"' in s.access_log.read_text())
    plain = socket.create_connection(("127.0.0.1", c.port), 5)
    plain.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    t.check(not plain.recv(100).startswith(b"HTTP"), "plain HTTP is not answered on a TLS port")
    h2 = c.context()
    h2.set_alpn_protocols(["h2"])
    c.refused("ALPN without a protocol of ours", "shop.test", context=h2)


def bodies(t, c):
    conn = http.client.HTTPConnection("127.0.0.1", c.port)
    conn.sock = c.connect("shop.test")
    for n in (0, 1, 16383, 16384, 16385, 70000, 3000000):
        a = request(conn, "POST", "/", body=b"x" * n, headers={"Host": "shop.test"})
        t.equal((a.status, json.loads(a.body)["length"]), (200, n), "a body over TLS")


def client_certificates(t, c):
    spoofed = {"X-Client-Cert-Subject": "CN=root"}
    a, _ = c.get("shop.test", headers=spoofed)
    t.check("x-client-cert-subject" not in seen(a), "a client's own claim is dropped")
    a, _ = c.get("ask.test", headers=spoofed)
    t.check("x-client-cert-subject" not in seen(a), "asked, but none shown")
    a, _ = c.get("ask.test", context=c.context("alice"), headers=spoofed)
    t.equal(seen(a)["x-client-cert-subject"], "O=Shop,CN=alice", "the subject")
    c.refused("a certificate of another CA", "ask.test", context=c.context("mallory"))
    c.refused("no certificate where one is required", "need.test")
    a, _ = c.get("need.test", context=c.context("alice"))
    t.equal(seen(a)["x-client-cert-subject"], "O=Shop,CN=alice", "the subject")
    a, sock = c.get("shop.test", host="need.test")
    t.equal(a.status, 421, "a host of another client policy")
    a, _ = c.get("need.test", host="shop.test", context=c.context("alice"))
    t.equal(a.status, 421, "and the other way round")
    a, _ = c.get("shop.test", host="a.wild.test")
    t.equal(a.status, 200, "another host of the same policy")


def resumption(t, c):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = c.context("alice", low=version, high=version)
        a, sock = c.get("shop.test", context=context)
        session, resumed = sock.session, 0
        for _ in range(12):  # the kernel spreads them over the workers
            a, again = c.get("shop.test", context=context, session=session)
            t.equal(a.status, 200, "status")
            resumed += again.session_reused
            session = again.session
        t.equal(resumed, 12, f"{version.name}: resumed on any worker")
        raw = c.connect("need.test", context, session)
        a, sock = c.get("need.test", context=context, sock=raw)
        t.check(not sock.session_reused, "a session of another client policy is not resumed")


def resumed_on_and_on(t, c):
    """A ticket of TLS 1.3 is used once: every connection must bring the next one."""
    ask = "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
    for i in range(5):
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{c.port}", "-servername",
                "shop.test", "-ign_eof", "-sess_out", t.directory / f"session{i}"]
        if i:
            argv += ["-sess_in", t.directory / f"session{i - 1}"]
        out = subprocess.run(argv, input=ask, capture_output=True, text=True, check=True).stdout
        t.check(("Reused, TLSv1.3" if i else "New, TLSv1.3") in out, f"connection {i}: {out}")


class Handshakes:
    """A new connection for each request, until it is stopped."""

    def __init__(self, c):
        self.c, self.ok, self.failures, self.serials = c, 0, [], set()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(2)]
        for th in self.threads:
            th.start()

    def run(self):
        context = self.c.context()
        while not self.ending.is_set():
            try:
                a, sock = self.c.get("shop.test", context=context)
                self.serials.add(sock.getpeercert()["serialNumber"])
                sock.close()
                self.ok += a.status == 200
            except (OSError, http.client.HTTPException) as e:
                self.failures.append(repr(e))

    def stop(self):
        self.ending.set()
        for th in self.threads:
            th.join(20)


def reload_under_load(t, s, c, issue):
    load = Handshakes(c)
    for _ in range(5):
        issue("shop", "shop.test,www.shop.test")
        done = s.api("POST", "/v1/config:reload")
        t.check(done["revision"], "reloaded")
        time.sleep(0.2)
    load.stop()
    t.say(f"{load.ok} handshakes, {len(load.serials)} certificates, {len(load.failures)} failed")
    t.equal(load.failures, [], "handshakes during reloads")
    t.check(len(load.serials) >= 5, "new certificates are shown")


def broken_pair(t, s, c):
    good = (t.directory / "shop.key").read_bytes()
    (t.directory / "shop.key").write_bytes((t.directory / "wild.key").read_bytes())
    a = s.call("POST", "/v1/config:reload")
    t.equal(a.status, 422, "a reload with the wrong key")
    d = json.loads(a.body)["diagnostics"][0]
    t.equal(d["pointer"], "/listeners/tls/tls/certificates/0/key", "the field")
    t.check("shop.key" in d["message"], f"the file: {d}")
    t.equal(c.get("shop.test")[0].status, 200, "the old pair serves on")
    check = subprocess.run([s.build / "sluice", "-t", "-c", s.config_path], capture_output=True,
                           text=True, check=False)
    t.check(check.returncode != 0 and "shop.key" in check.stderr, f"sluice -t: {check}")
    (t.directory / "shop.key").write_bytes(good)
    s.api("POST", "/v1/config:reload")


def expiry(t, s):
    m = {k: v for k, v in s.metrics().items()
         if k.startswith("sluice_certificate_expiry_seconds")}
    t.check(len(m) == 4, f"expiry of each certificate: {m}")
    t.check(all(v > time.time() for v in m.values()), f"in the future: {m}")
    warnings = " ".join(s.status()["warnings"])
    t.check("need.pem" in warnings, f"one that ends in 5 days is warned of: {warnings}")
    t.check("wild.pem" not in warnings, f"others are not: {warnings}")


def kept_private(t, s):
    """Keys are in no document that is dumped, saved or told."""
    key = (t.directory / "shop.key").read_text().splitlines()[1]
    for p in t.directory.rglob("*"):
        if p.is_file() and p.suffix not in (".key",) and key in p.read_text(errors="replace"):
            raise Failed(f"the private key is in {p}")
    t.check(key not in json.dumps(s.status()), "nor in the status")


def tell(t):
    issue = pki(t.directory)
    certificates = [
        issue("shop", "shop.test,www.shop.test"),
        issue("wild", "*.wild.test", kind=("rsa:2048",)),
        {**issue("ask", "ask.test"), "client_ca": "ca.pem", "client_auth": "request"},
        {**issue("need", "need.test", days=5), "client_ca": "ca.pem", "client_auth": "require"},
    ]
    issue("alice", "alice", subject="/CN=alice/O=Shop")
    issue("mallory", "mallory", ca="other-ca")
    v1 = t.origin("v1")
    port = free_port()
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}},
                 listeners={"tls": {"address": f"127.0.0.1:{port}",
                                    "tls": {"certificates": certificates}}})
    c = Client(t, port)
    basics(t, s, c)
    bodies(t, c)
    client_certificates(t, c)
    resumption(t, c)
    resumed_on_and_on(t, c)
    expiry(t, s)
    reload_under_load(t, s, c, issue)
    broken_pair(t, s, c)
    kept_private(t, s)


if __name__ == "__main__":
    story(__doc__, tell)
