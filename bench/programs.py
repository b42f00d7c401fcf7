"""The programs that the bench compares: how each is set up and watched.

A program listens on `port` for plain HTTP and on `tls_port` for TLS, pinned to a core. All of
them show one certificate (ECDSA P-256) and take TLS_AES_128_GCM_SHA256 over X25519.
"""
import json
import os
import pathlib
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

os.environ["PATH"] += ":/usr/sbin:/sbin"
TICK = os.sysconf("SC_CLK_TCK")
SUITE = "TLS_AES_128_GCM_SHA256"
FLAGS = {"flags": {"new": {"state": "ENABLED", "variants": {"on": True, "off": False},
                           "defaultVariant": "off",
                           "targeting": {"if": [{"in": [{"var": "targetingKey"},
                                                        ["u1", "u2"]]}, "on", "off"]}}}}
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
MOST = min(15000, FILES // 2 - 50)  # HAProxy wants two descriptors for each


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """PID and all its descendants."""
    children = {}
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                parent = int((p / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(p.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def certificate(dir):
    """bench.pem and bench.key, and both in one file for HAProxy."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bench",
                    "-addext", "subjectAltName=DNS:bench", "-keyout", dir / "bench.key", "-out",
                    dir / "bench.pem"], check=True, capture_output=True)
    (dir / "both.pem").write_text((dir / "bench.pem").read_text()
                                  + (dir / "bench.key").read_text())
    return dir / "bench.pem", dir / "bench.key", dir / "both.pem"


def blind_context():
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def cpu_us(pid):
    """User + system microseconds of the tree, in clock ticks of 10 ms."""
    total = 0.0
    for p in tree(pid):
        try:
            fields = pathlib.Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) * 1e6 / TICK
    return total


class Program:
    """A proxy (or the origin) that listens on its ports until stop()."""

    def __init__(self, name, core, argv, log, port, tls_port=None):
        self.name, self.port, self.tls_port = name, port, tls_port
        self.log = open(log, "wb")
        self.process = subprocess.Popen(["taskset", "-c", str(core), *map(str, argv)],
                                        stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL)

    def url(self, path, tls=False):
        return f"https://127.0.0.1:{self.tls_port}{path}" if tls else \
            f"http://127.0.0.1:{self.port}{path}"

    def ready(self, tls=False):
        end = time.monotonic() + 15
        while True:
            try:
                with urllib.request.urlopen(self.url("/128", tls), timeout=2,
                                            context=blind_context() if tls else None) as r:
                    if len(r.read()) == 128:
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"bench: {self.name} does not answer, see {self.log.name}:\n"
                         + pathlib.Path(self.log.name).read_text()[-2000:])
            time.sleep(0.05)

    def busiest(self):
        """The process of the tree that has used most CPU: the one that moves the bytes."""
        def used(pid):
            try:
                f = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                return int(f[11]) + int(f[12])
            except OSError:
                return -1
        return max(tree(self.process.pid), key=used)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def haproxy(dir, port, tls_port, origin, both):
    conf = dir / "haproxy.cfg"
    conf.write_text(f"""
global
    nbthread 1
    ssl-default-bind-ciphersuites {SUITE}
    maxconn {MOST}
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:{port}
    bind 127.0.0.1:{tls_port} ssl crt {both} alpn h2,http/1.1
    default_backend origin
backend origin
    server o1 127.0.0.1:{origin}
""")
    return ["haproxy", "-db", "-f", conf]


def nginx(dir, port, tls_port, origin, cert, key):
    conf = dir / "nginx.conf"
    conf.write_text(f"""
worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.err;
events {{ worker_connections 16000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    client_body_buffer_size 64k;
    client_max_body_size 0;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 512;
                       keepalive_requests 1000000000; }}
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {SUITE};
    ssl_session_cache shared:tls:10m;
    server {{
        listen 127.0.0.1:{port} reuseport;
        listen 127.0.0.1:{tls_port} ssl http2 reuseport;
        location / {{ proxy_pass http://origin; proxy_http_version 1.1;
                      proxy_set_header Connection ""; proxy_request_buffering off; proxy_max_temp_file_size 0;
                      proxy_buffer_size 16k; proxy_buffers 8 16k;
                      proxy_busy_buffers_size 64k; }}
    }}
}}
""")
    return ["nginx", "-e", dir / "nginx.err", "-c", conf]


def sluice(dir, port, tls_port, origin, build, pair, full=False, **more):
    endpoints = {"endpoints": [f"127.0.0.1:{origin}"]}
    shop = {"versions": {"v1": endpoints}}
    route = {"path": "/", "service": "shop"}
    if full:
        (dir / "flags.json").write_text(json.dumps(FLAGS))
        shop = {"versions": {"v1": endpoints, "v2": endpoints},
                "weights": {"v1": 90, "v2": 10},
                "sticky": {"by": "cookie", "name": "sluice_shop"}}
        more["flags"] = {"env": "bench", "bootstrap": "flags.json",
                         "targeting_key": ["cookie:uid"]}
    conf = dir / "sluice.jsonc"
    conf.write_text(json.dumps({
        "version": 1, "workers": 1, "state_dir": str(dir / "state"),
        "control": {"socket": str(dir / "control.sock")},
        "listeners": {"web": {"address": f"127.0.0.1:{port}"},
                      "tls": {"address": f"127.0.0.1:{tls_port}", "protocols": ["h2", "http/1.1"], "tls": {
                          "certificates": [{"cert": str(pair[0]), "key": str(pair[1])}]}}},
        "services": {"shop": shop},
        "routes": [dict(route, flag={"key": "new", "variant": "on"}), route] if full
        else [route],
        "access_log": {"format": "off"}, **more}))
    return [pathlib.Path(build).resolve() / "sluice", "-c", conf]


def start_origin(dir, tools):
    port = free_port()
    origin = Program("origin", 1, [tools / "origin", port], dir / "origin.log", port)
    origin.ready()
    return origin


def start(names, dir, build, origin):
    """The programs by name, running and answering."""
    tools = pathlib.Path(build).resolve() / "bench"
    cert, key, both = certificate(dir)
    running = {}
    for name in names:
        port, tls_port, own = free_port(), free_port(), dir / name
        own.mkdir()
        ours = lambda **more: sluice(own, port, tls_port, origin, build, (cert, key), **more)
        argv = {"sluice": ours,
                "sluice-send": lambda: ours(io_uring="off"),
                "sluice-full": lambda: ours(full=True),
                "relay": lambda: [tools / "relay", port, origin, tls_port, cert, key],
                "haproxy": lambda: haproxy(own, port, tls_port, origin, both),
                "nginx": lambda: nginx(own, port, tls_port, origin, cert, key)}[name]()
        running[name] = Program(name, 0, argv, dir / f"{name}.log", port, tls_port)
        running[name].ready()
        running[name].ready(tls=True)
    return running
