"""Real programs in a temporary directory: what the stories of this folder are written with.

A story is one executable file:

    from harness import story

    def tell(t):
        v1 = t.origin("v1")
        s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})
        t.equal(s.get("/").status, 200)

    story(__doc__, tell)

Everything that t starts is stopped when the story ends, by its own pid; when it fails, the logs
of all processes are printed. A sanitizer report in a log fails the story as well. Sockets are
bound to 127.0.0.1 only. Python 3.11, standard library.
"""
import argparse
import collections
import fcntl
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

Answer = collections.namedtuple("Answer", "status headers body")
SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|assertion failed|check failed")


class Failed(Exception):
    """An expectation of the story did not hold."""


class Skip(Exception):
    """The story cannot be told on this machine."""


class Ports:
    """Port numbers of this process alone: a block below the range from which kernels take ports
    for connections, held by a lock on a file for as long as the process lives. So a number that
    is free stays free until somebody here binds it, whatever runs beside the story."""
    FIRST, EACH, BLOCKS = 12000, 200, 100

    def __init__(self):
        self.lock, self.next, self.base = threading.Lock(), 0, None
        directory = pathlib.Path(tempfile.gettempdir()) / f"sluice-ports-{os.getuid()}"
        directory.mkdir(exist_ok=True)
        for k in random.sample(range(self.BLOCKS), self.BLOCKS):
            self.held = open(directory / str(k), "w")
            try:
                fcntl.flock(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.held.close()
                continue
            self.base = self.FIRST + k * self.EACH
            return
        raise Failed(f"{self.BLOCKS} processes hold ports in {directory}")

    @staticmethod
    def unused(port):
        """Neither TCP nor UDP has it; what a closed connection left behind does not count."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as s:
                if kind == socket.SOCK_STREAM:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", port))
                except OSError:
                    return False
        return True

    def take(self):
        with self.lock:
            for _ in range(self.EACH):
                port = self.base + self.next % self.EACH
                self.next += 1
                if self.unused(port):
                    return port
        raise Failed(f"no port is free from {self.base} on")


PORTS = None


def free_port():
    """A port that nobody uses, for TCP and for UDP, and that nobody else will take."""
    global PORTS
    PORTS = PORTS or Ports()
    return PORTS.take()


PATIENCE = 60.0  # for what must happen: long, since machines are slow; nobody waits for it in vain


def eventually(what, check, timeout=PATIENCE):
    """Call CHECK until its result is true, and return that. An exception counts as false."""
    end, last = time.monotonic() + timeout, None
    while True:
        try:
            last = check()
            if last:
                return last
        except (OSError, http.client.HTTPException, ValueError, KeyError) as e:
            last = e
        if time.monotonic() > end:
            raise Failed(f"not within {timeout:g} s: {what} (last: {last!r})")
        time.sleep(0.02)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def request(conn, method, path, body=None, headers=None):
    """One exchange on CONN -> Answer; field names are lower case."""
    conn.request(method, path, body, headers or {})
    r = conn.getresponse()
    return Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())


class Peer:
    """An endpoint that speaks byte for byte: each connection gets .serve(conn) and a thread of
    its own. Whoever inherits sets what serve needs first: it may run before __init__ is over."""

    def __init__(self):
        self.port, self.connections, self.listener = free_port(), 0, None
        self.address = f"127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                conn = listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        raise NotImplementedError

    def stop(self):
        """Nobody can connect any more; connections that are open stay."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


class Origin:
    """One endpoint of a service. Knobs may be turned while it runs.

    latency: seconds before each answer. errors: share of requests answered with 500. up: what
    /up, the health check, says. /slow?ms=N waits that long. The answer is JSON with what was
    seen of the request; x-version and x-endpoint name who gave it.
    """

    def __init__(self, version, port=None, host="127.0.0.1"):
        self.version, self.port, self.host = version, port or free_port(), host
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.latency, self.errors, self.up = 0.0, 0.0, True
        self.requests = 0
        self.lock, self.open = threading.Lock(), set()
        self.server = None
        self.start()

    def start(self):
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True

            def setup(self):
                super().setup()
                with origin.lock:
                    origin.open.add(self.connection)

            def finish(self):
                with origin.lock:
                    origin.open.discard(self.connection)
                try:
                    super().finish()
                except OSError:
                    pass

            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                status = origin.decide(self.path)
                text = json.dumps({
                    "version": origin.version, "method": self.command, "path": self.path,
                    "headers": {k.lower(): v for k, v in self.headers.items()},
                    "length": len(body)}).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.send_header("content-type", "application/json")
                self.send_header("x-version", origin.version)
                self.send_header("x-endpoint", origin.address)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = answer

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size, daemon_threads = 1024, True
            address_family = socket.AF_INET6 if ":" in origin.host else socket.AF_INET

            def handle_error(self, *args):
                pass

        self.server = Server((self.host, self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def decide(self, path):
        """Wait as long as the knobs say; the status of the answer."""
        url = urllib.parse.urlsplit(path)
        if url.path == "/up":
            return 200 if self.up else 503
        with self.lock:
            self.requests += 1
        wait = self.latency
        if url.path == "/slow":
            wait = int(urllib.parse.parse_qs(url.query)["ms"][0]) / 1000
        if wait:
            time.sleep(wait)
        return 500 if random.random() < self.errors else 200

    def stop(self):
        """Like a process that was killed: its connections are gone too."""
        if not self.server:
            return
        self.server.shutdown()
        self.server.server_close()
        self.server = None
        with self.lock:
            for c in list(self.open):
                try:
                    c.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class Load:
    """Clients that send GET after GET, each on one connection that it keeps alive.

    An answer with a status of 500 or more, a broken exchange and a refused connection are
    failures; so is a kept connection that breaks under a request.
    """

    def __init__(self, port, path="/", clients=4, rate=400.0, headers=None):
        self.port, self.path, self.headers = port, path, headers or {}
        self.pause = clients / rate
        self.lock, self.ending = threading.Lock(), threading.Event()
        self.ok, self.failures = 0, []
        self.versions, self.latencies = collections.Counter(), []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def run(self):
        conn = None
        while not self.ending.wait(self.pause):
            start = time.monotonic()
            try:
                conn = conn or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                a = request(conn, "GET", self.path, headers=self.headers)
                if a.headers.get("connection") == "close":
                    conn.close()
                    conn = None
            except (OSError, http.client.HTTPException) as e:
                self.note(None, f"{time.strftime('%T')} {e!r}", start)
                conn.close()
                conn = None
                continue
            self.note(a, None if a.status < 500 else f"{a.status} {a.body[:80]!r}", start)
        if conn:
            conn.close()

    def note(self, answer, failure, start):
        with self.lock:
            if failure:
                self.failures.append(failure)
            else:
                self.ok += 1
                self.versions[answer.headers.get("x-version")] += 1
            self.latencies.append(time.monotonic() - start)

    def stop(self):
        self.ending.set()
        for t in self.threads:
            t.join(30)
        return self


class Process:
    """A program with its log."""

    def __init__(self, name, argv, directory, env=None):
        self.name, self.log_path = name, directory / f"{name}.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=env, cwd=directory)
        self.pid = self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, signo):
        self.process.send_signal(signo)

    def wait(self, timeout=45):
        return self.process.wait(timeout)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.wait()
                raise Failed(f"{self.name} did not end on SIGTERM") from None
        return self.process.returncode


class Sluice(Process):
    """sluice with its config, its control socket and its children. It must end with 0."""

    def __init__(self, build, directory, config, env=None):
        self.build, self.directory = build, directory
        self.config_path = directory / "sluice.jsonc"
        self.socket = directory / "control.sock"
        self.access_log = directory / "access.log"
        self.port = free_port()
        self.config = {
            "version": 1, "workers": 2, "state_dir": str(directory / "state"),
            "control": {"socket": str(self.socket)},
            "listeners": {"web": {"address": f"127.0.0.1:{self.port}"}},
            "routes": [{"path": "/", "service": next(iter(config["services"]))}],
            "access_log": {"path": str(self.access_log), "format": "json"}, **config}
        self.write_config()
        super().__init__("sluice", [build / "sluice", "-c", self.config_path], directory,
                         {**os.environ, **(env or {})})

    def stop(self):
        running = self.process.poll() is None
        if super().stop() != 0 and running:
            raise Failed(f"sluice ended with {self.process.returncode}")

    def write_config(self, config=None):
        """Write CONFIG (default: the present one, changed or not) as the config file."""
        self.config = config or self.config
        self.config_path.write_text("// written by a story\n" + json.dumps(self.config, indent=2))

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise Failed(f"sluice ended with {self.process.returncode}")
            return self.call("GET", "/readyz").status == 200
        eventually("/readyz says 200", ready)
        return self

    def get(self, path="/", method="GET", body=None, headers=None, port=None, timeout=20):
        """One request through the proxy on a connection of its own."""
        conn = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            return request(conn, method, path, body, headers)
        finally:
            conn.close()

    def call(self, method, path, body=None, headers=None, timeout=20):
        """One request to the control API."""
        conn = UnixConnection(self.socket, timeout)
        headers = dict(headers or {})
        if body is not None:
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            return request(conn, method, path, body, headers)
        finally:
            conn.close()

    def api(self, method, path, body=None, want=200, headers=None):
        """The same; the JSON of the answer, which must have status WANT."""
        a = self.call(method, path, body, headers)
        if a.status != want:
            raise Failed(f"{method} {path}: {a.status}, want {want}: {a.body[:500]!r}")
        return json.loads(a.body) if a.body else None

    def status(self):
        return self.api("GET", "/v1/status")

    def metrics(self):
        """/metrics as {'name{labels}': value}."""
        text = self.call("GET", "/metrics").body.decode()
        rows = (line.rsplit(" ", 1) for line in text.splitlines()
                if line and not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    def ctl(self, *args, timeout=60):
        """Run sluicectl -> CompletedProcess with text."""
        return subprocess.run([self.build / "sluicectl", "--socket", self.socket, *args],
                              capture_output=True, text=True, timeout=timeout, check=False)

    def children(self):
        """{'worker 0': pid, ..., 'controller': pid} of what runs now."""
        found = {}
        listing = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        for pid in listing.split():
            try:
                argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "--worker" in argv:
                found["worker " + argv[argv.index("--worker") + 1]] = int(pid)
            elif "sluice-control" in argv[0]:
                found["controller"] = int(pid)
        return found


class Telling:
    """What a story gets: it starts things, checks things and cleans up."""

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-story."))
        self.started, self.processes = [], []

    def say(self, text):
        print(text, flush=True)

    def check(self, ok, what):
        if not ok:
            raise Failed(what)

    def equal(self, got, want, what=""):
        if got != want:
            raise Failed(f"{what}: got {got!r}, want {want!r}")

    def eventually(self, what, check, timeout=PATIENCE):
        return eventually(what, check, timeout)

    def origin(self, version, port=None, host="127.0.0.1"):
        o = Origin(version, port, host)
        self.started.append(o)
        return o

    def sluice(self, env=None, ready=True, **config):
        """Start it with CONFIG over the harness's defaults; wait until it is ready."""
        s = Sluice(self.build, self.directory, config, env)
        self.started.append(s)
        self.processes.append(s)
        return s.wait_ready() if ready else s

    def load(self, s, **options):
        load = Load(s.port, **options)
        self.started.append(load)
        eventually("the load has begun", lambda: load.ok or load.failures)
        return load

    def no_failures(self, load):
        load.stop()
        self.say(f"load: {load.ok} answers, {len(load.failures)} failures")
        self.check(load.ok > 0, "the load never got through")
        self.check(not load.failures, f"failed requests: {load.failures[:5]}")

    def redis(self, port=None):
        """A real redis-server without persistence; .port."""
        if not shutil.which("redis-server"):
            raise Skip("there is no redis-server")
        port = port or free_port()
        r = Process("redis", ["redis-server", "--port", str(port), "--bind", "127.0.0.1",
                              "--save", "", "--appendonly", "no"], self.directory)
        r.port = port
        self.started.append(r)
        self.processes.append(r)
        eventually("redis answers", lambda: socket.create_connection(("127.0.0.1", port)).close()
                   is None)
        return r

    def end(self):
        """Stop everything, newest first; the first thing that went wrong, or None."""
        wrong = None
        for thing in reversed(self.started):
            try:
                thing.stop()
            except (Failed, OSError, subprocess.SubprocessError) as e:
                wrong = wrong or e
        for p in self.processes:
            if SANITIZER.search(p.log()):
                wrong = wrong or Failed(f"{p.name} has a report in its log")
        return wrong

    def show_logs(self):
        for path in sorted(self.directory.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-60:]
            print(f"--- {path.name}", *lines, sep="\n", flush=True)


def story(doc, tell):
    """Tell it with --build DIR and exit: 0 held, 1 did not, 77 cannot be told here."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--build", default="build/release", help="directory with the programs")
    args = parser.parse_args()
    t = Telling(args.build)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wrong, rc = None, 1
    try:
        tell(t)
        rc = 0
    except Skip as e:
        rc = 77
        print(f"skipped: {e}")
    except Exception:  # whatever it is, the logs are wanted
        traceback.print_exc()
    finally:
        wrong = t.end()
        try:
            if wrong:
                print(f"at the end: {wrong}")
            if rc == 1 or wrong:
                t.show_logs()
        finally:  # also when nobody reads our output any more
            shutil.rmtree(t.directory, ignore_errors=True)
    sys.exit(rc or (1 if wrong else 0))
