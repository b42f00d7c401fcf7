#!/usr/bin/env python3
"""What Redis can do wrong, one after the other, under load: no answer of a flag changes, the kill
switch works, status says what is the matter, and afterwards flags follow Redis again."""
import json
import socket

from harness import story
from redis_client import Redis

KEYS = ("{ff:prod}:meta", "{ff:prod}:flags")


def flag(variant):
    return {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": variant}


def tell(t):
    redis = t.redis()
    ask = Redis(redis.port)
    origin = t.origin("v1")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [origin.address]}}}},
                 routes=[{"flag": {"key": "f", "variant": "on"}, "path": "/", "service": "shop"}],
                 flags={"redis": f"redis://127.0.0.1:{redis.port}/0", "env": "prod"})

    def status(name):
        return s.status()["flags"][name]

    def up():
        t.eventually("Redis is up", lambda: status("redis") == "up")

    def put(variant, code):
        t.equal(s.call("PUT", "/v1/flags/f", flag(variant), {"If-Match": "*"}).status, code)

    def write(variant):
        """Another writer, without a hint."""
        ask("HSET", KEYS[1], "f", json.dumps(flag(variant)))
        ask("HINCRBY", KEYS[0], "version", 1)

    def follows():
        """A change in Redis is served, both ways; the flag is on again."""
        up()
        write("off")
        t.eventually("off is served", lambda: s.get("/").status == 404)
        write("on")
        t.eventually("on is served", lambda: s.get("/").status == 200)

    def unchanged(what, writes=503):
        """No answer changed; writes fail, or not; a kill acts at once and is taken back."""
        for _ in range(20):
            t.equal(s.get("/").status, 200, what)
        if writes:
            put("off", writes)
        t.equal(s.get("/").status, 200, what)
        s.api("POST", "/v1/flags/f:kill", {"variant": "off"})
        t.equal(s.get("/").status, 404, f"{what}: killed")
        s.api("POST", "/v1/flags/f:restore", {})
        t.equal(s.get("/").status, 200, f"{what}: restored")

    up()
    s.api("PUT", "/v1/flags/f", flag("on"), 201, {"If-None-Match": "*"})
    follows()

    # slow: no answer in time is as no Redis
    ask("CLIENT", "PAUSE", 600000, "ALL")
    t.eventually("too slow", lambda: status("redis") == "down")
    unchanged("slow")
    redis.stop()
    unchanged("gone")
    t.redis(redis.port)
    t.eventually("Redis is up, and empty", lambda: status("redis") == "up")
    unchanged("flushed", writes=None)
    put("on", 200)  # brings the whole set
    follows()

    # messages are lost: the poll finds the change
    ask("CLIENT", "KILL", "TYPE", "pubsub")
    follows()

    # wrong types
    for key in KEYS:
        ask("COPY", key, "{ff:prod}:kept")
        ask("DEL", key)
        ask("SET", key, "nonsense")
        if key == KEYS[1]:
            ask("HINCRBY", KEYS[0], "version", 1)
        t.eventually("it was looked at", lambda: status("stale_ms") > 2500)
        unchanged(f"wrong type of {key}", writes=None)
        ask("RENAME", "{ff:prod}:kept", key)
        ask("HINCRBY", KEYS[0], "version", 100)
        follows()

    # a definition that is no JSON, or no flag: the last good one stays
    for bad in ("{", "{}", "[1]", '{"state":"ENABLED","variants":{}}'):
        ask("HSET", KEYS[1], "f", bad)
        ask("HINCRBY", KEYS[0], "version", 1)
        t.eventually("it is quarantined",
                     lambda: s.api("GET", "/v1/flags")["flags"][0]["quarantine"])
        unchanged(f"bad definition {bad}", writes=None)
        write("on")
        t.eventually("it is good again",
                     lambda: not s.api("GET", "/v1/flags")["flags"][0]["quarantine"])

    # out of memory: what is there can be read, nothing can be written
    ask("CONFIG", "SET", "maxmemory", 1)
    unchanged("out of memory")
    ask("CONFIG", "SET", "maxmemory", 0)
    t.eventually("overrides have arrived", lambda: ask("HLEN", "{ff:prod}:ovr") == b":0\r\n")
    follows()

    # a replica of nobody: READONLY, and stale
    ask("REPLICAOF", "127.0.0.1", 9)
    unchanged("a replica")
    ask("REPLICAOF", "NO", "ONE")
    follows()

    # a failover to a replica that fell behind
    version = ask("HGET", KEYS[0], "version").split(b"\r\n")[1].decode()
    ask("HSET", KEYS[1], "f", json.dumps(flag("off")))
    ask("HSET", KEYS[0], "version", 1)
    t.eventually("it is told", lambda: status("version_regressed"))
    for _ in range(20):
        t.equal(s.get("/").status, 200, "an older version")
    t.check("sluice_flags_version_regressed 1" in s.call("GET", "/metrics").body.decode(), "metric")
    ask("HSET", KEYS[0], "version", version)
    follows()
    t.equal(status("version_regressed"), False)

    # the password has changed: NOAUTH on the next connection
    ask("CONFIG", "SET", "requirepass", "other")
    kill_all(redis.port)
    t.eventually("no access", lambda: status("redis") == "down")
    unchanged("no access")

    t.equal(s.api("GET", "/v1/flags")["env"], "prod")


def kill_all(port):
    """End all connections, with the password."""
    with socket.create_connection(("127.0.0.1", port), 5) as c:
        c.sendall(b"AUTH other\r\nCLIENT KILL SKIPME yes TYPE normal\r\n"
                  b"CLIENT KILL TYPE pubsub\r\n")
        c.recv(100)


story(__doc__, tell)
