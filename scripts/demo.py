#!/usr/bin/env python3
"""The whole main job in about a minute, on this machine, without root or network.

A small web shop behind Sluice, a real Redis for the flags, a steady crowd in front. A good
version rolls out, a bad one comes back by itself, a flag is switched off, a controller is
killed in the middle of a rollout. Every figure is measured in this run, where possible at both
ends: by Sluice, and by the clients or the shop. Exit 0: every expectation held.

    demo.py [--build build/release]
"""
import argparse
import datetime
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "demo"))
sys.dont_write_bytecode = True
from crowd import Crowd  # noqa: E402 (the path comes first)

LIMIT_S = 88           # of the whole demo
REVERT_MS = 100        # verdict to weight 0 live on all workers
LAST_REQUEST_MS = 1000 # verdict to the last request that the bad version saw
ROLLOUT = {
    "strategy": "canary", "warmup": "2s",
    "steps": [{"weight": w, "hold": {"min": "2s", "max": "30s", "until": "evidence"}}
              for w in (5, 25, 50)] + [{"weight": 100}],
    "retain": {"for": "10m"}}
FLAG = "new-checkout"


class Broken(Exception):
    """The demo cannot go on."""


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=15)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def free_ports(n):
    """N ports that nobody uses now."""
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def until(what, check, timeout):
    """Call CHECK until it gives something true."""
    end = time.monotonic() + timeout
    while True:
        try:
            got = check()
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            got = None
        if got:
            return got
        if time.monotonic() > end:
            raise Broken(f"not within {timeout:g} s: {what}")
        time.sleep(0.02)


def unix_time(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def percent(part, whole):
    return 100 * part / whole if whole else 0.0


class Demo:
    def __init__(self, build):
        self.build = build.resolve()
        self.began = time.monotonic()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="sluice-demo."))
        self.socket = str(self.directory / "control.sock")
        self.processes, self.expected, self.figures = [], [], []
        self.crowd = None

    # --- what is said ---

    def title(self, text):
        print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)

    def say(self, text):
        print(f"   {text}", flush=True)

    def expect(self, ok, what):
        self.expected.append((bool(ok), what))
        print(f"   {'ok  ' if ok else 'FAIL'} {what}", flush=True)

    def figure(self, what, value):
        self.figures.append((what, value))
        self.say(f"{what:<46} {value}")

    # --- processes ---

    def start(self, name, *argv):
        with open(self.directory / f"{name}.log", "ab") as log:
            p = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, cwd=self.directory, start_new_session=True)
        self.processes.append((name, p))
        return p

    def shop(self, version, name="shop", **options):
        """A version of the service with two endpoints -> their addresses."""
        ports = free_ports(2)
        more = [f"--{k.replace('_', '-')}={v}" for k, v in options.items()]
        self.start(f"{name}-{version}", sys.executable, ROOT / "tests" / "demo" / "shop.py",
                   f"--name={name}", f"--version={version}",
                   f"--ports={','.join(map(str, ports))}", *more)
        for port in ports:
            until(f"{name} {version} answers", lambda p=port: self.shop_stats(p), 15)
        return [f"127.0.0.1:{p}" for p in ports]

    def shop_stats(self, port):
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            conn.request("GET", "/stats")
            return json.loads(conn.getresponse().read())
        finally:
            conn.close()

    def redis(self):
        port = free_ports(1)[0]
        self.start("redis", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--daemonize", "no")
        until("redis answers", lambda: self.redis_ask(port, "PING") == "+PONG", 10)
        return port

    @staticmethod
    def redis_ask(port, *words):
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.sendall(f"*{len(words)}\r\n".encode() + b"".join(
                f"${len(w)}\r\n{w}\r\n".encode() for w in words))
            return s.recv(65536).decode().strip()

    def sluice(self, v1, v1_next, redis_port):
        self.port = free_ports(1)[0]
        config = {
            "version": 1, "workers": 2, "state_dir": str(self.directory / "state"),
            "control": {"socket": self.socket},
            "listeners": {"web": {"address": f"127.0.0.1:{self.port}"}},
            "services": {
                "shop": {"versions": {"v1": {"endpoints": v1}}, "weights": {"v1": 100},
                         "health": {"path": "/up", "interval": "500ms", "timeout": "2s",
                                    "rise": 1, "fall": 3}},
                "checkout-next": {"versions": {"v1": {"endpoints": v1_next}}}},
            "routes": [{"flag": {"key": FLAG, "variant": "on"}, "path": "/checkout",
                        "service": "checkout-next"},
                       {"path": "/", "service": "shop"}],
            "flags": {"redis": f"redis://127.0.0.1:{redis_port}/0", "env": "demo",
                      "targeting_key": ["header:x-user-id"]},
            "access_log": {"path": str(self.directory / "access.log"), "format": "json"}}
        path = self.directory / "sluice.jsonc"
        path.write_text("// the demo's, start to finish\n" + json.dumps(config, indent=2))
        self.start("sluice", self.build / "sluice", "-c", path)
        until("sluice is ready", lambda: self.call("GET", "/readyz")[0] == 200, 15)

    # --- the control plane ---

    def call(self, method, path, body=None, headers=None):
        conn = UnixHTTP(self.socket)
        try:
            headers = dict(headers or {})
            if body is not None:
                headers["Content-Type"] = "application/json"
                body = json.dumps(body)
            conn.request(method, path, body, headers)
            r = conn.getresponse()
            return r.status, r.read().decode(), {k.lower(): v for k, v in r.getheaders()}
        finally:
            conn.close()

    def api(self, method, path, body=None, headers=None):
        status, text, _ = self.call(method, path, body, headers)
        if status not in (200, 201):
            raise Broken(f"{method} {path}: {status} {text[:300]}")
        return json.loads(text)

    def rollout(self, version):
        found = [r for r in self.api("GET", "/v1/rollouts")["rollouts"]
                 if r["version"] == version]
        return found[0] if found else None

    def ctl_start(self, *args):
        argv = [str(self.build / "sluicectl"), "--socket", self.socket, *args]
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.processes.append(("sluicectl", p))
        return p

    def ctl_end(self, p, timeout=45):
        """Show what it says, line by line -> its exit code."""
        out, _ = p.communicate(timeout=timeout)
        for line in out.splitlines():
            self.say(f"| {line}")
        return p.returncode

    def ctl(self, *args):
        self.show_command(args)
        return self.ctl_end(self.ctl_start(*args))

    def show_command(self, args):
        self.say("$ sluicectl " + " ".join(args).replace(self.rollout_file, "rollout.jsonc"))

    @property
    def rollout_file(self):
        return str(self.directory / "rollout.jsonc")

    def deploy_args(self, version, addresses):
        pathlib.Path(self.rollout_file).write_text(json.dumps(ROLLOUT, indent=2))
        return ["deploy", "shop", "--version", version,
                *(x for a in addresses for x in ("--endpoint", a)), "-f", self.rollout_file,
                "--wait"]

    # --- the stories ---

    def prepare(self):
        self.title("0  A shop, a crowd, a proxy between them")
        redis_port = self.redis()
        self.redis_port = redis_port
        v1, v1_next = self.shop("v1"), self.shop("v1", name="checkout-next")
        self.sluice(v1, v1_next, redis_port)
        self.crowd = Crowd(self.port)
        until("the crowd gets answers", lambda: len(self.crowd.seen) > 400, 10)
        self.say(f"shop v1 with 2 endpoints, checkout-next, redis, sluice with 2 workers; about "
                 f"{self.crowd.rate:.0f} requests/s")
        self.no_failures(0, "before anything happens")

    def no_failures(self, since, when, version=None):
        seen = self.crowd.between(since)
        bad = [s for s in seen if (s.status == 0 or s.status >= 500) and s.version != version]
        self.expect(seen and not bad, f"no failed request {when} ({len(seen)} requests)"
                    + (f": {bad[:2]}" if bad else ""))

    def settle(self, rollout_id):
        """The rollout once its last requests are counted too."""
        time.sleep(1.2)
        return self.api("GET", f"/v1/rollouts/{rollout_id}")

    def show_steps(self, r):
        for step in r["steps"][:-1]:
            if not (step["started"] and step["ended"]):
                continue
            start, end = unix_time(step["started"]), unix_time(step["ended"])
            seen = [s for s in self.crowd.between(start + 0.1, end) if s.service == "shop"]
            hits = sum(s.version == r["version"] for s in seen)
            self.say(f"step {step['weight']:5.1f} %  {end - start:5.1f} s   clients got "
                     f"{hits} of {len(seen)} answers from {r['version']} "
                     f"({percent(hits, len(seen)):.1f} %)")

    def good_release(self):
        self.title("1  A good release: v2 goes 5, 25, 50, 100 %")
        v2, since = self.shop("v2"), time.time()
        code = self.ctl(*self.deploy_args("v2", v2))
        self.expect(code == 0, f"deploy --wait ends with 0 (is {code})")
        r = self.rollout("v2") or {}
        self.expect(r.get("state") == "succeeded", f"the rollout {r.get('state')}")
        self.expect([s["weight"] for s in r["steps"] if s["state"] == "done"]
                    == [5, 25, 50, 100], "all four steps were taken")
        self.show_steps(r)
        done = time.time()
        time.sleep(0.7)
        late = [s for s in self.crowd.between(done) if s.service == "shop"]
        self.expect(late and all(s.version == "v2" for s in late),
                    f"after it every answer is v2's ({len(late)} looked at)")
        self.no_failures(since, "during the release")
        self.figure("good release, start to 100 %",
                    f"{unix_time(r['finished']) - unix_time(r['created']):.1f} s")

    def bad_release(self):
        self.title("2  A bad release: v3 fails 3 % of /checkout and is slower")
        v3, since = self.shop("v3", work=17, fail_checkout=0.03), time.time()
        code = self.ctl(*self.deploy_args("v3", v3))
        self.expect(code == 3, f"deploy --wait ends with 3: rolled back automatically (is {code})")
        r = self.rollout("v3") or {}
        self.expect(r.get("state") == "reverted", f"the rollout {r.get('state')}")
        r = self.settle(r["id"])
        result = r["result"]
        self.expect(result["verdict"] == "regressed", f"by the judge: {result['reason']}")
        upstream = self.shop_stats(int(v3[0].rpartition(":")[2]))
        clients = [s for s in self.crowd.between(since) if s.version == "v3"]
        verdict = unix_time(result["verdict_at"])
        after_ms = (upstream["last_request"] - verdict) * 1000
        late = [s for s in self.crowd.between(verdict + LAST_REQUEST_MS / 1000)
                if s.version == "v3"]

        self.figure("time to detection (first request to verdict)",
                    f"{result['detected_ms'] / 1000:.1f} s")
        self.figure("requests exposed (sluice, v3 itself, clients)",
                    f"{result['exposed_requests']}, {upstream['requests']}, {len(clients)}")
        self.figure("of those failed (sluice, v3 itself, clients)",
                    f"{result['bad_requests']}, {upstream['failed']}, "
                    f"{sum(s.status >= 500 for s in clients)}")
        self.figure("evidence", f"{result['class']}: e-value {result['evalue']:.4g}, "
                    f"limit {result['limit']:.4g}")
        self.figure("verdict to weight 0 on all workers", f"{result['revert_ms']:.1f} ms")
        self.figure("verdict to last request on v3 (sluice, v3)",
                    f"{result['last_request_ms']:.0f} ms, {after_ms:.0f} ms")
        self.expect(result["exposed_requests"] == upstream["requests"] == len(clients),
                    "sluice, v3 and the clients count the same exposed requests")
        self.expect(result["bad_requests"] == upstream["failed"],
                    "and the same failed ones")
        self.expect(result["revert_ms"] <= REVERT_MS,
                    f"weight 0 was live within {REVERT_MS} ms of the verdict")
        self.expect(max(after_ms, result["last_request_ms"]) <= LAST_REQUEST_MS and not late,
                    f"no request reached v3 later than {LAST_REQUEST_MS} ms after it")
        self.no_failures(since, "but those that v3 made", version="v3")

    def set_flag(self, on):
        """ON per cent of the users get the new checkout."""
        path = f"/v1/flags/{FLAG}"
        status, _, head = self.call("GET", path)
        tag = {"If-Match": head["etag"]} if status == 200 else {"If-None-Match": "*"}
        self.api("PUT", path, {
            "state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
            "targeting": {"fractional": [["on", on], ["off", 100 - on]]}}, tag)

    def checkouts(self, seconds):
        """Wait, then count: (from the new service, of all, users that saw both)."""
        start = time.time()
        time.sleep(seconds)
        seen = [s for s in self.crowd.between(start, time.time() - 0.1) if s.path == "/checkout"
                and s.status == 201]
        new = [s for s in seen if s.service == "checkout-next"]
        both = {s.user for s in new} & {s.user for s in seen if s.service != "checkout-next"}
        return len(new), len(seen), len(both)

    def flag(self):
        self.title(f"3  A flag: {FLAG} from 0 to 50 % of the users, then killed")
        since = time.time()
        self.set_flag(0)
        self.expect("fractional" in self.redis_ask(self.redis_port, "HGET", "{ff:demo}:flags",
                                                   FLAG), "the flag is in Redis")
        new, seen, _ = self.checkouts(1.5)
        self.figure("flag at 0 %: answers of the new checkout", f"{new} of {seen}")
        self.expect(seen and new == 0, "nobody gets the new checkout")
        self.set_flag(50)
        new, seen, both = self.checkouts(4)
        self.figure("flag at 50 %", f"{new} of {seen} ({percent(new, seen):.1f} %)")
        self.expect(seen > 100 and 40 <= percent(new, seen) <= 60, "half of them get it")
        self.expect(both == 0, "and each user always the same")
        start = time.time()
        code = self.ctl("flag", "kill", FLAG, "--variant", "off", "--reason", "demo", "--yes")
        killed = time.time()
        new, seen, _ = self.checkouts(2)
        late = [s.at - start for s in self.crowd.between(start)
                if s.service == "checkout-next"]
        self.expect(code == 0, f"flag kill ends with 0 (is {code})")
        self.figure("flag killed: answers of the new checkout", f"{new} of {seen}")
        self.figure("kill asked for to last answer of it", f"{max(late, default=0) * 1000:.0f} ms "
                    f"(the command took {(killed - start) * 1000:.0f} ms)")
        self.expect(seen and new == 0, "once the command is back nobody gets it")
        self.no_failures(since, "while the flag moved")

    def controller_pid(self):
        return self.api("GET", "/v1/status")["controller"]["pid"]

    def killed_controller(self):
        self.title("4  kill -9 of the controller in the middle of a canary: v4")
        v4, since = self.shop("v4"), time.time()
        args = self.deploy_args("v4", v4)
        self.show_command(args)
        deploy = self.ctl_start(*args)
        before = until("v4 is at 25 %", lambda: (r := self.rollout("v4"))
                       and r["weight"]["set"] >= 25 and r["state"] == "stepping" and r, 30)
        pid, start = self.controller_pid(), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.say(f"kill -9 {pid} at {before['weight']['set']:g} %")
        until("another controller answers", lambda: self.controller_pid() != pid, 15)
        back = time.monotonic() - start
        code = self.ctl_end(deploy)
        after = self.settle(before["id"])
        self.expect(code == 0, f"deploy --wait outlives it and ends with 0 (is {code})")
        self.expect(after["state"] == "succeeded", f"the rollout {after['state']}")
        self.expect(after["steps"][0]["started"] == before["steps"][0]["started"]
                    and after["created"] == before["created"], "it went on, not again")
        self.figure("controller killed to API answering again", f"{back * 1000:.0f} ms")
        self.show_steps(after)
        self.no_failures(since, "through all of it")

    def report(self):
        self.title("5  The report of the rollout that came back")
        r = self.rollout("v3")
        status, text, _ = self.call("GET", f"/v1/rollouts/{r['id']}/report")
        self.expect(status == 200 and "v3" in text, "sluice writes it")
        for line in text.splitlines()[:30]:
            self.say(f"| {line}"[:110])

    # --- the end ---

    def end(self):
        """Stop everything; what could not be stopped or removed."""
        left = []
        if self.crowd:
            self.crowd.stop()
        for name, p in reversed(self.processes):
            if p.poll() is None:
                p.terminate()
        for name, p in reversed(self.processes):
            try:
                p.wait(8)
            except subprocess.TimeoutExpired:
                left.append(f"{name} did not end on SIGTERM")
            if self.group_lives(p.pid):
                left.append(f"{name} left a process behind")
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        return left

    @staticmethod
    def group_lives(pgid):
        end = time.monotonic() + 1
        while time.monotonic() < end:
            try:
                os.killpg(pgid, 0)
            except ProcessLookupError:
                return False
            time.sleep(0.02)
        return True

    def show_logs(self):
        for path in sorted(self.directory.glob("*.log")):
            if path.name != "access.log":
                print(f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-25:],
                      sep="\n")

    def tell(self):
        self.prepare()
        self.good_release()
        self.bad_release()
        self.flag()
        self.killed_controller()
        self.report()

    def summary(self):
        failed = [what for ok, what in self.expected if not ok]
        took = time.monotonic() - self.began
        self.title("Measured in this run")
        for what, value in self.figures:
            self.say(f"{what:<46} {value}")
        self.title(f"{len(self.expected) - len(failed)} of {len(self.expected)} expectations held, "
                   f"{took:.0f} s")
        for what in failed:
            self.say(f"FAILED: {what}")
        return failed


def on_alarm(*_):
    raise Broken(f"not done within {LIMIT_S} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    options = parser.parse_args()
    demo = Demo(options.build)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.alarm(LIMIT_S)
    whole = False
    try:
        demo.tell()
        whole = True
    except KeyboardInterrupt:
        print("interrupted")
    except Exception as e:  # whatever it was: say it, clean up, fail
        demo.expect(False, f"the demo ran to its end: {type(e).__name__}: {e}")
    finally:
        signal.alarm(0)
        for signo in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signo, signal.SIG_IGN)  # it is ending already
        try:
            left = demo.end()
            demo.expect(not left, "no process is left" + (f": {left}" if left else ""))
            failed = demo.summary()
            if failed:
                demo.show_logs()
        finally:
            shutil.rmtree(demo.directory, ignore_errors=True)
    sys.exit(0 if whole and not failed else 1)


if __name__ == "__main__":
    main()
