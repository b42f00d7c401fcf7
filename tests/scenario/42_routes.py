#!/usr/bin/env python3
"""Routes: wildcard hosts, exact paths and regular expressions, predicates, redirects, fixed
answers, rewritten paths, edited fields, timeouts; the path that goes on is the one matched."""
import json
import pathlib
import subprocess
import time

from harness import eventually, story

ROUTES = [
    {"path": "/", "service": "main"},
    {"path_exact": "/exact", "service": "other"},
    {"host": "*.example.com", "service": "other"},
    {"host": "deep.a.example.com", "path_regex": "^/users/([0-9]+)/(.*)$", "service": "main",
     "rewrite": "/u/$2/$1"},
    {"host": "deep.a.example.com", "path_regex": "^/(a+)+$", "service": "main"},
    {"host": "deep.a.example.com", "path": "/", "service": "other"},
    {"path": "/m", "methods": ["POST", "PUT"], "service": "other"},
    {"path": "/h", "match": {"header": {"x-team": "shop"}}, "service": "other"},
    {"path": "/h", "match": {"header": {"x-team": "shop"}, "query": {"a b": "1&2"}}, "service": "main"},
    {"path": "/c", "match": {"cookie": {"beta": True}}, "service": "other"},
    {"path": "/old/", "redirect": {"to": "https://shop.example.com/new/", "status": 308}},
    {"path": "/root/", "redirect": {"to": "/"}},
    {"path": "/gone", "redirect": {"to": "/new?x=1", "status": 303, "keep": []}},
    {"path": "/fixed", "respond": {"status": 418, "body": "{\"tea\":true}",
                                   "headers": {"Content-Type": "application/json", "X-Pot": "1"}}},
    {"path": "/none", "respond": {"status": 204}},
    {"path": "/api/v1", "service": "main", "rewrite": "/v1/"},
    {"path": "/strict", "service": "main", "escapes": "reject"},
    {"path": "/edit", "service": "main",
     "request_headers": {"set": {"User-Agent": "sluice"}, "add": {"X-Added": "1"}, "remove": ["X-Secret"]},
     "response_headers": {"set": {"X-Version": "hidden"}, "add": {"X-Extra": "2"}, "remove": ["X-Endpoint"]}},
    {"path": "/slow", "service": "main", "timeout": "300ms"},
    {"path": "/slow", "match": {"query": {"long": True}}, "service": "main", "timeout": "5s"},
]


def end_of(s, path):
    def look():
        for line in pathlib.Path(s.access_log).read_text().splitlines():
            if json.loads(line)["path"] == path:
                return json.loads(line)
    return eventually(f"a line of the access log for {path}", look)


def refused(t, s, routes, *words):
    """A config with ROUTES is refused, and the messages hold WORDS."""
    path = s.directory / "bad.jsonc"
    path.write_text(json.dumps({**s.config, "routes": routes}, indent=1))
    p = subprocess.run([s.build / "sluice", "-t", "-c", path], capture_output=True, text=True)
    said = p.stdout + p.stderr
    t.equal(p.returncode, 11, f"exit status for {routes}: {said}")
    for w in words:
        t.check(w in said, f"{w!r} in {said!r}")


def tell(t):
    main, other = t.origin("main"), t.origin("other")
    s = t.sluice(workers=1, routes=ROUTES, services={
        "main": {"versions": {"v": {"endpoints": [main.address]}}, "timeouts": {"request": "2s"}},
        "other": {"versions": {"v": {"endpoints": [other.address]}}}})

    def seen(path, host="x", method="GET", **headers):
        a = s.get(path, method=method, headers={"Host": host, **headers})
        t.equal(a.status, 200, f"{method} {path}")
        return json.loads(a.body)

    def goes(path, version, want=None, **kw):
        got = seen(path, **kw)
        t.equal((got["version"], got["path"]), (version, want or path), f"{path} {kw}")

    goes("/x", "main")
    goes("/exact", "other")
    goes("/exact/", "main")
    goes("/x", "other", host="a.example.com")
    goes("/x", "other", host="b.a.example.com:80")
    goes("/x", "main", host="example.com")
    goes("/users/7/list?q=1", "main", "/u/list/7?q=1", host="deep.a.example.com")
    goes("/users/x/list", "other", host="deep.a.example.com")
    t.equal(s.get("/" + "a" * 60 + "!", headers={"Host": "deep.a.example.com"}).status, 404, "a pattern's limit")
    goes("/m", "main")
    goes("/m", "other", method="PUT")
    goes("/h", "main", **{"X-Team": "none"})
    goes("/h", "other", **{"X-Team": "shop"})
    goes("/h?a%20b=1%262", "main", **{"X-Team": "shop"})
    goes("/c", "main", Cookie="alpha=1")
    goes("/c", "other", Cookie="alpha=1; beta=")

    goes("/a/../exact", "other", "/exact")
    goes("/%65xact?x=%2e", "other", "/exact?x=%2e")
    goes("/a%2fb", "main", "/a%2fb")
    goes("/a%2fb/./c;d", "main", "/a%2Fb/c;d")
    goes("/api/v1/x", "main", "/v1/x")
    goes("/api/v1", "main", "/v1/")
    goes("/api/v1//x?y", "main", "/v1/x?y")
    goes("/strict/a", "main")
    t.equal(s.get("/strict/..%2fadmin").status, 400, "an escaped slash")
    t.equal(s.get("/strict/a%5Cb").status, 400, "an escaped backslash")

    for path, status, location in (
            ("/old/a/b?x=1", 308, "https://shop.example.com/new/a/b?x=1"),
            ("/old/", 308, "https://shop.example.com/new/"),
            ("/root//evil.example", 302, "/evil.example"),
            ("/root/%0d%0aX:1", 302, "/%0D%0AX:1"),
            ("/gone/x?y=2", 303, "/new?x=1")):
        a = s.get(path)
        t.equal((a.status, a.headers.get("location")), (status, location), path)
        t.equal((a.body, a.headers.get("server")), (b"", "sluice"), path)
    a = s.get("/fixed")
    t.equal((a.status, a.body, a.headers["content-type"], a.headers["x-pot"]),
            (418, b'{"tea":true}', "application/json", "1"))
    a = s.get("/fixed", method="HEAD")
    t.equal((a.status, a.body, a.headers["content-length"]), (418, b"", "12"))
    a = s.get("/none", method="POST", body=b"x" * 100000)
    t.equal((a.status, a.headers.get("content-length")), (204, None))
    t.equal(end_of(s, "/fixed")["end"], "responded")
    t.equal(end_of(s, "/old/")["end"], "redirected")

    a = s.get("/edit", headers={"X-Secret": "1", "x-secret": "2", "User-Agent": "curl"})
    up = json.loads(a.body)["headers"]
    t.equal((up.get("user-agent"), up.get("x-added"), up.get("x-secret")), ("sluice", "1", None))
    t.equal((a.headers.get("x-version"), a.headers.get("x-extra"), a.headers.get("x-endpoint")),
            ("hidden", "2", None))

    t.equal(s.get("/slow?ms=1500").status, 504, "the timeout of the route")
    t.equal(end_of(s, "/slow?ms=1500")["end"], "request_timeout")
    t.equal(s.get("/slow?ms=500&long").status, 200, "another route, another timeout")
    t.equal(s.get("/slow/../slow?ms=500&long").status, 200)
    main.latency = 3
    t.equal(s.get("/x").status, 504, "the timeout of the service")
    main.latency = 0

    to = {"service": "main"}
    refused(t, s, [{"path_regex": "/(a", **to}], "/routes/0/path_regex", "missing closing parenthesis", "character 4")
    refused(t, s, [{"path": "/", "path_exact": "/a", **to}], "give one of \"path\"")
    refused(t, s, [{"path": "/"}], "give one of \"service\"")
    refused(t, s, [{"redirect": {"to": "//evil"}}, {"path": "/b", "redirect": {"to": "https://host"}}],
            "/routes/0/redirect/to", "/routes/1/redirect/to", "https://host/path")
    refused(t, s, [{"redirect": {"to": "/x", "status": 305}}], "must be 301")
    refused(t, s, [{"respond": {"status": 204, "body": "x"}}], "has no body")
    refused(t, s, [{**to, "request_headers": {"set": {"Transfer_Encoding": "x", "X-Forwarded-For": "1", "A": " x"}}}],
            "/set/Transfer_Encoding: a header field that only the proxy writes", "/set/X-Forwarded-For",
            "/set/A: a value")
    refused(t, s, [{**to, "response_headers": {"add": {"X": "a\r\nb"}, "remove": ["connection"]}}],
            "/add/X", "/remove/0: a header field that only")
    refused(t, s, [{"redirect": {"to": "/x"}, "rewrite": "/y"}], "only for routes to a service")


story(__doc__, tell)
