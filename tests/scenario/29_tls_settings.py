#!/usr/bin/env python3
"""TLS settings of a listener: versions, ciphers and groups are what openssl s_client finds."""
import importlib
import json
import pathlib
import re
import subprocess
import sys

from harness import free_port, story

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pki = importlib.import_module("27_tls").pki

SETTINGS = {  # listener: its settings
    "usual": {},
    "new": {"min_version": "1.3"},
    "old": {"max_version": "1.2"},
    "cipher": {"max_version": "1.2", "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"},
    "suite": {"ciphersuites": "TLS_CHACHA20_POLY1305_SHA256"},
    "curve": {"curves": "P-384"},
}
FOUND = [  # listener, arguments of s_client, what it says; None: no handshake
    ("usual", (), "TLSv1.3 TLS_AES_128_GCM_SHA256 X25519"),
    ("usual", ("-tls1_2",), "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 X25519"),
    ("usual", ("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"), None),
    ("usual", ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"), None),
    ("usual", ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"),
     "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 X25519"),
    ("usual", ("-ciphersuites", "TLS_AES_256_GCM_SHA384"), "TLSv1.3 TLS_AES_256_GCM_SHA384 X25519"),
    ("usual", ("-curves", "P-256"), "TLSv1.3 TLS_AES_128_GCM_SHA256 ECDH, prime256v1"),
    ("usual", ("-curves", "P-521"), None),
    ("new", (), "TLSv1.3 TLS_AES_128_GCM_SHA256 X25519"),
    ("new", ("-tls1_2",), None),
    ("old", (), "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 X25519"),
    ("old", ("-tls1_3",), None),
    ("cipher", (), "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 X25519"),
    ("cipher", ("-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"), None),
    ("suite", (), "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 X25519"),
    ("suite", ("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"), None),
    ("suite", ("-tls1_2",), "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 X25519"),
    ("curve", (), "TLSv1.3 TLS_AES_128_GCM_SHA256 ECDH, secp384r1"),
    ("curve", ("-tls1_2",), "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 ECDH, secp384r1"),
    ("curve", ("-curves", "X25519:P-256"), None),
]
WRONG = [  # settings that are refused when the file is loaded, and where
    ({"ciphers": "NONSENSE"}, "/listeners/usual/tls/ciphers"),
    ({"ciphers": "HIGH:ECDHE-RSA-AES128-GCM-SHA265"}, "/listeners/usual/tls/ciphers"),
    ({"ciphersuites": "TLS_AES_128_GCM_SHA256:TLS_NONSENSE"}, "/listeners/usual/tls/ciphersuites"),
    ({"ciphersuites": "TLS_NONSENSE"}, "/listeners/usual/tls/ciphersuites"),
    ({"curves": "X25519:nonsense"}, "/listeners/usual/tls/curves"),
    ({"min_version": "1.3", "max_version": "1.2"}, "/listeners/usual/tls/max_version"),
]


def s_client(port, *args):
    """What openssl s_client finds there: "version cipher group", or None; and all it says."""
    out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername",
                          "shop.test", *args], input=b"", capture_output=True, check=False).stdout
    out = out.decode(errors="replace")
    new = re.search(r"New, \S+, Cipher is (\S+)", out)
    if not new or new[1] == "(NONE)":
        return None, out
    version = re.search(r"Protocol\s*: (\S+)", out) or re.search(r"New, (\S+),", out)
    group = re.search(r"Server Temp Key: (ECDH, \w+|\w+)", out)
    return f"{version[1]} {new[1]} {group[1] if group else '-'}", out


def tell(t):
    issue = pki(t.directory)
    pair = issue("shop", "shop.test")
    v1 = t.origin("v1")
    ports = {name: free_port() for name in SETTINGS}

    def listener(name, **more):
        return {"address": f"127.0.0.1:{ports[name]}",
                "tls": {"certificates": [pair], **SETTINGS[name], **more}}
    s = t.sluice(services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}},
                 listeners={name: listener(name) for name in SETTINGS})
    for name, args, want in FOUND:
        found, said = s_client(ports[name], *args)
        t.equal(found, want, f"{name} {args}: {said[-600:]}")
    for more, pointer in WRONG:
        s.config["listeners"]["usual"] = listener("usual", **more)
        s.write_config()
        a = s.call("POST", "/v1/config:reload")
        t.equal(a.status, 422, f"{more}: {a.body}")
        wrong = json.loads(a.body)["diagnostics"][0]
        t.equal(wrong["pointer"], pointer, f"where {more}")
        t.check(wrong["line"] > 0, f"{wrong}")
        if "GCM-SHA265" in str(more):
            t.check("ECDHE-RSA-AES128-GCM-SHA256" in wrong["hint"], f"{wrong}")
    t.equal(s_client(ports["usual"])[0], FOUND[0][2], "the old settings stay")


if __name__ == "__main__":
    story(__doc__, tell)
