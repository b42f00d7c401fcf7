#!/usr/bin/env python3
"""SIGTERM while clients come and go, one request a connection: whoever got a connection gets an
answer, over HTTP/1.1, over TLS and behind a PROXY header; the others are refused."""
import signal
import socket
import ssl
import subprocess
import threading

from harness import free_port, story

REQUEST = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"


class Newcomers:
    """Ask on a connection of its own each time until nobody listens any more."""

    def __init__(self, port, first=b"", tls=None):
        self.port, self.first, self.tls = port, first, tls
        self.answered, self.failed = 0, []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                conn = socket.create_connection(("127.0.0.1", self.port), timeout=90)
            except ConnectionRefusedError:
                return
            try:
                conn.sendall(self.first)
                if self.tls:
                    conn = self.tls.wrap_socket(conn, server_hostname="shop")
                conn.sendall(REQUEST)
                answer = b""
                while b"\r\n\r\n" not in answer and (more := conn.recv(4096)):
                    answer += more
                if answer.startswith(b"HTTP/1.1 200 "):
                    self.answered += 1
                else:
                    self.failed.append(repr(answer[:80]))
            except OSError as e:
                self.failed.append(repr(e))
            finally:
                conn.close()


def tell(t):
    v1 = t.origin("v1")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=shop", "-addext", "subjectAltName=DNS:shop", "-keyout",
                    "shop.key", "-out", "shop.pem"], cwd=t.directory, check=True, capture_output=True)
    ports = {name: free_port() for name in ("plain", "tls", "behind")}
    tls = ssl.create_default_context(cafile=t.directory / "shop.pem")
    for n in range(3):
        s = t.sluice(drain="60s",
                     listeners={"plain": {"address": f"127.0.0.1:{ports['plain']}"},
                                "tls": {"address": f"127.0.0.1:{ports['tls']}",
                                        "tls": {"certificates": [{"cert": "shop.pem", "key": "shop.key"}]}},
                                "behind": {"address": f"127.0.0.1:{ports['behind']}",
                                           "proxy_protocol": {"from": ["127.0.0.0/8"]}}},
                     services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
        clients = [c for _ in range(4) for c in (
            Newcomers(ports["plain"]), Newcomers(ports["tls"], tls=tls),
            Newcomers(ports["behind"], b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"))]
        t.eventually("every client was answered", lambda: all(c.answered > 20 for c in clients))
        s.signal(signal.SIGTERM)
        for c in clients:
            c.thread.join(90)
        t.check(not any(c.thread.is_alive() for c in clients), "a client waits forever")
        t.equal([f for c in clients for f in c.failed], [], f"failures in drain {n}")
        t.equal(s.wait(90), 0, "exit status")


story(__doc__, tell)
