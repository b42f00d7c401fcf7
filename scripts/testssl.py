#!/usr/bin/env python3
"""testssl.sh against a TLS listener on 127.0.0.1: no finding above LOW. It takes minutes.

With RSA and ECDSA certificates of a CA of our own, an OCSP response, and the security fields of
the answer set by a route, as an operator would have them.
"""
import importlib
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "scenario"))
harness = importlib.import_module("harness")
pki = importlib.import_module("27_tls").pki
Responder = importlib.import_module("29_tls_staple").Responder

SECTIONS = ("--protocols", "--std", "--pfs", "--server-preference", "--server-defaults", "--headers",
            "--vulnerable")  # the others, simulated clients, find no fault with anything
HARMLESS = ("OK", "INFO", "LOW", "DEBUG")
EXTENSIONS = """authorityInfoAccess=OCSP;URI:http://ocsp.test/
extendedKeyUsage=serverAuth
keyUsage=digitalSignature
"""
FIELDS = {"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "DENY",
          "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'self'"}


def findings(file):
    """The array that testssl writes, also when it was not closed."""
    text = file.read_text()
    return [json.loads(m) for m in re.findall(r"\{[^{}]*\}", text) if '"severity"' in m]


def tell(t):
    testssl = shutil.which("testssl") or shutil.which("testssl.sh")
    if not testssl:
        raise harness.Skip("there is no testssl (Debian package testssl.sh)")
    issue, responder = pki(t.directory), Responder(t.directory)
    pairs = [issue("ec", "localhost", days=80, more=EXTENSIONS),
             issue("rsa", "localhost", days=80, more=EXTENSIONS, kind=("rsa:2048",))]
    for p in pairs:
        file = t.directory / p["cert"]
        file.write_bytes(file.read_bytes() + (t.directory / "ca.pem").read_bytes())
        p["ocsp"] = p["cert"].replace(".pem", ".ocsp")
        responder.answer(p["cert"], p["ocsp"])
    v1, port = t.origin("v1"), harness.free_port()
    t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}},
             routes=[{"path": "/", "service": "shop",
                      "response_headers": {"set": FIELDS, "remove": ["x-endpoint"]}}],
             listeners={"tls": {"address": f"127.0.0.1:{port}", "tls": {"certificates": pairs}}})
    out = t.directory / "testssl.json"
    subprocess.run([testssl, *SECTIONS, "--quiet", "--color", "0", "--warnings", "batch", "--ip", "one",
                    "--add-ca", t.directory / "ca.pem", "--jsonfile", out,
                    f"https://localhost:{port}"], check=False, stdout=subprocess.DEVNULL)
    found = findings(out)
    t.check(len(found) > 60, f"testssl looked at {len(found)} things only")
    counts = {}
    for f in found:
        counts[f["severity"]] = counts.get(f["severity"], 0) + 1
    t.say("testssl: " + ", ".join(f"{n} {severity}" for severity, n in sorted(counts.items())))
    for f in found:
        if f["severity"] not in ("OK", "INFO"):
            t.say(f"  {f['severity']} {f['id']}: {f['finding']}")
    t.equal([f for f in found if f["severity"] not in HARMLESS], [], "findings above LOW")


if __name__ == "__main__":
    harness.story(__doc__, tell)
