#!/usr/bin/env python3
"""conformance_http2.py --build BUILD --dir DIR - the HTTP/2 tools in DIR/tools against a real
sluice: requests that mean something else once they are HTTP/1.1, and floods and bombs. Nothing bad
may reach the service; every flood ends by GOAWAY within 2,000 frames, costs at most 4 MiB, and
nobody else on the same worker notices. Needs a python3 with hpack (Debian: python3-hpack)."""
import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "scenario"))
from harness import Load, Origin, Sluice, free_port  # noqa: E402

FRAMES, GROWTH, TRIES = 2000, 4096, 3
ROW = re.compile(r"\S+ +(\S+) +sent= *(\d+) goaway=(\S+) closed=(\S+) .*rss\+=(-?\d+)kB alive=(\S+)")


def python():
    """One that has hpack; None: there is none."""
    for path in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([path, "-c", "import hpack"], capture_output=True).returncode == 0:
            return path
    return None


# The tool writes as fast as it can and counts what it wrote. With this around it, it waits until
# all that was read at the other end, or 5 s went by, so the count says what was read.
PACED = """
import runpy, select, sys, time
def queued(port):
    mine, bytes = '0100007F:%04X' % port, 0
    for line in open('/proc/net/tcp').readlines()[1:]:
        _, local, remote, _, queues = line.split()[:5]
        to_send, to_read = queues.split(':')
        bytes += int(to_send, 16) if local == mine else int(to_read, 16) if remote == mine else 0
    return bytes
plain = select.select
def paced(r, w, x, timeout):
    end = time.time() + 5
    while r[0].fileno() >= 0 and queued(r[0].getsockname()[1]) and time.time() < end:
        time.sleep(0.001)
    return plain(r, w, x, timeout)
select.select = paced
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


class Floods:
    """h2abuse.py; what failed is tried again, for the growth of a process is everybody's."""

    def __init__(self, python, tool, port, pid):
        self.argv = [python, "-c", PACED, tool, "--port", str(port), "--pid", str(pid)]

    def run(self, only):
        out = subprocess.run(self.argv, env={**os.environ, "ONLY": only}, check=True, text=True,
                             capture_output=True, timeout=300).stdout
        return [ROW.match(line) for line in out.splitlines()]

    def judge(self, row):
        """What is wrong, or nothing."""
        name, sent, goaway, closed, growth, alive = row.groups()
        wrong = []
        if goaway == "None":
            wrong.append(f"no GOAWAY (closed: {closed})")
        if int(sent) > FRAMES:
            wrong.append(f"{sent} frames")
        if int(growth) > GROWTH:
            wrong.append(f"{growth} KiB more")
        if alive != "True":
            wrong.append("no connection after it")
        return name, wrong

    def all(self):
        """Name -> what is wrong with it."""
        found = dict(self.judge(row) for row in self.run(""))
        for _ in range(TRIES - 1):
            again = [name for name, wrong in found.items() if wrong]
            if again:
                found.update(self.judge(row) for row in self.run(",".join(again)))
        return found


def serve(args, directory, backend):
    directory.mkdir()
    s = Sluice(args.build.resolve(), directory, {
        "workers": 1,
        "listeners": {"web": {"address": f"127.0.0.1:{free_port()}", "protocols": ["h2", "http/1.1"]}},
        "services": {"s": {"versions": {"v1": {"endpoints": [backend]}}}}})
    s.port = int(s.config["listeners"]["web"]["address"].split(":")[1])
    return s


def downgrades(args, directory, python):
    """Print the score; how many are wrong."""
    backend, out = free_port(), directory / "down.jsonl"
    s = serve(args, directory / "down", f"127.0.0.1:{backend}")
    try:
        s.wait_ready()
        subprocess.run([python, args.dir / "tools" / "run_h2down.py", "--port", str(s.port), "--backend-port",
                        str(backend), "--name", "sluice", "--out", out], check=True, timeout=600,
                       stdout=subprocess.DEVNULL)
    finally:
        s.stop()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    score = collections.Counter((r["exp"], r["g"]) for r in rows)
    wrong = [r for r in rows if r["g"] != "pass"]
    for r in wrong:
        print("WRONG", json.dumps({k: r[k] for k in ("id", "exp", "v", "st")}))
    print(f"conformance: HTTP/2 to HTTP/1.1: {score['reject', 'pass']} of "
          f"{sum(r['exp'] == 'reject' for r in rows)} bad requests refused, {score['accept', 'pass']} of "
          f"{sum(r['exp'] == 'accept' for r in rows)} good ones taken, "
          f"{sum(r['v'] in ('DIRTY', 'SMUGGLED') for r in rows)} dirty")
    return len(wrong)


def floods(args, directory, python):
    """Print the score; how many are wrong."""
    origin = Origin("v1")
    s = serve(args, directory / "abuse", origin.address)
    load = None
    try:
        s.wait_ready()
        load = Load(s.port, clients=2, rate=100)
        found = Floods(python, args.dir / "tools" / "h2abuse.py", s.port, s.pid).all()
    finally:
        if load:
            load.stop()
        s.stop()
        origin.stop()
    for name, wrong in found.items():
        if wrong:
            print("WRONG", name, "; ".join(wrong))
    for failure in load.failures:
        print("WRONG, beside a flood:", failure)
    print(f"conformance: {sum(not w for w in found.values())} of {len(found)} floods end by GOAWAY within "
          f"{FRAMES} frames and {GROWTH} KiB; {load.ok} requests beside them, {len(load.failures)} failed")
    return sum(bool(w) for w in found.values()) + len(load.failures) + (load.ok == 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--dir", type=pathlib.Path, required=True)
    args = parser.parse_args()
    interpreter = python()
    if not interpreter:
        print("conformance: SKIPPED for HTTP/2, there is no python3 with hpack (scripts/deps.sh --install --all)")
        return 0
    with tempfile.TemporaryDirectory() as tmp:
        wrong = downgrades(args, pathlib.Path(tmp), interpreter)
        return 1 if wrong + floods(args, pathlib.Path(tmp), interpreter) else 0


sys.exit(main())
