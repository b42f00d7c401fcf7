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

# Taken by the corpus's author, refused here. The value is the rule.
REFUSED = {
    "gunicorn/valid/005.http": "no fragment in a target (RFC 9112 3.2)",
    "gunicorn/valid/009.http": "a length and a coding",
    "gunicorn/valid/018.http": "the second request has no Host",
    "gunicorn/valid/022.http": "the second request has no Host",
    "gunicorn/valid/023.http": "the second request has no Host",
    "gunicorn/valid/025.http": "more than one Transfer-Encoding",
    "gunicorn/valid/025_line.http": "a coding that is not chunked",
    "gunicorn/valid/027.http": "bytes above 0x7f in a target",
    "gunicorn/valid/029.http": "more than one Transfer-Encoding",
    "gunicorn/valid/030.http": "more than one Transfer-Encoding",
    "gunicorn/valid/040.http": "names that look like framing fields",
    "gunicorn/valid/rfc9112_smuggle_gzip_chunked_01.http": "a coding that is not chunked",
    "gunicorn/valid/rfc9112_smuggle_te_identity_chunked_01.http": "a coding that is not chunked",
    "gunicorn/valid/rfc9112_target_absolute_userinfo_01.http": "no userinfo in a target",
    "gunicorn/valid/rfc9112_target_authority_connect_01.http": "no CONNECT",
    "gunicorn/valid/rfc9112_target_authority_ipv6_01.http": "no CONNECT",
    "llhttp/request/method.md#CONNECT request": "no CONNECT",
    "llhttp/request/method.md#CONNECT request with CAPS": "no CONNECT",
    "llhttp/request/method.md#CONNECT with body": "no CONNECT",
    "llhttp/request/method.md#M-SEARCH request": "\"*\" is for OPTIONS (RFC 9112 3.2.4)",
    "llhttp/request/method.md#SOURCE request with ICE": "not HTTP",
    "llhttp/request/method.md#OPTIONS request with RTSP": "not HTTP",
    "llhttp/request/method.md#ANNOUNCE request with RTSP": "not HTTP",
    "llhttp/request/sample.md#No HTTP version": "HTTP/0.9",
    "llhttp/request/transfer-encoding.md#POST with `chunked` as last transfer-encoding":
        "a coding that is not chunked",
    "llhttp/request/transfer-encoding.md#POST with `chunked` as last transfer-encoding "
    "(multiple headers)": "more than one Transfer-Encoding",
    "llhttp/request/uri.md#Fragment in URI": "no fragment in a target (RFC 9112 3.2)",
    "llhttp/request/uri.md#Underscore in hostname": "no CONNECT",
    "llhttp/request/uri.md#`host:port` and basic auth": "no userinfo in a target",
    "llhttp/response/connection.md#HTTP 101 response with Upgrade and Content-Length header":
        "a 101 that nobody asked for",
    "llhttp/response/connection.md#HTTP 101 response with Upgrade and Transfer-Encoding header":
        "a 101 that nobody asked for",
    "llhttp/response/connection.md#HTTP 100 first, then 400": "an empty line before an answer",
    "llhttp/response/sample.md#RTSP response": "not HTTP",
    "llhttp/response/sample.md#ICE response": "not HTTP",
    "llhttp/response/sample.md#HTTP version 0.9": "HTTP/0.9",
    "llhttp/response/sample.md#Response starting with CRLF": "an empty line before an answer",
    "llhttp/response/transfer-encoding.md#`chunked` before other transfer-encoding":
        "a coding that is not chunked",
    "llhttp/response/transfer-encoding.md#multiple transfer-encoding where chunked is not the "
    "last one": "a coding that is not chunked",
    "llhttp/response/transfer-encoding.md#`chunkedchunked` transfer-encoding does not enable "
    "chunked enconding": "a coding that is not chunked",
}
# Refused by the corpus's author, taken here and harmless.
TAKEN = {
    "gunicorn/invalid/003c.http": "any token is a method",
    "gunicorn/invalid/041.http": "Content-Type twice: the service judges it",
    "gunicorn/invalid/rfc9110_trailer_forbidden_cl_01.http": "forbidden trailers are dropped",
    "gunicorn/invalid/rfc9110_trailer_forbidden_host_01.http": "forbidden trailers are dropped",
    "gunicorn/invalid/rfc9110_trailer_forbidden_te_01.http": "forbidden trailers are dropped",
    "llhttp/request/connection.md#No restart when keep-alive is off (1.0)":
        "what follows the last request is not read",
    "llhttp/request/invalid.md#HTTP protocol and ANNOUNCE method": "any token is a method",
    "llhttp/request/invalid.md#Invalid method": "any token is a method",
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
