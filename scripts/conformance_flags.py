#!/usr/bin/env python3
"""conformance_flags.py --build BUILD --dir DIR [--seed N] - flags against the data and tools in DIR:

offline   known results of random flag sets, and fresh sets of new seeds beside the oracle,
          which is flagd's own evaluator: no difference where engines agree
fractional  exact vectors of all three generations
rules     suites of JSONLogic, each rule's value as the control API explains it
schema    documents that flagd's schemas take or refuse
clients   three real OpenFeature clients ask a real sluice, and raw checks of the protocol
events    a real web client is told of a change and asks again

Tools that need node are skipped without it."""
import argparse
import gzip
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "scenario"))
from harness import Telling, free_port  # noqa: E402

NOW = "1750000000"
FRESH = 3  # sets with new seeds
wrong = []


def note(what, ok, total):
    print(f"flags: {what}: {ok} of {total}")
    if ok != total or not total:
        wrong.append(what)


def lines(path):
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()
    with opened as f:
        return [json.loads(line) for line in f if line.strip()]


def offline(args, flags, contexts, now):
    """What sluicectl prints for FLAGS and CONTEXTS."""
    out = subprocess.run([args.build / "sluicectl", "flag", "eval", "--flags", flags,
                          "--contexts", contexts, "--now", now],
                         capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def compare(what, got, want):
    """Lines where engines agree; an error is an error, whatever it is called."""
    def shown(row):
        return {k: v for k, v in row.items() if k not in ("agree", "engines", "errorMessage")}

    results = {(r["i"], r["flag"]): shown(r) for r in got}
    rows = [r for r in want if r.get("agree")]
    good = 0
    for r in rows:
        mine = results.get((r["i"], r["flag"]))
        good += mine == shown(r)
        if mine != shown(r) and len(wrong) < 5:
            print("DIFFERS", json.dumps(mine), "want", json.dumps(shown(r)))
    note(what, good, len(rows))


def stored(args):
    random, kit = args.dir / "random", args.dir / "testbed/evaluator/flags/testkit-flags.json"
    for name, flags in (("typed-7", random / "typed-7.flags.json"), ("testkit", kit)):
        out = [p for p in random.glob(f"{name}.out.jsonl*")][0]
        compare(name, offline(args, flags, random / f"{name}.ctx.jsonl", args.now), lines(out))


def node(args, *argv, **options):
    return subprocess.run(["node", *map(str, argv)], cwd=args.dir / "tools", text=True,
                          capture_output=True, check=False, **options)


def fresh(args, directory):
    for i in range(FRESH):
        seed, out = args.seed + i, directory / f"fresh-{i}"
        made = node(args, "gen.mjs", "--seed", seed, "--flags", 300, "--contexts", 20,
                    "--profile", "typed", "--out", out)
        flags, contexts = pathlib.Path(f"{out}.flags.json"), pathlib.Path(f"{out}.ctx.jsonl")
        oracle = node(args, "oracle.mjs", "--flags", flags, "--contexts", contexts, "--now", NOW,
                      "--agree")
        if made.returncode or oracle.returncode:
            print(made.stderr, oracle.stderr)
        compare(f"seed {seed}", offline(args, flags, contexts, NOW),
                [json.loads(line) for line in oracle.stdout.splitlines()])


def split_by_flag(rows):
    """ROWS in parts that have each flag key once."""
    parts = []
    for r in rows:
        for seen, part in parts:
            if r["flag"] not in seen:
                break
        else:
            seen, part = set(), []
            parts.append((seen, part))
        seen.add(r["flag"])
        part.append(r)
    return [part for _, part in parts]


def fractional(args, directory):
    rows = lines(args.dir / "vectors/fractional.jsonl")
    names = sorted({w[0] for r in rows for w in r["weights"]})
    flags, contexts = directory / "fractional.json", directory / "fractional.jsonl"
    for generation in ("v1", "v2", "v3"):
        good = 0
        for r in rows:  # its flag key counts, and there may be several rules for one
            r["doc"] = {"state": "ENABLED", "variants": {n: n for n in names},
                        "targeting": {"fractional": r["weights"]}}
        for part in split_by_flag(rows):
            flags.write_text(json.dumps({"metadata": {"bucketing": generation},
                                         "flags": {r["flag"]: r["doc"] for r in part}}))
            contexts.write_text("".join(json.dumps(
                {"flag": r["flag"], "context": {"targetingKey": r["targetingKey"]}}) + "\n"
                for r in part))
            for r, mine in zip(part, offline(args, flags, contexts, NOW)):
                good += mine.get("variant") == (r[generation] or None)
        note(f"fractional {generation}", good, len(rows))


def cases(path):
    """(rule, data, result) of a suite in either of the forms that there are."""
    for c in json.loads(path.read_text()):
        if isinstance(c, list) and len(c) >= 3:
            yield c[0], c[1], c[2]
        elif isinstance(c, dict) and "rule" in c and "result" in c:
            yield c["rule"], c.get("data"), c["result"]


def served(t, build_flags, name):
    """A sluice that serves FLAGS, without Redis."""
    path = t.directory / f"{name}.json"
    path.write_text(json.dumps({"flags": build_flags}))
    return t.sluice(services={"none": {"versions": {"v1": {"endpoints": ["127.0.0.1:9"]}}}},
                    flags={"bootstrap": str(path)},
                    listeners={"web": {"address": f"127.0.0.1:{free_port()}", "ofrep": {}}})


def rules(args):
    t = Telling(args.build)
    try:
        for path in sorted((args.dir / "jsonlogic").glob("*.json")):
            suite = list(cases(path))
            s = served(t, {str(i): {"state": "ENABLED", "variants": {"a": 1},
                                    "targeting": {"if": [True, rule]}}
                           for i, (rule, _, _) in enumerate(suite)}, path.stem)
            good = asked = 0
            for i, (rule, data, want) in enumerate(suite):
                if not isinstance(data, (dict, type(None))):
                    continue  # a context is an object
                asked += 1
                a = s.call("POST", f"/v1/flags/{i}:explain", {"context": data or {}})
                e = json.loads(a.body)
                got = e["steps"][0]["value"] if e.get("steps") else e.get("decided_by")
                same = got == want and isinstance(got, bool) == isinstance(want, bool)
                good += same
                if not same:
                    print("DIFFERS", path.stem, json.dumps(rule), json.dumps(data), "gives",
                          json.dumps(got), "not", json.dumps(want))
            note(f"rules of {path.stem} ({len(suite) - asked} without an object as data)", good,
                 asked)
            s.stop()
    finally:
        t.end()
        shutil.rmtree(t.directory, ignore_errors=True)


def schema(args):
    t = Telling(args.build)
    try:
        s = served(t, {}, "none")
        good = total = 0
        for path in sorted((args.dir / "schema/test").glob("*/*/*.json")):
            doc = json.loads(path.read_text())
            if path.parts[-3] == "targeting":
                doc = {"flags": {"f": {"state": "ENABLED", "variants": {"a": 1},
                                       "targeting": doc}}, "$evaluators": {"some-ref": True}}
            elif isinstance(doc.get("flags"), list) and path.parts[-2] == "negative":
                continue  # taken on purpose, as the other schema does
            a = s.call("POST", "/v1/flags:validate", doc)
            found = json.loads(a.body)
            fine = a.status == 200 and found["valid"] and not any(
                w["code"] == "schema" for w in found["warnings"])
            total += 1
            good += fine == (path.parts[-2] == "positive")
            if fine != (path.parts[-2] == "positive"):
                print("DIFFERS", "/".join(path.parts[-3:]), a.body.decode()[:300])
        note("schema documents", good, total)
    finally:
        t.end()
        shutil.rmtree(t.directory, ignore_errors=True)


class Loader(BaseHTTPRequestHandler):
    """POST /__flags: these flags, from now on."""
    sluice = None

    def do_POST(self):
        flags = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["flags"]
        for key, flag in flags.items():
            a = self.sluice.call("PUT", f"/v1/flags/{key}", flag, {"If-Match": "*"})
            if a.status == 412:
                self.sluice.api("PUT", f"/v1/flags/{key}", flag, 201, {"If-None-Match": "*"})
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def online(args):
    kit = args.dir / "testbed/evaluator/flags/testkit-flags.json"
    t = Telling(args.build)
    loader = ThreadingHTTPServer(("127.0.0.1", 0), Loader)
    Thread(target=loader.serve_forever, daemon=True).start()
    try:
        redis = t.redis()
        s = t.sluice(
            services={"loader": {"versions": {"v1": {
                "endpoints": [f"127.0.0.1:{loader.server_port}"]}}}},
            flags={"redis": f"redis://127.0.0.1:{redis.port}/0", "bootstrap": str(kit)},
            listeners={"web": {"address": f"127.0.0.1:{free_port()}", "ofrep": {"keys": ["sesame"]}},
                       "open": {"address": f"127.0.0.1:{free_port()}", "ofrep": {}}})
        Loader.sluice = s
        for name, more in (("open", []), ("web", ["--token", "sesame"])):
            base = f"http://{s.config['listeners'][name]['address']}"
            r = node(args, "conformance.mjs", "--base", base, "--features",
                     "../testbed/evaluator/gherkin", *more)
            last = (r.stdout.splitlines() or [r.stderr])[-1]
            for line in r.stdout.splitlines():
                if line.startswith("FAIL"):
                    print(line)
            note(f"OpenFeature clients at {name}: {last}", int(r.returncode == 0), 1)
        events(args, t, f"http://{s.config['listeners']['open']['address']}")
    finally:
        loader.shutdown()
        t.end()
        shutil.rmtree(t.directory, ignore_errors=True)


def events(args, t, base):
    flag = {"state": "ENABLED", "variants": {"a": "A", "b": "B"}, "defaultVariant": "a"}
    files = []
    for variant in "ab":
        files.append(t.directory / f"flags-{variant}.json")
        files[-1].write_text(json.dumps({"flags": {"told": {**flag, "defaultVariant": variant}}}))
    r = node(args, "sse-check.mjs", base, *files, "told")
    note(f"events: {r.stdout.strip() or r.stderr}", int(r.returncode == 0), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=lambda p: pathlib.Path(p).resolve(), required=True)
    parser.add_argument("--dir", type=lambda p: pathlib.Path(p).resolve(), required=True)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--now", default=NOW, help="of the stored results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        stored(args)
        fractional(args, pathlib.Path(tmp))
        rules(args)
        schema(args)
        if shutil.which("node") and (args.dir / "tools/node_modules").is_dir():
            fresh(args, pathlib.Path(tmp))
            online(args)
        else:
            print("flags: clients SKIPPED: there is no node with the tools' modules")
    print(f"flags: {'wrong: ' + '; '.join(wrong) if wrong else 'no difference'}")
    return 1 if wrong else 0


sys.exit(main())
