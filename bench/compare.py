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
CASES = {  # name: path, connections, extra field, unit of the figure
    "get-64": ("/128", 64, None, "128 B, 64 connections"),
    "get-256": ("/128", 256, None, "128 B, 256 connections"),
    "10k": ("/10240", 64, None, "10 KiB, 64 connections"),
    "1m": ("/1048576", 16, None, "1 MiB, 16 connections"),
    "new": ("/128", 64, "Connection: close", "128 B, new connection each"),
}


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
    maxconn 4000
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
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 512;
                       keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        location / {{ proxy_pass http://origin; proxy_http_version 1.1;
                      proxy_set_header Connection ""; proxy_max_temp_file_size 0;
                      proxy_buffer_size 16k; proxy_buffers 8 16k;
                      proxy_busy_buffers_size 64k; }}
    }}
}}
""")
    return ["nginx", "-e", dir / "nginx.err", "-c", conf]


def sluice(dir, port, origin, build):
    conf = dir / "sluice.jsonc"
    conf.write_text(json.dumps({
        "version": 1, "workers": 1, "state_dir": str(dir / "state"),
        "control": {"socket": str(dir / "control.sock")},
        "listeners": {"web": {"address": f"127.0.0.1:{port}"}},
        "services": {"shop": {"versions": {"v1": {"endpoints": [f"127.0.0.1:{origin}"]}}}},
        "routes": [{"path": "/", "service": "shop"}],
        "access_log": {"format": "off"}}))
    return [pathlib.Path(build).resolve() / "sluice", "-c", conf]


def load(port, case, seconds):
    """Run the load generator; requests that were answered."""
    path, connections, extra, _ = CASES[case]
    argv = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s"]
    argv += ["-H", extra] if extra else []
    out = subprocess.run([*argv, f"http://127.0.0.1:{port}{path}"], capture_output=True,
                         text=True, check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    failed = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)",
                       out)
    errors = int(bad[1]) if bad else 0
    errors += sum(int(failed[i]) for i in (1, 3, 4)) if failed else 0
    return int(re.search(r"(\d+) requests in", out)[1]), errors


def measure(program, case, seconds):
    before = cpu_us(program.process.pid)
    requests, errors = load(program.port, case, seconds)
    return (cpu_us(program.process.pid) - before) / max(requests, 1), requests, errors


def syscalls(program, seconds, dir):
    """System calls of the busiest process by name, per request."""
    out = dir / "strace.txt"
    tracer = subprocess.Popen(["strace", "-c", "-f", "-o", out, "-p", str(program.busiest())],
                              stderr=subprocess.PIPE)
    time.sleep(0.5)
    if tracer.poll() is not None:
        return None
    requests, _ = load(program.port, "get-64", seconds)
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
             "", f"{'case':<28}" + "".join(f"{p:>10}" for p in programs)
             + "".join(f"{'/' + p:>10}" for p in programs if p != "sluice")
             + f"{'req/s':>10}{'errors':>8}"]
    for case in cases:
        row = results[case]
        line = f"{CASES[case][3]:<28}"
        line += "".join(f"{statistics.median(r[p][0] for r in row):>10.2f}" for p in programs)
        for p in programs:
            if p != "sluice":
                line += f"{statistics.median(r['sluice'][0] / r[p][0] for r in row):>10.3f}"
        line += f"{statistics.median(r['sluice'][1] / r['seconds'] for r in row):>10.0f}"
        line += f"{sum(r['sluice'][2] for r in row):>8}"
        lines.append(line)
    return lines


def counts(name, calls):
    if calls is None:
        return [f"  {name}: strace could not attach"]
    top = sorted(calls.items(), key=lambda c: -c[1])
    text = ", ".join(f"{n} {c:.2f}" for n, c in top if c >= 0.005)
    return [f"  {name:<8} {sum(calls.values()):5.2f}: {text}"]


def about(build):
    run = lambda *a: subprocess.run(a, capture_output=True, text=True).stdout.strip()
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    versions = run("haproxy", "-v").splitlines()[:1] + \
        subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.splitlines()[:1]
    return [f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, "
            f"{cpu[1] if cpu else 'unknown CPU'}, {os.cpu_count()} cores, "
            f"load {os.getloadavg()[0]:.1f}, commit {run('git', 'rev-parse', '--short', 'HEAD')}",
            "; ".join(versions), ""]


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--build", default="build/release")
    ap.add_argument("--programs", default="sluice,relay,haproxy,nginx")
    opts = ap.parse_args()
    seconds = int(os.environ.get("BENCH_SECONDS", 5))
    rounds = int(os.environ.get("BENCH_ROUNDS", 5))
    cases = os.environ.get("BENCH_CASES", " ".join(CASES)).split()
    names = opts.programs.split(",")
    dir = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    tools = pathlib.Path(opts.build).resolve() / "bench"
    running = []
    try:
        origin = free_port()
        running.append(Program("origin", 1, [tools / "origin", origin], origin,
                               dir / "origin.log"))
        running[0].ready()
        for name in names:
            port = free_port()
            argv = {"sluice": lambda: sluice(dir, port, origin, opts.build),
                    "relay": lambda: [tools / "relay", port, origin],
                    "haproxy": lambda: haproxy(dir, port, origin),
                    "nginx": lambda: nginx(dir, port, origin)}[name]()
            running.append(Program(name, 0, argv, port, dir / f"{name}.log"))
            running[-1].ready()
        results = {case: [] for case in cases}
        for case in cases:
            for program in running[1:]:
                load(program.port, case, 1)  # warm: connections, pools, pages
            for n in range(rounds):
                turn = {"seconds": seconds}
                order = running[1:] if n % 2 == 0 else running[:0:-1]
                for program in order:
                    turn[program.name] = measure(program, case, seconds)
                results[case].append(turn)
                print(f"{case} round {n + 1}/{rounds}: " + "  ".join(
                    f"{p} {turn[p][0]:.1f}" for p in names), file=sys.stderr)
        lines = about(opts.build) + table(results, names, cases)
        lines += ["", "system calls a request, 128 B, 64 connections (strace -c):"]
        for program in running[1:]:
            lines += counts(program.name, syscalls(program, 2, dir))
        parser = subprocess.run(["taskset", "-c", "0", tools / "parser", "0.5"],
                                capture_output=True, text=True).stdout
        lines += ["", "head parser:"] + ["  " + l for l in parser.splitlines()]
        print("\n".join(lines))
        out = pathlib.Path(__file__).parent / "results" / time.strftime("%Y-%m-%d-%H%M.txt",
                                                                       time.gmtime())
        out.parent.mkdir(exist_ok=True)
        out.write_text("\n".join(lines) + "\n")
    finally:
        for program in reversed(running):
            program.stop()
        shutil.rmtree(dir, ignore_errors=True)


if __name__ == "__main__":
    main()
