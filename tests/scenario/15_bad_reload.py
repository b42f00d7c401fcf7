#!/usr/bin/env python3
"""A bad config on reload: the old one goes on, and the log, the API and status say what is wrong
and where. A listener that cannot be opened counts as bad too."""
import copy
import signal
import socket

from harness import story


def tell(t):
    v1 = t.origin("v1")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
    revision = s.status()["config"]["revision"]
    good = copy.deepcopy(s.config)
    bad = copy.deepcopy(good)
    bad["services"]["shop"]["balnce"] = "p2c"
    bad["routes"][0]["service"] = "shpo"

    load = t.load(s, clients=2, rate=100)
    t.eventually("requests go through", lambda: load.ok > 0)
    s.write_config(bad)
    s.signal(signal.SIGHUP)
    t.eventually("the log names both mistakes", lambda: "balnce" in s.log() and "shpo" in s.log())
    t.check("the old one stays" in s.log(), "the log says what happens now")
    problem = s.api("POST", "/v1/config:reload", want=422)
    pointers = {d["pointer"] for d in problem["diagnostics"]}
    t.check("/services/shop/balnce" in pointers, f"pointers: {pointers}")
    t.check(all(d["line"] > 0 and d["file"].endswith("sluice.jsonc")
                for d in problem["diagnostics"]), f"places: {problem}")
    t.equal(s.status()["config"]["revision"], revision, "revision")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bad = copy.deepcopy(good)
        bad["listeners"]["extra"] = {"address": "127.0.0.1:%d" % taken.getsockname()[1]}
        s.write_config(bad)
        problem = s.api("POST", "/v1/config:reload", want=422)
        refused = problem["diagnostics"][0]
        t.check("in use" in refused["message"], f"{problem}")
        lines = s.config_path.read_text().splitlines()
        t.check('"address": "%s"' % bad["listeners"]["extra"]["address"] in lines[refused["line"] - 1],
                f"the place is the address: {refused}")
        t.check(refused["file"].endswith("sluice.jsonc"), f"{refused}")

    s.write_config(good)
    t.equal(s.call("POST", "/v1/config:reload").status, 200)
    t.equal(s.get("/").status, 200)
    t.no_failures(load)


story(__doc__, tell)
