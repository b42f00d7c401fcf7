#!/usr/bin/env python3
"""Redis over TLS, with a certificate on either side and a user who may do no more than the manual
says: flags come, changes go, hints arrive; whoever shows a certificate that nobody vouches for is not
spoken to, and flags stay as they were; a reload that trusts another one acts at once."""
import importlib
import pathlib
import re
import subprocess

from harness import Process, free_port, story

pki = importlib.import_module("27_tls").pki
ROOT = pathlib.Path(__file__).resolve().parents[2]


def rights():
    """What the user of Redis may do, as the manual says."""
    text = (ROOT / "config" / "sluice.jsonc.5").read_text()
    rule = text[text.index("ACL SETUSER sluice on"):].split(".Ed")[0]
    return " ".join(rule.split()).replace("ACL SETUSER", "user").replace("PASSWORD", "pass%word")


def tell(t):
    issue = pki(t.directory)
    cert, ours = issue("redis", "127.0.0.1"), issue("proxy", "proxy")
    stranger = issue("stranger", "127.0.0.1", ca="other-ca")
    secure = free_port()
    acl = t.directory / "users.acl"
    acl.write_text("user default off\nuser admin on >root ~* &* +@all\n" + rights() + "\n")

    def server(pair, name):
        p = Process(name, ["redis-server", "--port", "0", "--tls-port", str(secure), "--bind", "127.0.0.1", "--save", "",
                           "--tls-cert-file", str(t.directory / pair["cert"]), "--tls-key-file", str(t.directory / pair["key"]),
                           "--tls-ca-cert-file", str(t.directory / "ca.pem"), "--tls-auth-clients", "yes",
                           "--aclfile", str(acl)], t.directory)
        t.started.append(p)
        return p

    def cli(*words):
        r = subprocess.run(["redis-cli", "-p", str(secure), "--tls", "--cacert", str(t.directory / "ca.pem"),
                            "--cert", str(t.directory / ours["cert"]), "--key", str(t.directory / ours["key"]),
                            "--user", "admin", "--pass", "root", "--no-auth-warning", *words],
                           capture_output=True, text=True, timeout=30, check=False)
        return r.stdout.strip()

    redis = server(cert, "redis")
    t.eventually("redis-server is up", lambda: cli("PING") == "PONG")
    origin = t.origin("v1")
    tls = {"ca": "ca.pem", **ours}
    flags = {"redis": f"rediss://sluice:pass%25word@127.0.0.1:{secure}/0", "tls": tls, "env": "prod"}
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [origin.address]}}}},
                 routes=[{"flag": {"key": "f", "variant": "on"}, "path": "/", "service": "shop"}], flags=flags)

    def redis_is(what):
        t.eventually(f"Redis is {what}", lambda: s.status()["flags"]["redis"] == what)

    def flag(variant):
        return {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": variant}

    def reload(**more):
        s.config["flags"] = {**flags, "tls": {**tls, **more}}
        s.write_config()
        s.api("POST", "/v1/config:reload")

    redis_is("up")
    s.api("PUT", "/v1/flags/f", flag("on"), 201, {"If-None-Match": "*"})
    t.equal(s.get("/").status, 200, "the flag is on")
    s.api("POST", "/v1/flags/f:kill", {"variant": "off"})
    t.equal(s.get("/").status, 404, "killed")
    t.eventually("the kill is in Redis", lambda: cli("HLEN", "{ff:prod}:ovr") == "1")
    s.api("POST", "/v1/flags/f:restore", {})
    t.eventually("and no more", lambda: cli("HLEN", "{ff:prod}:ovr") == "0")
    t.check(cli("CLIENT", "LIST").count("user=sluice") >= 2, "one for commands, one for hints")
    denied = cli("ACL", "LOG")
    t.check("sluice" not in denied, f"nothing was refused: {denied}")
    names = s.status()["certificates"]
    t.check(any(c.get("flags") == "redis" for c in names), f"our certificate is watched: {names}")
    t.check(re.search(r'^sluice_certificate_expiry_seconds\{[^}]*"flags redis"', s.call("GET", "/metrics").body.decode(), re.M), "metric")

    t.say("another CA is trusted from now on: the connection ends, flags stay")
    reload(ca="other-ca.pem")
    redis_is("down")
    for _ in range(20):
        t.equal(s.get("/").status, 200, "the last good flags")
    t.eventually("the log says why", lambda: "TLS to an endpoint of Redis failed" in s.log())
    reload()
    redis_is("up")
    s.api("PUT", "/v1/flags/f", flag("off"), 200, {"If-Match": "*"})
    t.eventually("changes go again", lambda: s.get("/").status == 404)

    t.say("a stranger in its place is told nothing")
    redis.stop()
    server(stranger, "stranger")
    redis_is("down")
    t.equal(s.get("/").status, 404, "as it was")
    t.eventually("the stranger is up", lambda: cli("--insecure", "PING") == "PONG")
    redis_is("down")
    stats = cli("--insecure", "INFO", "commandstats")
    t.check("cmdstat_auth" in stats and "cmdstat_select" not in stats, f"no greeting but our own: {stats}")

    t.say("mistakes")
    for wrong, why in (({"redis": "redis://127.0.0.1", "tls": tls}, "rediss://"),
                       ({"redis": "rediss://127.0.0.1", "tls": {"ca": "ca.pem", "cert": ours["cert"]}}, "belong together"),
                       ({"redis": "rediss://127.0.0.1", "tls": {"ca": "absent.pem"}}, "absent.pem")):
        s.config["flags"] = wrong
        s.write_config()
        a = s.call("POST", "/v1/config:reload")
        t.check(a.status == 422 and why in a.body.decode(), f"{wrong}: {a}")


story(__doc__, tell)
