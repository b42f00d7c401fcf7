#!/usr/bin/env python3
"""TLS to services: whose certificate is good, session reuse, our own certificate, plain peers."""
import importlib
import json
import pathlib
import socket
import ssl
import sys
import threading
import time

from harness import Origin, story

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pki = importlib.import_module("27_tls").pki


class TlsOrigin(Origin):
    """An endpoint that speaks TLS; it notes sessions that were resumed."""

    def __init__(self, directory, cert, client_ca=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(directory / cert["cert"], directory / cert["key"])
        self.context.set_alpn_protocols(["http/1.1"])
        if client_ca:
            self.context.load_verify_locations(directory / client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.handshakes, self.resumed, self.peers, self.names = 0, 0, [], []
        self.context.sni_callback = lambda s, name, c: self.names.append(name)
        super().__init__("v1")

    def start(self):
        super().start()
        accept = self.server.get_request

        def get_request():
            raw, address = accept()
            raw.settimeout(5)
            s = self.context.wrap_socket(raw, server_side=True)
            self.handshakes += 1
            self.resumed += bool(s.session_reused)
            self.peers.append(s.getpeercert())
            return s, address
        self.server.get_request = get_request


class Liar:
    """A peer that answers in the clear, before or instead of a handshake."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.closed = False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not self.closed:
            try:
                c, _ = self.socket.accept()
                c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
                time.sleep(0.05)
                c.close()
            except OSError:
                pass

    def stop(self):
        self.closed = True
        self.socket.close()


def tell(t):
    issue = pki(t.directory)
    good = issue("good", "origin.test,127.0.0.1")
    named = issue("named", "origin.test")
    stranger = issue("stranger", "origin.test,127.0.0.1", ca="other-ca")
    ours = issue("proxy", "proxy")

    def origin(*args):
        o = TlsOrigin(t.directory, *args)
        t.started.append(o)
        return o

    liar = Liar()
    t.started.append(liar)
    origins = {"plain-name": origin(good), "by-name": origin(named), "wrong-name": origin(named),
               "stranger": origin(stranger), "only-ca": origin(named), "nothing": origin(stranger),
               "mutual": origin(good, "ca.pem"), "no-cert": origin(good, "ca.pem"), "liar": liar,
               "checked": origin(good)}
    ca = {"ca": "ca.pem"}
    tls = {"plain-name": ca, "by-name": {**ca, "server_name": "origin.test"}, "wrong-name": ca,
           "stranger": ca, "only-ca": {**ca, "verify": "ca"}, "nothing": {"verify": "none"},
           "mutual": {**ca, **ours}, "no-cert": ca, "liar": {"verify": "none"}, "checked": ca}
    services = {n: {"tls": tls[n], "versions": {"v1": {"endpoints": [o.address]}}}
                for n, o in origins.items()}
    services["checked"]["health"] = {"path": "/up", "interval": "100ms"}
    checks = {"c-" + n: {**services[n], "health": {"path": "/up", "interval": "100ms"}}
              for n in ("by-name", "wrong-name", "stranger", "only-ca", "nothing", "mutual", "no-cert")}
    for n in checks:  # of their own, so that nothing else is counted at them
        o = {"stranger": stranger, "nothing": stranger, "mutual": good, "no-cert": good}.get(n[2:], named)
        more = ("ca.pem",) if n in ("c-mutual", "c-no-cert") else ()
        origins[n] = origin(o, *more)
        checks[n]["versions"] = {"v1": {"endpoints": [origins[n].address]}}
    services.update(checks)
    s = t.sluice(services=services, workers=1,
                 routes=[{"path": f"/{n}", "service": n} for n in services])

    for name in ("plain-name", "by-name", "only-ca", "nothing", "mutual", "checked"):
        for _ in range(3):
            t.equal(s.get(f"/{name}").status, 200, name)
    for name in ("wrong-name", "stranger", "no-cert", "liar"):
        a = s.get(f"/{name}")
        t.check(a.status == 502 and b"forged" not in a.body, f"{name}: {a}")
    t.equal(origins["by-name"].names, ["origin.test"], "the name that was asked for")
    t.equal(origins["plain-name"].handshakes, 1, "one connection, kept")
    t.equal(origins["mutual"].peers[0]["subject"][0][0][1], "proxy", "our certificate")
    t.check("TLS to an endpoint of" in s.log(), "the log says that TLS failed")

    o = origins["plain-name"]
    for _ in range(4):  # connections end, sessions do not
        t.equal(s.get("/plain-name", method="POST", body=b"x" * 300000).status, 200, "a body")
        with o.lock:
            for c in list(o.open):
                c.shutdown(socket.SHUT_RDWR)
        time.sleep(0.1)
    t.check(o.handshakes >= 4 and o.resumed >= o.handshakes - 2,
            f"sessions are reused: {o.resumed} of {o.handshakes}")

    health = s.api("GET", "/v1/services/checked")["versions"][0]["endpoints"][0]
    t.check(health["up"], f"checks speak TLS as well: {health}")

    def check_of(name):
        return s.api("GET", f"/v1/services/{name}")["versions"][0]["endpoints"][0]
    for name in ("c-by-name", "c-only-ca", "c-nothing", "c-mutual"):
        t.eventually(f"{name} is checked", lambda: origins[name].handshakes > 2)
        t.equal((check_of(name)["up"], check_of(name)["last_error"]), (True, None), name)
    for name, why in (("c-wrong-name", "subject name"), ("c-stranger", "certificate"), ("c-no-cert", "")):
        t.eventually(f"{name} is not healthy", lambda: not check_of(name)["up"])
        t.check(check_of(name)["last_error"] and why in check_of(name)["last_error"], f"{name}: {check_of(name)}")

    # Our own certificate is renewed: connections begin anew with it, none is lost.
    serials = {p["serialNumber"] for p in origins["mutual"].peers}
    issue("proxy", "proxy")
    load = t.load(s, path="/mutual", clients=2, rate=100)
    time.sleep(0.2)
    s.api("POST", "/v1/config:reload")
    t.eventually("the new certificate is shown",
                 lambda: origins["mutual"].peers[-1]["serialNumber"] not in serials)
    t.no_failures(load)
    t.equal(len({p["serialNumber"] for p in origins["mutual"].peers}), 2, "certificates shown")

    # Another CA: connections and sessions made under the old one are not used any more.
    before = o.handshakes
    s.config["services"]["plain-name"]["tls"] = {"ca": "other-ca.pem"}
    s.config["services"]["c-by-name"]["tls"] = {"ca": "other-ca.pem", "server_name": "origin.test"}
    s.write_config()
    s.api("POST", "/v1/config:reload")
    t.equal(s.get("/plain-name").status, 502, "the CA is not trusted any more")
    t.eventually("neither do checks", lambda: not check_of("c-by-name")["up"])
    t.check(o.handshakes <= before + 1, "nothing was sent to it")
    t.equal(json.loads(s.get("/by-name").body)["version"], "v1", "others go on")


if __name__ == "__main__":
    story(__doc__, tell)
