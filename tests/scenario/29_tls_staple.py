#!/usr/bin/env python3
"""OCSP: the response of a file is stapled, a new one after a reload, a bad one never."""
import importlib
import json
import pathlib
import subprocess
import sys

from harness import free_port, story

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pki = importlib.import_module("27_tls").pki


class Responder:
    """openssl ocsp as a CA's responder."""

    def __init__(self, directory):
        self.directory = directory

    def openssl(self, *args):
        return subprocess.run(["openssl", *args], cwd=self.directory, check=True,
                              capture_output=True, text=True).stdout

    def answer(self, cert, out, state="V", ca="ca", days=3):
        """The response of CA about CERT, in OUT: (V)alid or (R)evoked."""
        serial = self.openssl("x509", "-in", cert, "-noout", "-serial").strip().split("=")[1]
        revoked = "260101000000Z" if state == "R" else ""
        (self.directory / "index.txt").write_text(
            f"{state}\t391231235959Z\t{revoked}\t{serial}\tunknown\t/CN=shop\n")
        self.openssl("ocsp", "-issuer", f"{ca}.pem", "-cert", cert, "-no_nonce", "-reqout",
                     "request.der")
        self.openssl("ocsp", "-index", "index.txt", "-CA", f"{ca}.pem", "-rsigner", f"{ca}.pem",
                     "-rkey", f"{ca}.key", "-reqin", "request.der", "-respout", out, "-ndays",
                     str(days))


def stapled(port, name):
    """What s_client is told about the certificate's state: good, revoked, or None."""
    out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                          name, "-status"], input=b"", capture_output=True, check=False).stdout
    text = out.decode(errors="replace")
    if "OCSP response: no response sent" in text:
        return None
    return text.partition("Cert Status: ")[2].split()[0]


def tell(t):
    issue = pki(t.directory)
    responder = Responder(t.directory)
    pairs = {n: issue(n, f"{n}.test") for n in ("shop", "wild", "plain")}
    pairs["rsa"] = issue("rsa", "shop.test", kind=("rsa:2048",))
    for p in pairs.values():  # the issuer is in the file, as CAs hand them out
        file = t.directory / p["cert"]
        file.write_bytes(file.read_bytes() + (t.directory / "ca.pem").read_bytes())
    for name in ("shop", "wild", "rsa"):
        responder.answer(f"{name}.pem", f"{name}.ocsp")
        pairs[name]["ocsp"] = f"{name}.ocsp"
    v1 = t.origin("v1")
    port = free_port()
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}},
                 listeners={"tls": {"address": f"127.0.0.1:{port}", "tls": {
                     "certificates": [pairs[n] for n in ("shop", "rsa", "wild", "plain")]}}})

    def reload():
        s.api("POST", "/v1/config:reload")

    def ends():
        return {k: v for k, v in s.metrics().items() if k.startswith("sluice_ocsp_expiry")}
    for name in ("shop.test", "wild.test"):
        t.equal(stapled(port, name), "good", name)
    t.equal(stapled(port, "plain.test"), None, "no file, no response")
    listed = [c for c in s.status()["certificates"] if "shop.pem" in c["file"]]
    t.check(listed[0]["ocsp_next_update"] < listed[0]["not_after"],
            f"the status: {listed}")
    t.equal(len(ends()), 3, "the metrics say when they end")
    t.equal([w for w in s.status()["warnings"] if "OCSP" in w], [], "nothing to warn of")

    before = max(ends().values())
    responder.answer("wild.pem", "wild.ocsp", days=9)
    reload()
    t.check(max(ends().values()) > before + 86400, "a reload brings the new response")

    bad = {"about another": ("shop", "V", "ca"), "revoked": ("wild", "R", "ca"),
           "another CA's": ("wild", "V", "other-ca")}
    for what, (cert, state, ca) in bad.items():
        responder.answer(f"{cert}.pem", "wild.ocsp", state, ca)
        reload()
        t.equal(stapled(port, "wild.test"), None, what)
        t.equal(stapled(port, "shop.test"), "good", "others go on")
        warnings = [w for w in s.status()["warnings"] if "OCSP" in w]
        t.check(len(warnings) == 1 and "wild.ocsp is not stapled" in warnings[0],
                f"{what}: {warnings}")
        t.check("wild.ocsp is not stapled" in s.log(), "the log says so too")

    (t.directory / "wild.ocsp").write_text("junk")
    a = s.call("POST", "/v1/config:reload")
    t.equal(a.status, 422, "what is no response at all")
    t.equal(json.loads(a.body)["diagnostics"][0]["pointer"],
            "/listeners/tls/tls/certificates/2/ocsp", "the field")


if __name__ == "__main__":
    story(__doc__, tell)
