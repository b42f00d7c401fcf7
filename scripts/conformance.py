#!/usr/bin/env python3
"""conformance.py --build BUILD --dir DIR - run the corpora in DIR/corpus with the runners in
DIR/tools against a real sluice, print the scores, and fail on what may never happen: a broken
forward, a smuggled request, a look-alike that went through, a bad answer that was passed on.

A corpus says what its author wants of a server; where the profile of sluice differs on purpose,
POLICY names the cases. Every other case that is to be taken and is refused is a failure."""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "scenario"))
from harness import Sluice, free_port  # noqa: E402

FRAGMENT = "no fragment in a target (RFC 9112 3.2)"
HOST = "the second request has no Host (RFC 9112 3.2: 400)"
CODING = "not exactly one coding, chunked: it is not ours to undo (RFC 9112 6.1: 501; 6.3: 400)"
USERINFO = "no userinfo in a target (RFC 9110 4.2.4)"
CONNECT = "no CONNECT: this is no tunnel (RFC 9110 9.3.6)"
VERSION = "neither HTTP/1.0 nor HTTP/1.1 (RFC 9112 2.3)"
SWITCH = "a 101 that nobody asked for (RFC 9110 15.2.2)"
EMPTY = "an empty line before an answer: only servers skip one (RFC 9112 2.2)"
METHOD = "any token is a method (RFC 9110 9.1)"
TRAILER = "forbidden trailers are dropped (RFC 9110 6.5.1)"

# Taken by the corpus's author, refused here. The value is the rule.
REFUSED = {
    "gunicorn/valid/005.http": FRAGMENT,
    "gunicorn/valid/009.http": "a length and a coding (RFC 9112 6.1)",
    "gunicorn/valid/018.http": HOST,
    "gunicorn/valid/022.http": HOST,
    "gunicorn/valid/023.http": HOST,
    "gunicorn/valid/025.http": CODING,
    "gunicorn/valid/025_line.http": CODING,
    "gunicorn/valid/027.http": "no bytes above 0x7f in a target (RFC 3986 2)",
    "gunicorn/valid/029.http": CODING,
    "gunicorn/valid/030.http": CODING,
    "gunicorn/valid/040.http":
        "names that look like framing fields: services fold \"_\" to \"-\" (RFC 3875 4.1.18)",
    "gunicorn/valid/rfc9112_smuggle_gzip_chunked_01.http": CODING,
    "gunicorn/valid/rfc9112_smuggle_te_identity_chunked_01.http": CODING,
    "gunicorn/valid/rfc9112_target_absolute_userinfo_01.http": USERINFO,
    "gunicorn/valid/rfc9112_target_authority_connect_01.http": CONNECT,
    "gunicorn/valid/rfc9112_target_authority_ipv6_01.http": CONNECT,
    "llhttp/request/method.md#CONNECT request": CONNECT,
    "llhttp/request/method.md#CONNECT request with CAPS": CONNECT,
    "llhttp/request/method.md#CONNECT with body": CONNECT,
    "llhttp/request/method.md#M-SEARCH request": "\"*\" is for OPTIONS (RFC 9112 3.2.4)",
    "llhttp/request/method.md#SOURCE request with ICE": VERSION,
    "llhttp/request/method.md#OPTIONS request with RTSP": VERSION,
    "llhttp/request/method.md#ANNOUNCE request with RTSP": VERSION,
    "llhttp/request/sample.md#No HTTP version": VERSION,
    "llhttp/request/transfer-encoding.md#POST with `chunked` as last transfer-encoding":
        CODING,
    "llhttp/request/transfer-encoding.md#POST with `chunked` as last transfer-encoding "
    "(multiple headers)": CODING,
    "llhttp/request/uri.md#Fragment in URI": FRAGMENT,
    "llhttp/request/uri.md#Underscore in hostname": CONNECT,
    "llhttp/request/uri.md#`host:port` and basic auth": USERINFO,
    "llhttp/response/connection.md#HTTP 101 response with Upgrade and Content-Length header":
        SWITCH,
    "llhttp/response/connection.md#HTTP 101 response with Upgrade and Transfer-Encoding header":
        SWITCH,
    "llhttp/response/connection.md#HTTP 100 first, then 400": EMPTY,
    "llhttp/response/sample.md#RTSP response": VERSION,
    "llhttp/response/sample.md#ICE response": VERSION,
    "llhttp/response/sample.md#HTTP version 0.9": VERSION,
    "llhttp/response/sample.md#Response starting with CRLF": EMPTY,
    "llhttp/response/transfer-encoding.md#`chunked` before other transfer-encoding":
        CODING,
    "llhttp/response/transfer-encoding.md#multiple transfer-encoding where chunked is not the "
    "last one": CODING,
    "llhttp/response/transfer-encoding.md#`chunkedchunked` transfer-encoding does not enable "
    "chunked enconding": CODING,
}
# Refused by the corpus's author, taken here and harmless.
TAKEN = {
    "gunicorn/invalid/003c.http": METHOD,
    "gunicorn/invalid/041.http": "Content-Type twice: the service judges it (RFC 9110 5.3)",
    "gunicorn/invalid/rfc9110_trailer_forbidden_cl_01.http": TRAILER,
    "gunicorn/invalid/rfc9110_trailer_forbidden_host_01.http": TRAILER,
    "gunicorn/invalid/rfc9110_trailer_forbidden_te_01.http": TRAILER,
    "llhttp/request/connection.md#No restart when keep-alive is off (1.0)":
        "what follows the last request is not read (RFC 9112 9.6)",
    "llhttp/request/invalid.md#HTTP protocol and ANNOUNCE method": METHOD,
    "llhttp/request/invalid.md#Invalid method": METHOD,
}


def run(args, tool, files, out, port, backend):
    """Run TOOL over FILES -> its verdicts."""
    argv = [sys.executable, args.dir / "tools" / tool, "--port", str(port), "--backend-port",
            str(backend), "--name", "sluice", "--out", out, *files]
    subprocess.run(argv, check=True, timeout=900)
    return [json.loads(line) for line in out.read_text().splitlines()]


def corpora(args, direction):
    """The corpus files with cases of DIRECTION, req or resp."""
    def has(path):
        return any(json.loads(line)["dir"] == direction for line in path.open())
    return [p for p in sorted((args.dir / "corpus").glob("*.jsonl")) if has(p)]


def judge(requests, answers):
    """Print the scores; 1 if one of them is not what it has to be."""
    wrong, score = [], collections.Counter()
    for r in requests + answers:
        verdict, unfinished = r["v"], r["v"] == "wait" and r.get("strict") == "more"
        score[verdict] += 1
        if verdict in ("DIRTY", "SMUGGLED", "lookalike", "DESYNC"):
            wrong.append(r)
        elif r["g"] == "pass" or unfinished:  # the case breaks off: waiting is right
            continue
        elif r["exp"] == "accept" and r["id"] in REFUSED:
            score["refused by the profile"] += 1
        elif r["exp"] == "reject" and r["id"] in TAKEN:
            score["taken by the profile"] += 1
        else:
            wrong.append(r)
    bad = [r for r in answers if r["exp"] == "reject"]
    for r in wrong:
        print("WRONG", json.dumps({k: r[k] for k in ("id", "exp", "v", "st")}))
    print(f"conformance: {len(requests)} requests, {len(answers)} answers; "
          f"{score['DIRTY']} broken forwards, {score['SMUGGLED']} smuggled, "
          f"{score['lookalike']} look-alikes, {score['DESYNC']} desyncs; "
          f"bad answers refused {sum(r['g'] == 'pass' for r in bad)} of {len(bad)}; "
          f"differs from the corpora on purpose: {score['refused by the profile']} refused, "
          f"{score['taken by the profile']} taken; {len(wrong)} wrong")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--dir", type=pathlib.Path, required=True)
    parser.add_argument("--keep", type=pathlib.Path, help="directory for verdicts and logs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        directory = args.keep or pathlib.Path(tmp)
        backend = free_port()
        s = Sluice(args.build.resolve(), directory, {
            "workers": 1,
            "services": {"s": {"versions": {"v1": {"endpoints": [f"127.0.0.1:{backend}"]}}}}})
        try:
            s.wait_ready()
            requests = run(args, "run_corpus.py", corpora(args, "req"), directory / "req.jsonl",
                           s.port, backend)
            answers = run(args, "run_resp.py", corpora(args, "resp"), directory / "resp.jsonl",
                          s.port, backend)
        finally:
            s.stop()
    return judge(requests, answers)


sys.exit(main())
