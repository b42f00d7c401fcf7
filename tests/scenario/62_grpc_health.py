#!/usr/bin/env python3
"""Health by the gRPC health protocol: over HTTP/2, plain and with TLS, of the server or of one of
its services. Not serving, an unknown service, a server of another kind: each has its reason."""
import importlib
import json
import shutil
import urllib.request

from harness import Process, Skip, free_port, story

SERVER = r"""
const http2 = require("http2"), http = require("http"), fs = require("fs");
const [port, knob, key, cert] = process.argv.slice(1);
const state = { "": 1, "shop.Cart": 1 };  // SERVING
const seen = [];
const server = key ? http2.createSecureServer({ key: fs.readFileSync(key), cert: fs.readFileSync(cert) })
                   : http2.createServer();
server.on("stream", (stream, headers) => {
  const parts = [];
  stream.on("error", () => {});
  stream.on("data", (d) => parts.push(d));
  stream.on("end", () => {
    const body = Buffer.concat(parts), name = body.length > 7 ? body.subarray(7).toString() : "";
    seen.push([headers[":method"], headers[":path"], headers["content-type"], headers.te, body.toString("hex")]);
    if (state[name] === undefined) {
      stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "5" }, { endStream: true });
      return;
    }
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, state[name]]));
  });
});
server.listen(+port, "127.0.0.1");
http.createServer((req, res) => {  // POST sets, GET tells
  const parts = [];
  req.on("data", (d) => parts.push(d));
  req.on("end", () => {
    if (parts.length) Object.assign(state, JSON.parse(Buffer.concat(parts)));
    res.end(JSON.stringify(seen));
  });
}).listen(+knob, "127.0.0.1");
"""


class Server:
    def __init__(self, t, name, key="", cert=""):
        self.port, self.knob = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        p = Process(name, ["node", "-e", SERVER, str(self.port), str(self.knob), *filter(None, [str(key), str(cert)])],
                    t.directory)
        t.started.append(p)
        t.processes.append(p)
        t.eventually(f"{name} is up", lambda: self.seen() is not None)

    def seen(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.knob}/", timeout=10) as r:
            return json.load(r)

    def set(self, **state):
        body = json.dumps({k.replace("_", "."): v for k, v in state.items()}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{self.knob}/", data=body, timeout=10).close()


def tell(t):
    if not shutil.which("node"):
        raise Skip("there is no node")
    cert, key = (importlib.import_module("27_tls").pki(t.directory)("web", "127.0.0.1")[k] for k in ("cert", "key"))
    plain, secure = Server(t, "plain"), Server(t, "secure", key, cert)
    other = t.origin("other")
    check = {"by": "grpc", "interval": "100ms", "rise": 1, "fall": 1}
    s = t.sluice(services={
        "all": {"versions": {"v1": {"endpoints": [plain.address]}}, "health": check},
        "cart": {"versions": {"v1": {"endpoints": [plain.address]}}, "health": {**check, "service": "shop.Cart"}},
        "none": {"versions": {"v1": {"endpoints": [plain.address]}}, "health": {**check, "service": "shop.None"}},
        "tls": {"versions": {"v1": {"endpoints": [secure.address]}}, "health": check,
                "tls": {"verify": "none"}},
        "other": {"versions": {"v1": {"endpoints": [other.address]}}, "health": check}})

    def of(service):
        return s.api("GET", f"/v1/services/{service}")["versions"][0]["endpoints"][0]

    def becomes(service, up):
        t.eventually(f"{service}: up is {up}", lambda: of(service)["up"] == up)
    t.say("who is up")
    for service in ("none", "other"):
        becomes(service, False)
    t.eventually("every server was asked", lambda: plain.seen() and secure.seen())
    for service in ("all", "cart", "tls"):
        t.equal((of(service)["up"], of(service)["last_error"]), (True, None), service)
    t.equal(of("none")["last_error"], "grpc-status 5", "the reason")
    t.check(of("other")["last_error"], "a server of HTTP/1.1 has a reason too")
    t.check(["POST", "/grpc.health.v1.Health/Check", "application/grpc", "trailers", "0000000000"]
            in plain.seen(), f"the question: {plain.seen()[:3]}")
    t.eventually("the name was asked for", lambda: any(row[4] == "000000000b0a09" + b"shop.Cart".hex() for row in plain.seen()))
    t.say("one service stops serving")
    plain.set(shop_Cart=2)
    becomes("cart", False)
    t.equal((of("cart")["last_error"], of("all")["up"]), ("not serving", True), "only that one")
    plain.set(shop_Cart=1)
    becomes("cart", True)


if __name__ == "__main__":
    story(__doc__, tell)
