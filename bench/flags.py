#!/usr/bin/env python3
"""flags.py --build BUILD --dir DIR - flags in sluice beside flagd's own evaluator in node.

DIR holds tools/ with the node modules and testbed/ with the flags. An evaluation by itself, and
OFREP requests by wrk: CPU per request of both servers in interleaved rounds."""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from programs import cpu_us, free_port

CONTEXT = {"context": {"targetingKey": "user-1234", "email": "ballmer@macrosoft.com",
                       "user": {"name": "jack"}, "customer": False, "version": "2.1.3",
                       "id": "abcdef", "tier": "premium", "color": "red", "time": 3}}
KEYS = ("boolean-flag", "fractional-flag", "equal-greater-lesser-version-flag")


def serve(argv, port):
    process = subprocess.Popen(["taskset", "-c", "0", *map(str, argv)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            ask = urllib.request.Request(f"http://127.0.0.1:{port}/ofrep/v1/evaluate/flags/{KEYS[0]}",
                                         json.dumps(CONTEXT).encode())
            with urllib.request.urlopen(ask, timeout=2) as r:
                if json.loads(r.read())["value"] is True:
                    return process
        except OSError:
            time.sleep(0.1)
    sys.exit(f"bench: {argv[0]} does not answer")


def load(process, port, key, seconds, script):
    """Microseconds of CPU a request."""
    before = cpu_us(process.pid)
    out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{seconds}", "-s", script,
                          f"http://127.0.0.1:{port}/ofrep/v1/evaluate/flags/{key}"],
                         capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        sys.exit("bench: " + out)
    return (cpu_us(process.pid) - before) / int(out.split(" requests in")[0].split()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--dir", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    build, data = args.build.resolve(), args.dir.resolve()
    flags = data / "testbed/evaluator/flags/testkit-flags.json"
    node = ["node", pathlib.Path(__file__).with_name("flags.mjs"), data / "tools", flags]
    dir = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-"))
    running = {}
    try:
        context = dir / "context.json"
        context.write_text(json.dumps(CONTEXT))
        print("flags:", flush=True)
        for argv in ([build / "bench/flags", flags, context], [*node, context]):
            out = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=True)
            print("  " + out.stdout.strip().replace("\n", "\n  "), flush=True)
        script = dir / "ask.lua"
        script.write_text(f"wrk.method = 'POST'\nwrk.body = '{json.dumps(CONTEXT)}'\n")
        ports = {"sluice": free_port(), "node": free_port()}
        (dir / "sluice.json").write_text(json.dumps({
            "version": 1, "workers": 1, "state_dir": str(dir / "state"),
            "control": {"socket": str(dir / "control.sock")}, "access_log": {"format": "off"},
            "listeners": {"web": {"address": f"127.0.0.1:{ports['sluice']}", "ofrep": {}}},
            "services": {"s": {"versions": {"v": {"endpoints": ["127.0.0.1:9"]}}}},
            "routes": [{"service": "s"}], "flags": {"bootstrap": str(flags)}}))
        running["sluice"] = serve([build / "sluice", "-c", dir / "sluice.json"], ports["sluice"])
        running["node"] = serve([*node, context, ports["node"]], ports["node"])
        print("  OFREP, one flag a request, CPU in us:")
        for key in KEYS:
            got = {name: [] for name in running}
            for _ in range(args.rounds):
                for name, process in running.items():
                    got[name].append(load(process, ports[name], key, args.seconds, script))
            ratio = statistics.median(n / s for n, s in zip(got["node"], got["sluice"]))
            print(f"    {key}: sluice {statistics.median(got['sluice']):.1f}, node with flagd-core "
                  f"{statistics.median(got['node']):.1f}: {ratio:.1f} times as many a CPU second")
    finally:
        for process in running.values():
            process.terminate()
            process.wait()
        shutil.rmtree(dir, ignore_errors=True)


main()
