#!/usr/bin/env python3
"""CPU per request of proxies that run side by side on the same work.

Every round gives each program its turn, so that a machine that changes its speed changes it for
all of them; what counts are medians of ratios within a round. CPU is user + system time of the
program's whole process tree, from /proc, divided by the requests that the load generator
counted. Proxies are pinned to core 0, the load generator and the origin to core 1.
"""
import argparse
import collections
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from programs import FILES, MOST, blind_context, cpu_us, start, start_origin, tree

ALL = ("sluice", "sluice-send", "relay", "haproxy", "nginx")
FOUR = ("sluice", "relay", "haproxy", "nginx")
Case = collections.namedtuple("Case", "what path connections programs extra tls shaker streams",
                              defaults=(ALL, (), False, None, 0))
CASES = {  # extra: arguments of wrk; shaker: instead of wrk, with these arguments;
          # streams: HTTP/2 by h2load, so many at once on each connection
    "get-64": Case("128 B, 64 connections", "/128", 64),
    "get-256": Case("128 B, 256 connections", "/128", 256),
    "10k": Case("10 KiB, 64 connections", "/10240", 64),
    "1m": Case("1 MiB, 16 connections", "/1048576", 16),
    "new": Case("128 B, new connection each", "/128", 64, extra=("-H", "Connection: close")),
    "upload": Case("upload of 1 MiB, 16 connections", "/128", 16, extra=("-s", "upload.lua")),
    "split": Case("with cookies; full: split, sticky, flag", "/128", 64,
                  ("sluice", "sluice-full"),
                  ("-H", "Cookie: uid=u1; sluice_shop={sticky}")),
    "tls-64": Case("TLS, 128 B, 64 connections", "/128", 64, tls=True),
    "tls-1m": Case("TLS, 1 MiB, 16 connections", "/1048576", 16, FOUR, tls=True),
    "tls-new": Case("TLS, 128 B, new handshake each", "/128", 16, FOUR, tls=True, shaker=()),
    "tls-resumed": Case("TLS, 128 B, resumed handshake each", "/128", 16, FOUR, tls=True,
                        shaker=("resume",)),
    "h2": Case("HTTP/2 with TLS, 128 B, 16 times 32 streams", "/128", 16,
               ("sluice", "haproxy", "nginx"), tls=True, streams=32),
}
H2LOAD = re.compile(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored")
TRACED = ("get-64", "new", "tls-64", "tls-new")
UPLOAD = 'wrk.method = "POST"\nwrk.body = string.rep("x", 1048576)\n'
IDLE = min(10000, MOST - 200)
IDLE_TLS = min(2000, IDLE)


def sticky_cookie(port):
    """What a program hands out so that a client stays on its version; "" if it does not."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/128") as r:
        found = re.search("sluice_shop=([^;]*)", r.headers.get("Set-Cookie") or "")
    return found[1] if found else ""


def run(dir, *argv):
    return subprocess.run(["taskset", "-c", "1", *map(str, argv)], cwd=dir,
                          capture_output=True, text=True, check=True).stdout


def shake(program, case, seconds, tools):
    """Handshakes by shaker.c: requests that were answered, and errors."""
    out = run(None, tools / "shaker", program.tls_port, seconds, case.connections,
              *case.shaker)
    requests, resumed, failed = map(int, re.search(
        r"(\d+) requests in .*, (\d+) resumed, (\d+) failed", out).groups())
    if case.shaker and resumed < requests - case.connections:
        sys.exit(f"bench: {program.name} resumed only {resumed} of {requests}")
    return requests, failed


def many_streams(program, case, seconds):
    """HTTP/2: requests that were answered, and errors."""
    out = run(None, "h2load", "-t1", f"-c{case.connections}", f"-m{case.streams}", "-D",
              str(seconds), program.url(case.path, True))
    if "Application protocol: h2" not in out:
        sys.exit(f"bench: {program.name} does not speak HTTP/2")
    good, failed, errors = map(int, H2LOAD.search(out).groups())
    return good, failed + errors


def load(program, case, seconds, dir, tools):
    """Run the load generator; requests that were answered, and errors."""
    if case.shaker is not None:
        return shake(program, case, seconds, tools)
    if case.streams:
        return many_streams(program, case, seconds)
    extra = case.extra
    if any("{sticky}" in e for e in extra):
        extra = [e.format(sticky=sticky_cookie(program.port)) for e in extra]
    out = run(dir, "wrk", "-t1", f"-c{case.connections}", f"-d{seconds:.0f}s", *extra,
              program.url(case.path, case.tls))
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
    """Private memory of each process of the tree."""
    status = {p: pathlib.Path(f"/proc/{p}/status").read_text() for p in tree(pid)}
    return {p: int(re.search(r"RssAnon:\s+(\d+)", s)[1]) * 1024 for p, s in status.items()}


def idle(program, n, tls=False):
    """Private memory a connection that was answered once and is kept open, in bytes."""
    request = b"GET /128 HTTP/1.1\r\nHost: bench\r\n\r\n"
    pid, open_, context = program.process.pid, [], blind_context() if tls else None

    def one():
        s = socket.create_connection(
            ("127.0.0.1", program.tls_port if tls else program.port), 10)
        s = context.wrap_socket(s) if tls else s
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
        after = anonymous_bytes(pid)
        return max(after[p] - before[p] for p in after if p in before) / n
    finally:
        for s in open_:
            s.close()


def measure(program, case, seconds, dir, tools):
    before = cpu_us(program.process.pid)
    requests, errors = load(program, case, seconds, dir, tools)
    return (cpu_us(program.process.pid) - before) / max(requests, 1), requests, errors


def syscalls(program, case, seconds, dir, tools):
    """System calls of the busiest process by name, per request."""
    out = dir / "strace.txt"
    tracer = subprocess.Popen(["strace", "-c", "-f", "-o", out, "-p", str(program.busiest())],
                              stderr=subprocess.PIPE)
    time.sleep(0.5)
    if tracer.poll() is not None:
        return None
    requests, _ = load(program, case, seconds, dir, tools)
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
        line = f"{CASES[case].what:<40}"
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


def run_case(name, running, rounds, seconds, dir, tools):
    case = CASES[name]
    programs = [running[p] for p in case.programs if p in running]
    for program in programs:
        load(program, case, 1, dir, tools)  # warm: connections, pools, pages
    row = []
    for n in range(rounds):
        turn = {"seconds": seconds}
        for program in programs if n % 2 == 0 else programs[::-1]:
            turn[program.name] = measure(program, case, seconds, dir, tools)
        row.append(turn)
        print(f"{name} round {n + 1}/{rounds}: " + "  ".join(
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


def memory(names, dir, build, origin):
    """Of programs that were started for it: those that had load have memory to spare."""
    lines = []
    for n, tls, what in ((IDLE, False, "kept connection"), (IDLE_TLS, True, "kept TLS one")):
        lines += ["", f"private memory of the proxy, bytes a {what}, {n} of them:"]
        for name in names:
            own = pathlib.Path(tempfile.mkdtemp(dir=dir))
            program = start([name], own, build, origin)[name]
            try:
                lines.append(f"  {name:<12} {idle(program, n, tls):7.0f}")
            finally:
                program.stop()
    return lines


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
        origin = start_origin(dir, tools)
        running = start(names, dir, opts.build, origin.port)
        results = {c: run_case(c, running, rounds, seconds, dir, tools) for c in cases}
        lines = about(opts.build) + table(results, names, cases)
        peers = [running[p] for p in ALL if p in running]
        if "get-64" in results:
            lines += latencies(running, results["get-64"], min(rounds, 3), seconds, dir)
        for name in (c for c in TRACED if c in results):
            lines += ["", f"system calls a request, {CASES[name].what} (strace -c):"]
            for p in (p for p in peers if p.name in CASES[name].programs):
                lines += counts(p.name, syscalls(p, CASES[name], 2, dir, tools))
        lines += memory([p for p in FOUR if p in running and p != "relay"], dir, opts.build,
                        origin.port)
        lines += ["", "head parser:"] + [
            "  " + l for l in run(None, tools / "parser", "0.5").splitlines()]
        lines += ["", "routing:"] + [
            "  " + l for l in run(None, tools / "router", "0.5").splitlines()]
        lines += ["", "a new snapshot in a worker:"] + [
            "  " + l for l in run(None, tools / "reload", "10").splitlines()]
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
