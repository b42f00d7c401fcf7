#!/usr/bin/env python3
"""Health checks by path of servers that speak HTTP/2 only, plain and with TLS: asked as traffic asks
them, up while they answer with 2xx, down when they do not, and up again."""
import importlib
import json
import shutil
import urllib.request

from harness import Process, Skip, free_port, story

SERVER = r"""
const http2 = require("http2"), http = require("http"), fs = require("fs");
const [port, knob, key, cert] = process.argv.slice(1);
const state = { status: 200, checks: 0 };
const server = key ? http2.createSecureServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) })
                   : http2.createServer();
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  if (headers[":path"] === "/up") state.checks++;
  stream.respond({ ":status": headers[":path"] === "/up" ? state.status : 200 });
  stream.end("ok");
});
server.listen(+port, "127.0.0.1");
http.createServer((req, res) => {  // PUT sets the status, GET tells
  if (req.method === "PUT") state.status = +req.url.slice(1);
  res.end(JSON.stringify(state));
}).listen(+knob, "127.0.0.1");
"""


class Server:
    def __init__(self, t, name, *pair):
        self.port, self.knob = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        p = Process(name, ["node", "-e", SERVER, str(self.port), str(self.knob), *map(str, pair)], t.directory)
        t.started.append(p)
        t.processes.append(p)
        t.eventually(f"{name} is up", lambda: self.ask() is not None)

    def ask(self, method="GET", path="/"):
        req = urllib.request.Request(f"http://127.0.0.1:{self.knob}{path}", method=method)
        with urllib.request.urlopen(req, timeout=10) as r:
            return json.load(r)


def tell(t):
    if not shutil.which("node"):
        raise Skip("there is no node")
    pair = importlib.import_module("27_tls").pki(t.directory)("web", "127.0.0.1")
    servers = {"plain": Server(t, "plain"), "secure": Server(t, "secure", pair["key"], pair["cert"])}
    check = {"path": "/up", "interval": "100ms", "rise": 1, "fall": 1}
    more = {"plain": ("h2c", {}), "secure": ("h2", {"tls": {"verify": "none"}})}
    s = t.sluice(services={k: {"versions": {"v1": {"endpoints": [v.address], "protocol": more[k][0]}},
                               "health": check, **more[k][1]} for k, v in servers.items()},
                 routes=[{"path": f"/{k}", "service": k} for k in servers])

    def of(k):
        return s.api("GET", f"/v1/services/{k}")["versions"][0]["endpoints"][0]

    for k, server in servers.items():
        t.say(k)
        t.eventually("it is asked", lambda: server.ask()["checks"] >= 3)
        t.equal((of(k)["up"], of(k)["last_error"]), (True, None), "it is up")
        t.equal(s.get(f"/{k}").status, 200, "traffic")
        server.ask("PUT", "/500")
        t.eventually("it is down", lambda: not of(k)["up"])
        t.check("500" in of(k)["last_error"], f"for its answer: {of(k)['last_error']}")
        server.ask("PUT", "/204")
        t.eventually("it is up again", lambda: of(k)["up"])


if __name__ == "__main__":
    story(__doc__, tell)
