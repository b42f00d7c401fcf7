#!/usr/bin/env python3
"""A version whose calls fail by a grpc-status in their trailers, under HTTP 200, is taken back by the
judge: deploy --wait exits 3. One that fails in a way that is the client's business is let through."""
import shutil

from harness import Peer, Process, Skip, free_port, story

LOAD = """
const http2 = require("http2");
const session = http2.connect(process.argv[1]);
session.on("error", () => process.exit(1));
function call() {
  const req = session.request({ ":method": "POST", ":path": "/shop.Cart/Add", te: "trailers",
    "content-type": "application/grpc" });
  req.on("error", () => {});
  req.on("data", () => {});
  req.on("close", () => setTimeout(call, 20));
  req.end(Buffer.from([0, 0, 0, 0, 0]));
}
for (let i = 0; i < 8; i++) call();
"""


class Service(Peer):
    """Every call is answered with a message, then this status; every FAILING-th with that one."""

    def __init__(self, status=0, failing=3):
        self.status, self.failing, self.calls = status, failing, 0
        super().__init__()

    def serve(self, conn):
        f = conn.makefile("rb")
        with conn:
            while line := f.readline():
                while line not in (b"\r\n", b""):
                    line = f.readline()
                try:
                    while (n := int(f.readline(), 16)):
                        f.read(n + 2)
                    f.readline()
                    self.calls += 1
                    status = 0 if self.calls % self.failing else self.status
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: "
                                 b"chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\nGrpc-Status: %d\r\n\r\n" % status)
                except (OSError, ValueError):
                    return


def tell(t):
    if not shutil.which("node"):
        raise Skip("there is no node")
    good, broken, picky = Service(), Service(status=13), Service(status=5)
    t.started += [good, broken, picky]
    port = free_port()
    s = t.sluice(listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]}},
                 services={"shop": {"versions": {"v1": {"endpoints": [good.address]}}}})
    t.started.append(Process("load", ["node", "-e", LOAD, f"http://127.0.0.1:{port}"], t.directory))
    t.eventually("calls are answered", lambda: good.calls > 20)

    run = s.ctl("deploy", "shop", "--version", "broken", "--endpoint", broken.address, "--steps", "20,100",
                "--hold", "60s", "--warmup", "1s", "--wait", timeout=200)
    t.say(run.stdout + run.stderr)
    t.equal(run.returncode, 3, "deploy --wait of a version that fails as INTERNAL")
    r = next(x for x in s.api("GET", "/v1/rollouts")["rollouts"] if x["version"] == "broken")
    t.equal((r["state"], r["result"]["class"]), ("reverted", "error"), "how it ended")
    t.equal(s.api("GET", "/v1/services/shop/weights")["weights"]["broken"], 0, "its weight")
    failed = 'sluice_grpc_requests_total{service="shop",version="broken",grpc_status="13"}'
    t.check(s.metrics().get(failed, 0) >= 5, "calls that failed are counted")

    run = s.ctl("deploy", "shop", "--version", "picky", "--endpoint", picky.address, "--steps", "50,100",
                "--hold", "3s", "--warmup", "2s", "--wait", timeout=200)
    t.say(run.stdout + run.stderr)
    t.equal(run.returncode, 0, "deploy --wait of a version that says NOT_FOUND")


if __name__ == "__main__":
    story(__doc__, tell)
