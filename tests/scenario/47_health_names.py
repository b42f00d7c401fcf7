#!/usr/bin/env python3
"""Health checks ask a TLS endpoint by the name that traffic asks it by: the configured one, else
that of its DNS name, and none for an address. Real dnsmasq, real TLS."""
import importlib
import pathlib
import sys

from harness import story

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pki = importlib.import_module("27_tls").pki
TlsOrigin = importlib.import_module("28_tls_upstream").TlsOrigin
Names = importlib.import_module("45_dns").Names


def tell(t):
    cert = pki(t.directory)("any", "origin.test,conf.test,127.0.0.1")

    def origin():
        o = TlsOrigin(t.directory, cert)
        t.started.append(o)
        return o

    origins = {"looked-up": origin(), "configured": origin(), "both": origin(), "address": origin()}
    port = {n: o.address.rsplit(":", 1)[1] for n, o in origins.items()}
    names = Names(t)
    names.write([("origin.test", "127.0.0.1")])
    names.start()
    endpoints = {"looked-up": f"origin.test:{port['looked-up']}", "both": f"origin.test:{port['both']}",
                 "configured": origins["configured"].address, "address": origins["address"].address}
    named = {"looked-up": None, "configured": "conf.test", "both": "conf.test", "address": None}
    s = t.sluice(
        dns={"resolvers": [names.address], "timeout": "200ms", "negative": "200ms"},
        services={n: {"versions": {"v1": {"endpoints": [endpoints[n]]}},
                      "health": {"path": "/up", "interval": "100ms", "timeout": "5s"},
                      "tls": {"ca": "ca.pem", **({"server_name": named[n]} if named[n] else {})}}
                  for n in origins},
        routes=[{"path": f"/{n}", "service": n} for n in origins])
    want = {"looked-up": "origin.test", "configured": "conf.test", "both": "conf.test", "address": None}
    for n, o in origins.items():
        t.eventually(f"checks of {n}", lambda o=o: len(o.names) > 2 or None)
        t.equal(set(o.names), {want[n]}, f"names that checks of {n} asked for")
        t.eventually(f"{n} answers", lambda n=n: s.get(f"/{n}").status == 200 or None)
        t.equal(set(o.names), {want[n]}, f"names that traffic to {n} asked for")


story(__doc__, tell)
