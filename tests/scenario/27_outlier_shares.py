#!/usr/bin/env python3
"""Endpoints that fail now and then, that lag behind the others, or that come back too early are
left alone; events and metrics say why. When all fail, none is left out beyond the share."""
import time

from harness import story

SHARE = {"consecutive_errors": 0, "failure_share": 30, "min_requests": 10, "window": "10s",
         "eject": "1s", "max_ejected": 50}
SLOW = {"consecutive_errors": 0, "latency_factor": 5, "min_requests": 10, "window": "10s",
        "eject": "1s", "max_ejected": 50}
RELAPSE = {"consecutive_errors": 3, "eject": "500ms", "max_ejected": 50}


def tell(t):
    flaky = [t.origin("v1") for _ in range(5)]
    laggard = [t.origin("v1") for _ in range(5)]
    dead = [t.origin("v1") for _ in range(5)]
    origins = {"flaky": flaky, "laggard": laggard, "dead": dead}
    rules = {"flaky": SHARE, "laggard": SLOW, "dead": RELAPSE}
    s = t.sluice(workers=1, routes=[
        {"path": f"/{name}", "service": name} for name in origins],
        services={name: {
            "versions": {"v1": {"endpoints": [o.address for o in group]}},
            "balance": "round_robin", "outlier": rules[name]}
            for name, group in origins.items()})

    def ejected(name):
        shown = s.api("GET", f"/v1/services/{name}")["versions"][0]["endpoints"]
        by_address = {e["address"]: e["ejected"] for e in shown}
        return [by_address[o.address] for o in origins[name]]

    def pauses(name, o, reason):
        text = s.call("GET", "/metrics").body.decode()
        line = (f'sluice_endpoint_ejections_total{{service="{name}",version="v1",'
                f'endpoint="{o.address}",reason="{reason}"}} ')
        return next(int(x[len(line):]) for x in text.splitlines() if x.startswith(line))

    def ask(name, n):
        return [s.get(f"/{name}").status for _ in range(n)]

    # one of five fails every second request: never twice in a row, but a share too large
    turn = [0]

    def every_second(_path):
        turn[0] += 1
        return 500 if turn[0] % 2 else 200
    usual = flaky[0].decide
    flaky[0].decide = every_second
    seen = ask("flaky", 200)
    t.equal(ejected("flaky"), [1, 0, 0, 0, 0], "one of five is left alone")
    t.equal(pauses("flaky", flaky[0], "failure_share"), 1)
    t.equal(seen.count(500), 6, "errors until the share of eleven was beyond doubt")
    flaky[0].decide = usual
    t.eventually("it is back", lambda: ejected("flaky") == [0] * 5)
    before = flaky[0].requests
    t.equal(ask("flaky", 50).count(200), 50)
    t.equal(flaky[0].requests - before, 10, "requests after its return")

    # all of five fail: half at most are out, and the others' answers are passed on
    for o in flaky:
        o.errors = 1.0
    seen = ask("flaky", 200)
    t.equal(set(seen), {500}, "nobody makes it a 503")
    t.equal(sum(ejected("flaky")), 2, "of five, half at most")
    for o in flaky:
        o.errors = 0.0

    # one of five is slow, and answers well
    for o in laggard:
        o.latency = 0.005
    laggard[1].latency = 0.1
    t.equal(set(ask("laggard", 100)), {200})
    t.equal(ejected("laggard"), [0, 1, 0, 0, 0], "the slow one")
    t.equal(pauses("laggard", laggard[1], "latency_factor"), 1)
    laggard[1].latency = 0.005
    t.eventually("it has its turn again", lambda: ejected("laggard") == [0] * 5)
    before = laggard[1].requests
    ask("laggard", 50)
    t.equal(laggard[1].requests - before, 10, "requests after its return")

    # all of five are as slow: that is not for this rule
    for o in laggard:
        o.latency = 0.03
    t.equal(set(ask("laggard", 60)), {200})
    t.equal(sum(ejected("laggard")), 0, "none is slower than the others")
    for o in laggard:
        o.latency = 0.0

    # one is dead and comes back dead: each return costs one error, each pause is longer
    dead[2].errors = 1.0
    t.equal(ask("dead", 50).count(500), 3, "errors before the first pause")
    costs, lengths = [], []
    for _ in range(3):
        began = time.monotonic()
        t.eventually("its pause is over", lambda: ejected("dead") == [0] * 5)
        lengths.append(time.monotonic() - began)
        costs.append(ask("dead", 20).count(500))
    t.equal(costs, [1, 1, 1], "errors of each return")
    t.equal(pauses("dead", dead[2], "relapse"), 3)
    t.check(lengths[2] > 0.9, f"pauses grow: {lengths}")

    def told(kind, name):
        events = s.api("GET", "/v1/events?limit=1000")["events"]
        return [e for e in events if e["type"] == kind and e["service"] == name]

    t.eventually("the story is told",
                 lambda: told("endpoint.ejected", "dead") and told("endpoint.returned", "flaky"))
    first = told("endpoint.ejected", "laggard")[0]["data"]
    t.equal((first["endpoint"], first["version"], first["workers"], first["reason"]),
            (laggard[1].address, "v1", 1, "latency_factor"))


story(__doc__, tell)
