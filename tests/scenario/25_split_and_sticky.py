#!/usr/bin/env python3
"""Weights: the share is exact without a key; with a cookie a client stays where it is, on every
worker; raising the weight moves nobody back; overrides beat weights and cookies."""
import collections
import http.client

from harness import request, story


def over_both(s, path, n, keys=None):
    """N requests in turns over 40 connections, which fall to both workers: [(key, version)]."""
    conns = [http.client.HTTPConnection("127.0.0.1", s.port, timeout=20) for _ in range(40)]
    got = []
    for i in range(n):
        key = keys[i % len(keys)] if keys else None
        answer = request(conns[i % 40], "GET", path, headers={"X-User": key} if key else {})
        got.append((key, answer.headers["x-version"]))
    for conn in conns:
        conn.close()
    return got


def two_workers(t, s):
    for path, shares in (("/plain", {"v1": 90, "v2": 10}), ("/three", {"v1": 57, "v2": 36, "v3": 7})):
        got = collections.Counter(version for _, version in over_both(s, path, 2000))
        for version, percent in shares.items():  # each worker is off by one at most
            t.check(abs(got[version] - 20 * percent) <= 2, f"{path}: {got}")
    users = [f"user-{i}" for i in range(999)]  # three times each, over other connections
    got = over_both(s, "/user", 2997, users)
    where = dict(got)
    t.check(all(where[user] == version for user, version in got), "a user is where the worker wants")
    share = sum(version == "v2" for version in where.values())
    t.check(abs(share - 999 * 0.3) < 5 * (999 * 0.3 * 0.7) ** 0.5, f"30 % of 999 users: {share}")


def tell(t):
    v1, v2, v3 = t.origin("v1"), t.origin("v2"), t.origin("v3")
    versions = {"v1": {"endpoints": [v1.address]}, "v2": {"endpoints": [v2.address]}}
    s = t.sluice(
        services={"plain": {"versions": versions, "weights": {"v1": 90, "v2": 10}},
                  "shop": {"versions": versions, "weights": {"v1": 95, "v2": 5},
                           "sticky": {"by": "cookie", "name": "bucket", "ttl": "1h"},
                           "overrides": [
                               {"name": "qa", "match": {"header": {"x-canary": "1"}}, "to": "v2"},
                               {"name": "out", "match": {"cookie": {"plan": "gold"}}, "to": "v1"}]},
                  "three": {"versions": {**versions, "v3": {"endpoints": [v3.address]}},
                            "weights": {"v1": 57, "v2": 36, "v3": 7}},
                  "by-user": {"versions": versions, "weights": {"v1": 70, "v2": 30},
                              "sticky": {"by": "header", "name": "x-user"}}},
        routes=[{"path": "/plain", "service": "plain"}, {"path": "/", "service": "shop"},
                {"path": "/user", "service": "by-user"}, {"path": "/three", "service": "three"}])
    two_workers(t, s)

    conn = http.client.HTTPConnection("127.0.0.1", s.port)
    got = collections.Counter(request(conn, "GET", "/plain").headers["x-version"] for _ in range(1000))
    t.check(abs(got["v2"] - 100) <= 1, f"share of 10 % in 1000 requests: {got}")

    first = s.get("/")
    cookie = first.headers["set-cookie"]
    t.check(cookie.startswith("bucket=") and "Max-Age=3600" in cookie and "HttpOnly" in cookie,
            f"cookie: {cookie}")
    users = [f"bucket={i:032x}" for i in range(400)]
    where = lambda: {u: s.get("/", headers={"Cookie": u}).headers["x-version"] for u in users}
    before = where()
    t.equal(where(), before, "the same clients, other connections")
    s.api("PUT", "/v1/services/shop/weights", {"v1": 60, "v2": 40})
    after = where()
    t.check(all(after[u] == "v2" for u in users if before[u] == "v2"), "somebody moved back")
    share = sum(v == "v2" for v in after.values()) / len(users)
    t.check(0.3 < share < 0.5, f"share of 40 % among clients: {share}")
    t.check("set-cookie" not in s.get("/", headers={"Cookie": users[0]}).headers, "one cookie is enough")

    v1user = next(u for u in users if after[u] == "v1")
    v2user = next(u for u in users if after[u] == "v2")
    t.equal(s.get("/", headers={"Cookie": v1user, "X-Canary": "1"}).headers["x-version"], "v2")
    t.equal(s.get("/", headers={"Cookie": v2user + "; plan=gold"}).headers["x-version"], "v1")
    t.equal({s.get("/user", headers={"X-User": "ann"}).headers["x-version"] for _ in range(10)}
            .__len__(), 1, "a header keeps a user")

    answer = s.call("PUT", "/v1/services/shop/weights", {"v1": 60, "v2": 60})
    t.equal(answer.status, 400, "weights that add up to 120")
    weights = s.api("GET", "/v1/services/shop/weights")
    t.equal(weights["weights"], {"v1": 60, "v2": 40})
    t.equal(weights["origin"], "api")


story(__doc__, tell)
