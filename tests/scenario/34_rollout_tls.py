#!/usr/bin/env python3
"""Smoke checks reach a version as its traffic will: over TLS that is verified, with our certificate,
and over HTTP/2 where that is spoken; a version that traffic could not reach is taken back before it
got any. A gate over https that nobody vouches for does not open."""
import importlib
import shutil

from harness import story

tls = importlib.import_module("28_tls_upstream")
h2 = importlib.import_module("58_http2_health")


def tell(t):
    issue = tls.pki(t.directory)
    good, named = issue("good", "127.0.0.1"), issue("named", "origin.test")
    stranger, ours = issue("stranger", "127.0.0.1", ca="other-ca"), issue("proxy", "proxy")

    def origin(*args):
        o = tls.TlsOrigin(t.directory, *args)
        t.started.append(o)
        return o

    ca = {"ca": "ca.pem"}
    cases = {  # service: its TLS, the version that rolls out, how that ends, and why
        "plain-name": (ca, origin(good), "succeeded", ""),
        "by-name": ({**ca, "server_name": "origin.test"}, origin(named), "succeeded", ""),
        "mutual": ({**ca, **ours}, origin(good, "ca.pem"), "succeeded", ""),
        "wrong-name": (ca, origin(named), "reverted", "subject name"),
        "stranger": (ca, origin(stranger), "reverted", "certificate"),
        "no-cert": (ca, origin(good, "ca.pem"), "reverted", ""),
    }
    services = {k: {"tls": c[0], "versions": {"v1": {"endpoints": [origin(good).address]}}} for k, c in cases.items()}
    if shutil.which("node"):
        pair = {"key": good["key"], "cert": good["cert"]}
        for k, more, args in (("h2c", {}, ()), ("h2", {"tls": ca}, (pair["key"], pair["cert"]))):
            old, new = h2.Server(t, k + "-old", *args), h2.Server(t, k + "-new", *args)
            services[k] = {**more, "versions": {"v1": {"endpoints": [old.address], "protocol": k},
                                                "v2": {"endpoints": [new.address], "protocol": k}},
                           "weights": {"v1": 100, "v2": 0}}
            cases[k] = (more.get("tls"), None, "succeeded", "")
    s = t.sluice(services=services, workers=1)

    def roll(k, **more):
        endpoints = {"endpoints": [cases[k][1].address]} if cases[k][1] else {}
        return s.api("POST", f"/v1/services/{k}/rollouts", {
            "version": "v2", "strategy": "bluegreen", "warmup": "0s", **endpoints, **more}, want=201)["id"]

    def get(r):
        return s.api("GET", f"/v1/rollouts/{r}")

    ids = {k: roll(k, smoke=[{"name": "home", "request": "GET /"}]) for k in cases}
    for k, r in ids.items():
        t.eventually(f"{k} ends", lambda: get(r)["state"] in ("succeeded", "reverted"))
        over = get(r)
        t.equal(over["state"], cases[k][2], f"{k}: {over['result']}")
        if over["state"] == "reverted":
            t.check("home" in over["result"]["reason"] and cases[k][3] in over["result"]["reason"], f"{k}: {over['result']}")
            t.equal(s.api("GET", f"/v1/services/{k}/weights")["weights"]["v2"], 0, k)
    t.check(set(cases["by-name"][1].names) == {"origin.test"}, "the name that was asked for")
    t.equal(cases["mutual"][1].peers[0]["subject"][0][0][1], "proxy", "our certificate")

    t.say("a gate that is not who it says")
    s.api("POST", "/v1/services/plain-name:undo", {})
    gate = origin(good)
    r = roll("plain-name", gates=[{"http": {"name": "ci", "url": f"https://{gate.address}/ci", "method": "GET"}}])
    t.eventually("it holds", lambda: get(r)["state"] == "holding")
    t.check("certificate" in get(r)["steps"][0]["seen"], get(r)["steps"][0]["seen"])
    t.equal(gate.requests, 0, "nothing was told to it")


story(__doc__, tell)
