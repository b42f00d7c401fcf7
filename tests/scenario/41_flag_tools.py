#!/usr/bin/env python3
"""Flags under review: a batch is all or nothing, validate warns, explain says which rule decided,
simulate how many users move, an override is for some, the log knows who, export is flagd's."""
import json

from harness import story


def split(*buckets, **more):
    return {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
            "targeting": {"fractional": [list(b) for b in buckets]}, **more}


def tell(t):
    origin = t.origin("v1")
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [origin.address]}}}},
                 routes=[{"path": "/", "service": "shop"}],
                 flags={"env": "prod", "targeting_key": ["header:x-user"]})

    def file(name, doc):
        path = t.directory / name
        path.write_text(json.dumps(doc))
        return path

    def ctl(*args, code=0):
        r = s.ctl(*map(str, args))
        t.equal(r.returncode, code, f"{args}: {r.stderr}")
        return r.stdout

    def variant(key, user):
        r = s.api("POST", f"/ofrep/v1/evaluate/flags/{key}", {"context": {"targetingKey": user}})
        return r.get("variant")

    # a batch: all or nothing, for the version that was seen
    ten = split(("on", 10), ("off", 90))
    plain = {"state": "ENABLED", "variants": {"a": "A", "b": "B"}, "defaultVariant": "b",
             "metadata": {"proxy.needs": "ten=on"}}
    t.equal(s.call("POST", "/v1/flags:publish", {"flags": {"ten": ten}}).status, 428)
    t.equal(s.call("POST", "/v1/flags:publish", {"flags": {"ten": ten}},
                   {"If-Match": '"x-9"'}).status, 412)
    bad = {"ten": ten, "broken": {"state": "?"}}
    tag = s.call("GET", "/v1/flags").headers["etag"]
    t.equal(s.call("POST", "/v1/flags:publish", {"flags": bad}, {"If-Match": tag}).status, 422)
    t.equal(s.api("GET", "/v1/flags")["flags"], [])
    t.equal(s.api("POST", "/v1/flags:publish", {"flags": {"ten": ten, "plain": plain}}, 200,
                  {"If-Match": tag}), {"changed": 2})
    t.equal(s.call("POST", "/v1/flags:publish", {"flags": {"ten": None}},
                   {"If-Match": tag}).status, 412, "the tag is an old one")
    t.equal(sorted(f["key"] for f in s.api("GET", "/v1/flags")["flags"]), ["plain", "ten"])
    # what would break another flag is refused
    t.equal(s.call("PUT", "/v1/flags/ten", split(("on", 10), ("off", 90), metadata={
        "proxy.needs": "plain=a"}), {"If-Match": "*"}).status, 422)

    # validate
    doc = {"flags": {"ten": split(("off", 90), ("on", 10)), "broken": {"state": "?"},
                     "plain": {"state": "ENABLED", "variants": {"a": 1}, "metadata": {
                         "proxy.needs": "gone=on", "proxy.expires": "2020-01-01T00:00:00Z"}}}}
    v = s.api("POST", "/v1/flags:validate", doc)
    t.equal((v["valid"], [e["flag"] for e in v["errors"]]), (False, ["broken"]))
    t.equal(sorted((w["flag"], w["code"]) for w in v["warnings"]),
            [("plain", "expired"), ("plain", "needs_unknown"), ("plain", "type_changed"),
             ("plain", "variant_removed"), ("ten", "reordered")])
    v = s.api("POST", "/v1/flags:validate", {"flags": {"ten": split(("on", 1.5), ("off", 1))}})
    t.equal((v["valid"], [w["code"] for w in v["warnings"]]), (True, ["schema"]))
    t.equal(ctl("flag", "validate", file("bad.json", doc), code=1).count("\n"), 6)
    ctl("flag", "validate", file("good.json", {"flags": {"ten": ten}}))

    # simulate: growth moves nobody back
    grown = file("grown.json", split(("on", 30), ("off", 70)))
    sim = s.api("POST", "/v1/flags/ten:simulate", {"flag": json.loads(grown.read_text())})
    t.equal([(m["from"], m["to"]) for m in sim["moves"]], [("off", "on")])
    t.check(1800 < sim["moved"] < 2200, f"moved {sim['moved']}")
    t.equal(sim["after"]["on"] - sim["before"]["on"], sim["moved"])
    t.check("users move" in ctl("flag", "simulate", "ten", "-f", grown, "--users", "1000"), "ctl")
    t.equal(s.call("POST", "/v1/flags/ten:simulate", {"users": 1000000}).status, 400)

    # explain
    on = next(f"u{i}" for i in range(1000) if variant("ten", f"u{i}") == "on")
    e = s.api("POST", "/v1/flags/ten:explain", {"context": {"targetingKey": on}})
    t.equal((e["variant"], e["reason"], e["decided_by"]), ("on", "TARGETING_MATCH", "targeting"))
    t.equal((e["steps"][0]["op"], e["steps"][0]["value"]), ("fractional", "on"))
    t.check(e["steps"][0]["hash"] < 0.1 * 2**32, "the hash is in the first tenth")
    e = s.api("POST", "/v1/flags/plain:explain", {"context": {}})
    t.equal((e["decided_by"], e["needs"][0]["gets"], e["variant"]), ("needs", "off", "b"))
    t.equal(s.call("POST", "/v1/flags/none:explain", {}).status, 404)
    rule = {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", {"==": [{"var": "x"}, 1]}, "on", "off"]}
    s.api("PUT", "/v1/flags/ten", {**ten, "targeting": rule}, 200, {"If-Match": "*"})
    text = ctl("flag", "explain", "ten", "--context", '{"plan":"pro"}')
    t.check("decided by targeting" in text and 'var plan = "pro"' in text and "var x" not in text,
            text)
    s.api("PUT", "/v1/flags/ten", ten, 200, {"If-Match": "*"})

    # an override for some
    off = next(f"u{i}" for i in range(1000) if variant("ten", f"u{i}") == "off")
    other = next(f"w{i}" for i in range(1000) if variant("ten", f"w{i}") == "off")
    ctl("flag", "override", "ten", "--variant", "on", "--values", f"nobody,{off}", "--reason", "QA")
    t.equal((variant("ten", off), variant("ten", other), variant("ten", on)), ("on", "off", "on"))
    e = s.api("POST", "/v1/flags/ten:explain", {"context": {"targetingKey": off}})
    t.equal(e["decided_by"], "override")
    t.equal(s.call("POST", "/v1/flags/ten:override", {"variant": "on", "targets": {}}).status, 400)
    export = s.call("GET", "/v1/flags:export?apply_overrides=1")
    t.check("targeting" in json.loads(export.body)["flags"]["ten"], "not for everybody")
    s.api("POST", "/v1/flags/ten:kill", {"variant": "off"})
    t.equal(variant("ten", on), "off")

    # export: as defined, or as it is now
    plainly = s.call("GET", "/v1/flags:export")
    t.equal(json.loads(plainly.body)["flags"]["ten"], ten)
    killed = s.call("GET", "/v1/flags:export?apply_overrides=1")
    t.check("targeting" not in json.loads(killed.body)["flags"]["ten"], "killed")
    t.equal(s.call("GET", "/v1/flags:export",
                   headers={"If-None-Match": plainly.headers["etag"]}).status, 304)
    t.equal(json.loads(ctl("flag", "export")), json.loads(plainly.body))
    ctl("flag", "restore", "ten")

    # what was exported can be published; null deletes
    ctl("flag", "publish", file("export.json", json.loads(plainly.body)))
    ctl("flag", "publish", file("gone.json", {"flags": {"plain": None}}))
    t.equal(s.call("GET", "/v1/flags/plain").status, 404)

    # the split, as a rollout sets it: the order of the buckets stays, and it can be taken back
    s.api("POST", "/v1/flags/ten:split", {"weights": {"off": 60, "on": 40}, "reason": "step 2"})
    grown = s.api("GET", "/v1/flags/ten")["flag"]
    t.equal(grown["targeting"]["fractional"], [["on", 40], ["off", 60]])
    t.equal({k: v for k, v in grown.items() if k != "targeting"},
            {k: v for k, v in ten.items() if k != "targeting"})
    t.equal(variant("ten", on), "on", "nobody moves back")
    t.equal(s.call("POST", "/v1/flags/ten:split", {"weights": {"blue": 1}}).status, 422)
    t.equal(s.call("POST", "/v1/flags/ten:split", {"weights": {"on": -1}}).status, 400)
    step = s.api("GET", "/v1/flags:log")["log"][-1]
    t.equal((step["why"], step["before"], step["after"]), ("step 2", ten, grown))
    s.api("PUT", "/v1/flags/ten", step["before"], 200, {"If-Match": "*"})

    # the log
    log = s.api("GET", "/v1/flags:log")["log"]
    t.equal([r["what"] for r in log if r["flag"] == "plain"],
            ["flag.put", "flag.put", "flag.delete"])
    deleted = next(r for r in log if r["what"] == "flag.delete")
    t.equal(deleted["before"]["variants"], plain["variants"])
    killed = next(r for r in log if r["what"] == "flag.killed" and r["why"] == "QA")
    t.equal(killed["after"]["targets"]["values"], ["nobody", off])
    t.equal(s.api("GET", "/v1/flags:log?limit=2")["log"], log[:2])
    t.equal(s.api("GET", f"/v1/flags:log?since={log[1]['seq']}")["log"], log[2:])
    t.check("QA" in ctl("flag", "log"), "the log for people")


story(__doc__, tell)
