#!/usr/bin/env python3
"""Flags from Redis choose a route and reach the origin; a kill switch acts at once; Redis that
is gone, empty or killed changes no answer; OpenFeature clients get the same answers."""
import json

from harness import eventually, story
from redis_client import Redis

FLAG = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
        "targeting": {"if": [{"ends_with": [{"var": "http.header.x-user"}, "@example.com"]}, "on"]}}


def tell(t):
    redis = t.redis()
    ask = Redis(redis.port)
    old, new = t.origin("old"), t.origin("new")
    s = t.sluice(
        services={"shop": {"versions": {"v1": {"endpoints": [old.address]}}},
                  "next": {"versions": {"v1": {"endpoints": [new.address]}}}},
        routes=[{"flag": {"key": "checkout", "variant": "on"}, "path": "/checkout",
                 "service": "next"}, {"path": "/", "service": "shop"}],
        flags={"redis": f"redis://127.0.0.1:{redis.port}/0", "env": "prod",
               "targeting_key": ["header:x-user"]})

    def where(user="ann@example.com"):
        """Which origin answers; it must have been told the same, and not what we forged."""
        a = s.get("/checkout", headers={"X-User": user, "X-Flag-checkout": "forged"})
        t.equal(a.status, 200)
        told = json.loads(a.body)["headers"].get("x-flag-checkout")
        version = a.headers["x-version"]
        t.check(told == "on" if version == "new" else told in ("off", None), f"told {told}")
        return version

    def expect(version, what):
        for _ in range(10):
            t.equal(where(), version, what)
        t.equal(where("eve@other.org"), "old", "for others")

    t.eventually("Redis is up", lambda: s.status()["flags"]["redis"] == "up")
    expect("old", "without the flag")

    # a flag is created, and is live when the answer comes
    t.equal(s.call("PUT", "/v1/flags/checkout", FLAG).status, 428)
    s.api("PUT", "/v1/flags/checkout", FLAG, 201, {"If-None-Match": "*"})
    expect("new", "after the put")
    t.equal(s.call("PUT", "/v1/flags/checkout", FLAG, {"If-Match": '"x"'}).status, 412)
    t.equal(s.call("PUT", "/v1/flags/checkout", {**FLAG, "targeting": {"nonsense": 1}},
                   {"If-Match": "*"}).status, 422)
    row = s.api("GET", "/v1/flags")["flags"][0]
    t.equal((row["key"], sorted(row["variants"]), row["override"], row["quarantine"]),
            ("checkout", ["off", "on"], None, None))

    # what was decided, and why: counted once a request
    def counted(variant, reason, flag="checkout"):
        wanted = (f'sluice_flag_evaluations_total{{flag="{flag}",variant="{variant}",'
                  f'reason="{reason}"}} ')
        lines = s.call("GET", "/metrics").body.decode().splitlines()
        return sum(int(line.split()[-1]) for line in lines if line.startswith(wanted))

    before = counted("on", "TARGETING_MATCH"), counted("off", "DEFAULT")
    where()
    where("eve@other.org")
    t.equal((counted("on", "TARGETING_MATCH"), counted("off", "DEFAULT")),
            (before[0] + 1, before[1] + 1), "counted")

    # a flag that needs another one
    needy = {"state": "ENABLED", "variants": {"a": "A", "b": "B"}, "defaultVariant": "b",
             "targeting": {"if": [True, "a"]}, "metadata": {"proxy.needs": "checkout=on"}}
    s.api("PUT", "/v1/flags/needy", needy, 201, {"If-None-Match": "*"})
    for user, want in (("ann@example.com", "a"), ("eve@other.org", "b")):
        one = s.api("POST", "/ofrep/v1/evaluate/flags/needy",
                    {"context": {"http.header.x-user": user}})
        t.equal((one["variant"], one["metadata"].get("unsatisfied")),
                (want, True if want == "b" else None))
    needy["metadata"] = {"proxy.until": "2020-01-01T00:00:00Z"}
    s.api("PUT", "/v1/flags/needy", needy, 200, {"If-Match": "*"})
    one = s.api("POST", "/ofrep/v1/evaluate/flags/needy", {})
    t.equal((one["variant"], one["reason"]), ("b", "DEFAULT"), "its time is over")
    t.equal(s.call("DELETE", "/v1/flags/needy", headers={"If-Match": "*"}).status, 204)

    # somebody else writes to Redis, with a hint
    ask("HSET", "{ff:prod}:flags", "checkout", json.dumps({**FLAG, "state": "DISABLED"}))
    ask("HINCRBY", "{ff:prod}:meta", "version", 1)
    ask("PUBLISH", "{ff:prod}:changed", "hint")
    t.eventually("the other's change is live", lambda: where() == "old")
    ask("HSET", "{ff:prod}:flags", "checkout", json.dumps(FLAG))
    ask("HINCRBY", "{ff:prod}:meta", "version", 1)
    t.eventually("and back, found by the poll", lambda: where() == "new")

    # the kill switch, and back
    s.api("POST", "/v1/flags/checkout:kill", {"variant": "off", "reason": "INC-12"})
    expect("old", "after the kill")
    t.eventually("Redis knows of the kill", lambda: b"INC-12" in ask("HGETALL", "{ff:prod}:ovr"))
    s.api("POST", "/v1/flags/checkout:restore", {})
    expect("new", "after the restore")

    # OFREP gives the same answers
    context = {"context": {"targetingKey": "u", "http.header.x-user": "ann@example.com"}}
    one = s.api("POST", "/ofrep/v1/evaluate/flags/checkout", context)
    t.equal((one["value"], one["variant"], one["reason"]), (True, "on", "TARGETING_MATCH"))
    t.equal(s.call("POST", "/ofrep/v1/evaluate/flags/gone", context).status, 404)
    bulk = s.call("POST", "/ofrep/v1/evaluate/flags", context)
    again = s.call("POST", "/ofrep/v1/evaluate/flags", context,
                   {"If-None-Match": bulk.headers["etag"]})
    t.equal((bulk.status, again.status, again.body), (200, 304, b""))

    # an emptied Redis turns nothing off
    ask("FLUSHALL")
    eventually("the poll has looked", lambda: s.status()["flags"]["stale_ms"] > 2500)
    expect("new", "after the flush")

    # no Redis at all: the same answers, and the kill switch still works
    load = t.load(s, path="/checkout", headers={"X-User": "ann@example.com"})
    redis.stop()
    t.eventually("Redis is down", lambda: s.status()["flags"]["redis"] == "down")
    expect("new", "without Redis")
    t.equal(s.call("PUT", "/v1/flags/checkout", FLAG, {"If-Match": "*"}).status, 503)
    s.api("POST", "/v1/flags/checkout:kill", {"variant": "off"})
    expect("old", "killed without Redis")
    t.no_failures(load)

    # back again, empty: the first change brings the whole set
    t.redis(redis.port)
    t.eventually("Redis is up again", lambda: s.status()["flags"]["redis"] == "up")
    expect("old", "with an empty Redis")
    tag = s.call("GET", "/v1/flags/checkout").headers["etag"]
    s.api("PUT", "/v1/flags/checkout", FLAG, 200, {"If-Match": tag})
    expect("old", "the kill outlives the put")
    s.api("POST", "/v1/flags/checkout:restore", {})
    expect("new", "restored")
    t.equal(s.call("DELETE", "/v1/flags/checkout", headers={"If-Match": "*"}).status, 204)
    expect("old", "after the delete")


story(__doc__, tell)
