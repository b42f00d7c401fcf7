#!/usr/bin/env python3
"""Endpoints by name, looked up in a real dnsmasq: A, AAAA and SRV; what changes there changes
here without a failed request; what fails there changes nothing; a name that nobody knows yet
stops nobody from starting; a restart needs no name server."""
import getpass
import os
import shutil
import signal

from harness import Process, Skip, free_port, story

TTL = 1


class Names:
    """A dnsmasq of our own on 127.0.0.1: hosts can be changed while it runs."""

    def __init__(self, t):
        if not shutil.which("dnsmasq"):
            raise Skip("there is no dnsmasq")
        self.t, self.port, self.lines = t, free_port(), []
        self.hosts, self.conf = t.directory / "names", t.directory / "dnsmasq.conf"
        self.address, self.process = f"127.0.0.1:{self.port}", None

    def write(self, hosts, srv=()):
        self.hosts.write_text("".join(f"{a} {name}\n" for name, a in hosts))
        self.conf.write_text("\n".join([
            f"port={self.port}", "listen-address=127.0.0.1", "bind-interfaces", "no-resolv",
            "no-hosts", "no-daemon", f"addn-hosts={self.hosts}", f"local-ttl={TTL}",
            f"user={getpass.getuser()}", "group=", "local=/test/",
            *(f"srv-host={s}" for s in srv)]) + "\n")

    def start(self):
        self.process = Process("dnsmasq", [shutil.which("dnsmasq"), f"--conf-file={self.conf}",
                                           "--pid-file="], self.t.directory)
        self.t.started.append(self.process)
        self.t.processes.append(self.process)

    def stop(self):
        self.process.process.kill()
        self.process.wait()

    def change(self, hosts):
        self.write(hosts)
        os.kill(self.process.pid, signal.SIGHUP)


def tell(t):
    four = t.origin("v1")
    six = t.origin("v1", four.port, "::1")
    other = t.origin("v2")
    names = Names(t)
    source = f"shop.test:{four.port}"
    both = [("shop.test", "127.0.0.1"), ("shop.test", "::1")]
    srv = [f"_http._tcp.api.test,one.test,{other.port},10,5",
           f"_http._tcp.api.test,one.test,{four.port},20,5"]
    names.write([*both, ("one.test", "127.0.0.1")], srv)
    names.start()
    s = t.sluice(
        dns={"resolvers": [names.address], "timeout": "200ms", "negative": "200ms",
             "min_ttl": "200ms"},
        services={
            "shop": {"balance": "round_robin", "versions": {"v1": {"endpoints": [source]}},
                     "health": {"path": "/up", "interval": "100ms", "rise": 1, "fall": 1}},
            "api": {"versions": {"v2": {"endpoints": ["srv:_http._tcp.api.test"]}},
                    "health": {"path": "/up", "interval": "100ms", "rise": 1, "fall": 1}},
            "later": {"versions": {"v1": {"endpoints": [f"later.test:{four.port}"]}}}},
        routes=[{"path": "/", "service": "shop"}, {"path": "/api", "service": "api"},
                {"path": "/later", "service": "later"}])

    def served(path="/", n=12):
        answers = [s.get(path) for _ in range(n)]
        return {a.headers.get("x-endpoint", a.status) for a in answers}

    def name(want=source):
        return next(n for n in s.status()["dns"] if n["name"] == want)

    def metric(metric, want=source):
        return s.metrics()[f'{metric}{{name="{want}"}}']

    t.eventually("A and AAAA are two endpoints",
                 lambda: served() == {four.address, six.address})
    t.equal(sorted(name()["addresses"]), sorted([four.address, six.address]))
    t.equal(metric("sluice_dns_addresses"), 2)
    t.equal(s.metrics()[f'sluice_endpoint_up{{service="shop",version="v1",'
                        f'endpoint="{six.address}"}}'], 1)
    shown = s.ctl("service", "show", "shop").stdout
    t.check(source in shown and six.address in shown, f"the name and its addresses: {shown}")

    # SRV: ports of its own, the lowest priority first, the next when that one is down
    t.eventually("the first choice", lambda: served("/api") == {other.address})
    other.up = False
    t.eventually("the second choice", lambda: served("/api") == {four.address})
    other.up = True
    t.eventually("the first again", lambda: served("/api") == {other.address})

    # nobody knows this name yet
    t.equal(s.get("/later").status, 503)
    t.equal(name(f"later.test:{four.port}")["state"], "failing")

    # addresses come and go under load
    load = t.load(s)
    for _ in range(2):
        names.change([("shop.test", "127.0.0.1"), ("one.test", "127.0.0.1"),
                      ("later.test", "127.0.0.1")])
        t.eventually("one is gone", lambda: served() == {four.address})
        names.change([*both, ("one.test", "127.0.0.1"), ("later.test", "127.0.0.1")])
        t.eventually("it is back", lambda: served() == {four.address, six.address})
    t.eventually("the late name has an address", lambda: s.get("/later").status == 200)

    # no name server: the last good answer stays and everybody is told
    names.stop()
    t.eventually("it is said", lambda: name()["state"] == "failing")
    t.equal(metric("sluice_dns_up"), 0)
    t.check(any(source in w for w in s.status()["warnings"]), "there is a warning")
    t.equal(served(), {four.address, six.address})
    os.kill(s.children()["controller"], signal.SIGKILL)
    t.eventually("a new controller fails as well", lambda: name()["state"] == "failing")
    t.equal(served(), {four.address, six.address})
    t.no_failures(load)

    # a restart begins with what was known
    s.stop()
    s = t.sluice(**{k: s.config[k] for k in ("dns", "services", "routes")})
    t.equal(served(), {four.address, six.address})
    t.equal(s.get("/api").status, 200)

    # and it comes back
    names.write([("shop.test", "::1")], srv)
    names.start()
    t.eventually("the new answer holds", lambda: served() == {six.address})
    t.equal(name()["state"], "good")
    t.equal(metric("sluice_dns_up"), 1)
    events = [e["type"] for e in s.api("GET", "/v1/events?limit=500")["events"]]
    for kind in ("dns.failing", "dns.changed"):
        t.check(kind in events, f"{kind} among the events")

    # names through the API; and the name leaves with its addresses
    s.api("PUT", "/v1/services/shop/versions/v2", {"endpoints": [source]}, want=201)
    s.api("PUT", "/v1/services/shop/weights", {"v1": 0, "v2": 100})
    t.eventually("a version of names", lambda: served() == {six.address})


if __name__ == "__main__":
    story(__doc__, tell)
