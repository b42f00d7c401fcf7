#!/usr/bin/env python3
"""Endpoints that are UNIX sockets, in the file and through the API: served, health-checked,
drained, and gone when their process is."""
import http.server
import os
import socketserver
import threading
import urllib.parse

from harness import story


class Local:
    """One endpoint on a socket file; answers with its name."""

    def __init__(self, path):
        self.path, self.address, self.up, self.hosts = str(path), f"unix:{path}", True, set()
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, wbufsize = "HTTP/1.1", -1

            def do_GET(self):
                origin.hosts.add(self.headers["host"])
                self.send_response(200 if origin.up or self.path != "/up" else 503)
                self.send_header("content-length", "0")
                self.send_header("x-endpoint", origin.address)
                self.end_headers()

            def address_string(self):
                return "local"

            def log_message(self, *args):
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            request_queue_size, daemon_threads = 128, True

            def handle_error(self, *args):
                pass

        self.server = Server(self.path, Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            os.unlink(self.path)
        self.server = None


def tell(t):
    a, b, c = (Local(t.directory / f"{name}.sock") for name in "abc")
    t.started += [a, b, c]
    s = t.sluice(services={"shop": {"balance": "round_robin",
        "versions": {"v1": {"endpoints": [a.address, b.address]}},
        "health": {"path": "/up", "interval": "100ms", "rise": 1, "fall": 1}}})

    def served(n=20):
        answers = [s.get("/") for _ in range(n)]
        t.equal({x.status for x in answers}, {200})
        return {x.headers["x-endpoint"] for x in answers}

    t.eventually("both serve", lambda: served() == {a.address, b.address})
    a.up = False
    t.eventually("what is not healthy gets nothing", lambda: served() == {b.address})
    a.up = True
    t.eventually("and comes back", lambda: served() == {a.address, b.address})

    quoted = urllib.parse.quote(a.address, safe="")
    s.api("POST", f"/v1/services/shop/versions/v1/endpoints/{quoted}:drain", {})
    t.eventually("only one serves", lambda: served() == {b.address})
    s.api("POST", f"/v1/services/shop/versions/v1/endpoints/{quoted}:ready", {})
    t.eventually("both serve", lambda: served() == {a.address, b.address})

    s.api("PUT", "/v1/services/shop/versions/v2", {"endpoints": [c.address]}, want=201)
    s.api("PUT", "/v1/services/shop/weights", {"v1": 0, "v2": 100})
    t.eventually("only one serves", lambda: served() == {c.address})
    for bad in ("unix:relative.sock", "unix:/" + "x" * 120, "srv:localhost"):
        s.api("PUT", "/v1/services/shop/versions/v3", {"endpoints": [bad]}, want=400)
    t.eventually("a check comes, and names a host", lambda: "localhost" in c.hosts)
    c.stop()
    t.eventually("a dead one is down", lambda: s.get("/").status == 503)
    up = s.metrics()
    t.equal(up[f'sluice_endpoint_up{{service="shop",version="v2",endpoint="{c.address}"}}'], 0)
    t.equal(up[f'sluice_endpoint_up{{service="shop",version="v1",endpoint="{a.address}"}}'], 1)


story(__doc__, tell)
