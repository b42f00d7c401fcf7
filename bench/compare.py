#!/usr/bin/env python3
"""CPU per request of proxies that run side by side on the same work.

Every round gives each program its turn, so that a machine that changes its speed changes it for
all of them; what counts are medians of ratios within a round. CPU is user + system time of the
program's whole process tree, from /proc, divided by the requests that the load generator
counted. Proxies are pinned to core 0, the load generator and the origin to core 1.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import signal
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

os.environ["PATH"] += ":/usr/sbin:/sbin"
TICK = os.sysconf("SC_CLK_TCK")
ALL = ("sluice", "sluice-send", "relay", "haproxy", "nginx")
CASES = {  # name: path, connections, extra arguments of wrk, programs, what it is
    "get-64": ("/128", 64, (), ALL, "128 B, 64 connections"),
    "get-256": ("/128", 256, (), ALL, "128 B, 256 connections"),
    "10k": ("/10240", 64, (), ALL, "10 KiB, 64 connections"),
    "1m": ("/1048576", 16, (), ALL, "1 MiB, 16 connections"),
    "new": ("/128", 64, ("-H", "Connection: close"), ALL, "128 B, new connection each"),
    "upload": ("/128", 16, ("-s", "upload.lua"), ALL, "upload of 1 MiB, 16 connections"),
    "split": ("/128", 64, ("-H", "Cookie: uid=u1; sluice_shop={sticky}"),
              ("sluice", "sluice-full"), "with cookies; full: split, sticky, flag"),
}
UPLOAD = 'wrk.method = "POST"\nwrk.body = string.rep("x", 1048576)\n'
FLAGS = {"flags": {"new": {"state": "ENABLED", "variants": {"on": True, "off": False},
                           "defaultVariant": "off",
                           "targeting": {"if": [{"in": [{"var": "targetingKey"},
                                                        ["u1", "u2"]]}, "on", "off"]}}}}
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
MOST = min(15000, FILES // 2 - 50)  # HAProxy wants two descriptors for each
IDLE = min(10000, MOST - 200)


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
    """A proxy (or the origin) that listens on `port` until stop()."""

    def __init__(self, name, core, argv, port, log):
        self.name, self.port = name, port
        self.log = open(log, "wb")
        self.process = subprocess.Popen(["taskset", "-c", str(core), *map(str, argv)],
                                        stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL)

    def ready(self, path="/128", want=128):
        end = time.monotonic() + 15
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}",
                                            timeout=2) as r:
                    if len(r.read()) == want:
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


def haproxy(dir, port, origin):
    conf = dir / "haproxy.cfg"
    conf.write_text(f"""
global
    nbthread 1
    maxconn {MOST}
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:{port}
    default_backend origin
backend origin
    server o1 127.0.0.1:{origin}
""")
    return ["haproxy", "-db", "-f", conf]


def nginx(dir, port, origin):
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
    server {{
        listen 127.0.0.1:{port} reuseport;
        location / {{ proxy_pass http://origin; proxy_http_version 1.1;
                      proxy_set_header Connection ""; proxy_request_buffering off; proxy_max_temp_file_size 0;
                      proxy_buffer_size 16k; proxy_buffers 8 16k;
                      proxy_busy_buffers_size 64k; }}
    }}
}}
""")
    return ["nginx", "-e", dir / "nginx.err", "-c", conf]


def sluice(dir, port, origin, build, full=False, **more):
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
        "listeners": {"web": {"address": f"127.0.0.1:{port}"}},
        "services": {"shop": shop},
        "routes": [dict(route, flag={"key": "new", "variant": "on"}), route] if full
        else [route],
        "access_log": {"format": "off"}, **more}))
    return [pathlib.Path(build).resolve() / "sluice", "-c", conf]


def sticky_cookie(port):
    """What a program hands out so that a client stays on its version; "" if it does not."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/128") as r:
        found = re.search("sluice_shop=([^;]*)", r.headers.get("Set-Cookie") or "")
    return found[1] if found else ""


def load(port, case, seconds, dir):
    """Run the load generator; requests that were answered."""
    path, connections, extra, _, _ = CASES[case]
    argv = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s"]
    if case == "split":
        extra = [e.format(sticky=sticky_cookie(port)) for e in extra]
    out = subprocess.run([*argv, *extra, f"http://127.0.0.1:{port}{path}"], cwd=dir,
                         capture_output=True, text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    failed = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)",
                       out)
    errors = int(bad[1]) if bad else 0
    errors += sum(int(failed[i]) for i in (1, 3, 4)) if failed else 0
    return int(re.search(r"(\d+) requests in", out)[1]), errors


def latency(program, rate, seconds, dir):
    """p50 and p99 in ms of 64 connections that together ask `rate` times a second."""
    log = dir / "latency.txt"
    log.unlink(missing_ok=True)
    subprocess.run(["taskset", "-c", "1", "h2load", "--h1", "-c64", "-t1", "-D", str(seconds),
                    f"--rps={rate / 64:.1f}", f"--log-file={log}",
                    f"http://127.0.0.1:{program.port}/128"], capture_output=True, check=True)
    took = sorted(int(l.split("\t")[2]) for l in log.read_text().splitlines())
    return [took[int(len(took) * q)] / 1000 for q in (0.5, 0.99)] + [len(took) / seconds]


def anonymous_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024


def idle(program, n):
    """Private memory a connection that was answered once and is kept open, in bytes."""
    request = b"GET /128 HTTP/1.1\r\nHost: bench\r\n\r\n"
    pid, open_ = program.busiest(), []

    def one():
        s = socket.create_connection(("127.0.0.1", program.port), 10)
        s.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got or len(got) - got.index(b"\r\n\r\n") - 4 < 128:
            more = s.recv(4096)
            if not more:
                raise OSError(f"{program.name} closed an idle connection")
            got += more
        open_.append(s)
    try:
        for _ in range(100):
            one()
        before = anonymous_bytes(pid)
        for _ in range(n):
            one()
        return (anonymous_bytes(pid) - before) / n
    finally:
        for s in open_:
            s.close()


def measure(program, case, seconds, dir):
    before = cpu_us(program.process.pid)
    requests, errors = load(program.port, case, seconds, dir)
    return (cpu_us(program.process.pid) - before) / max(requests, 1), requests, errors


def syscalls(program, case, seconds, dir):
    """System calls of the busiest process by name, per request."""
    out = dir / "strace.txt"
    tracer = subprocess.Popen(["strace", "-c", "-f", "-o", out, "-p", str(program.busiest())],
                              stderr=subprocess.PIPE)
    time.sleep(0.5)
    if tracer.poll() is not None:
        return None
    requests, _ = load(program.port, case, seconds, dir)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    calls = {}
    for line in out.read_text().splitlines():
        f = line.split()
        if len(f) >= 5 and f[0].replace(".", "").isdigit() and f[-1] != "total":
            calls[f[-1]] = int(f[3]) / max(requests, 1)
    return calls


def table(results, programs, cases):
    lines = ["CPU microseconds a request (median of the rounds); ratio of Sluice within a round",
             "", f"{'case':<40}" + "".join(f"{p:>12}" for p in programs)
             + "".join(f"{'/' + p:>13}" for p in programs if p != "sluice")
             + f"{'req/s':>9}{'errors':>7}"]
    median = lambda row, f: statistics.median(f(r) for r in row)
    for case in cases:
        row = results[case]
        line = f"{CASES[case][4]:<40}"
        for p in programs:
            line += f"{median(row, lambda r: r[p][0]):>12.2f}" if p in row[0] else f"{'-':>12}"
        for p in programs:
            if p != "sluice":
                line += f"{median(row, lambda r: r['sluice'][0] / r[p][0]):>13.3f}" \
                    if p in row[0] else f"{'-':>13}"
        line += f"{median(row, lambda r: r['sluice'][1] / r['seconds']):>9.0f}"
        line += f"{sum(r[p][2] for r in row for p in programs if p.startswith('sluice') and p in r):>7}"
        lines.append(line)
    return lines


def counts(name, calls):
    if calls is None:
        return [f"  {name}: strace could not attach"]
    top = sorted(calls.items(), key=lambda c: -c[1])
    text = ", ".join(f"{n} {c:.2f}" for n, c in top if c >= 0.005)
    return [f"  {name:<12} {sum(calls.values()):5.2f}: {text}"]


def about(build):
    run = lambda *a: subprocess.run(a, capture_output=True, text=True).stdout.strip()
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    versions = run("haproxy", "-v").splitlines()[:1] + \
        subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.splitlines()[:1]
    return [f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, "
            f"{cpu[1] if cpu else 'unknown CPU'}, {os.cpu_count()} cores, "
            f"load {os.getloadavg()[0]:.1f}, commit {run('git', 'rev-parse', '--short', 'HEAD')}",
            "; ".join(versions), ""]


def start(names, dir, build, origin):
    tools = pathlib.Path(build).resolve() / "bench"
    running = {}
    for name in names:
        port, own = free_port(), dir / name
        own.mkdir()
        argv = {"sluice": lambda: sluice(own, port, origin, build),
                "sluice-send": lambda: sluice(own, port, origin, build, io_uring="off"),
                "sluice-full": lambda: sluice(own, port, origin, build, full=True),
                "relay": lambda: [tools / "relay", port, origin],
                "haproxy": lambda: haproxy(own, port, origin),
                "nginx": lambda: nginx(own, port, origin)}[name]()
        running[name] = Program(name, 0, argv, port, dir / f"{name}.log")
        running[name].ready()
    return running


def run_case(case, running, rounds, seconds, dir):
    programs = [running[p] for p in CASES[case][3] if p in running]
    for program in programs:
        load(program.port, case, 1, dir)  # warm: connections, pools, pages
    row = []
    for n in range(rounds):
        turn = {"seconds": seconds}
        for program in programs if n % 2 == 0 else programs[::-1]:
            turn[program.name] = measure(program, case, seconds, dir)
        row.append(turn)
        print(f"{case} round {n + 1}/{rounds}: " + "  ".join(
            f"{p.name} {turn[p.name][0]:.1f}" for p in programs), file=sys.stderr)
    return row


def latencies(running, row, rounds, seconds, dir):
    peer = "nginx" if "nginx" in running else "sluice"
    rate = 0.7 * statistics.median(r[peer][1] / r["seconds"] for r in row)
    names = [p for p in ALL if p in running]
    got = {p: [] for p in names}
    for n in range(rounds):
        for p in names if n % 2 == 0 else names[::-1]:
            got[p].append(latency(running[p], rate, seconds, dir))
    return ["", f"latency at {rate:.0f} requests a second (70 % of {peer}'s most), "
            "64 connections, ms:"] + [
        f"  {p:<12} p50 {statistics.median(g[0] for g in got[p]):6.2f}   "
        f"p99 {statistics.median(g[1] for g in got[p]):6.2f}   "
        f"{statistics.median(g[2] for g in got[p]):.0f}/s" for p in names]


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build/release")
    ap.add_argument("--programs", default=",".join(ALL) + ",sluice-full")
    opts = ap.parse_args()
    quick = bool(os.environ.get("BENCH_QUICK"))
    seconds = int(os.environ.get("BENCH_SECONDS", 1 if quick else 2))
    rounds = int(os.environ.get("BENCH_ROUNDS", 3 if quick else 5))
    cases = os.environ.get("BENCH_CASES", " ".join(CASES)).split()
    names = opts.programs.split(",")
    dir = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    (dir / "upload.lua").write_text(UPLOAD)
    tools = pathlib.Path(opts.build).resolve() / "bench"
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    origin, running = None, {}
    try:
        port = free_port()
        origin = Program("origin", 1, [tools / "origin", port], port, dir / "origin.log")
        origin.ready()
        running = start(names, dir, opts.build, port)
        results = {c: run_case(c, running, rounds, seconds, dir) for c in cases}
        lines = about(opts.build) + table(results, names, cases)
        peers = [running[p] for p in ALL if p in running]
        if "get-64" in results:
            lines += latencies(running, results["get-64"], min(rounds, 3), seconds, dir)
        for case in ("get-64", "new"):
            lines += ["", f"system calls a request, {CASES[case][4]} (strace -c):"]
            for program in peers:
                lines += counts(program.name, syscalls(program, case, 2, dir))
        lines += ["", f"private memory of the proxy, bytes a kept connection, {IDLE} of them:"]
        lines += [f"  {p.name:<12} {idle(p, IDLE):7.0f}" for p in peers if p.name != "relay"]
        parser = subprocess.run(["taskset", "-c", "0", tools / "parser", "0.5"],
                                capture_output=True, text=True).stdout
        lines += ["", "head parser:"] + ["  " + l for l in parser.splitlines()]
        print("\n".join(lines))
        out = pathlib.Path(__file__).parent / "results" / time.strftime("%Y-%m-%d-%H%M.txt",
                                                                       time.gmtime())
        out.parent.mkdir(exist_ok=True)
        out.write_text("\n".join(lines) + "\n")
    finally:
        for program in [*running.values(), *([origin] if origin else [])]:
            program.stop()
        shutil.rmtree(dir, ignore_errors=True)


if __name__ == "__main__":
    main()
