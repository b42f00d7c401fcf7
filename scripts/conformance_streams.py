#!/usr/bin/env python3
"""conformance_streams.py --build BUILD --dir DIR - replay recorded HTTP/2 clients against a real
sluice: each file in DIR is what one client sent, conformance suites among them. After the last byte
the client closes its half. Every connection has to end, and sluice after them with status 0, which
with BUILD made by the sanitizers says that nothing leaked."""
import argparse
import pathlib
import socket
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "scenario"))
from harness import SANITIZER, Origin, Sluice, free_port  # noqa: E402

LIMIT = 30  # seconds for one connection
GOAWAY = 7


def frames(data):
    """The (type, payload) that came back."""
    while len(data) >= 9:
        n = int.from_bytes(data[:3], "big")
        yield data[3], data[9:9 + n]
        data = data[9 + n:]


def replay(port, sent):
    """-> (whether the connection ended, the code of its GOAWAY or None)."""
    came = b""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as c:
        try:
            c.sendall(sent)
            c.shutdown(socket.SHUT_WR)
            while data := c.recv(65536):
                came += data
        except TimeoutError:
            return False, None
        except OSError:
            pass  # it is gone
    codes = [int.from_bytes(p[4:8], "big") for kind, p in frames(came) if kind == GOAWAY]
    return True, codes[-1] if codes else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--dir", type=pathlib.Path, required=True)
    args = parser.parse_args()
    files = sorted(p for p in args.dir.rglob("*") if p.is_file())
    origin, port, wrong, refused = Origin("v1"), free_port(), [], 0
    with tempfile.TemporaryDirectory() as tmp:
        s = Sluice(args.build.resolve(), pathlib.Path(tmp), {
            "workers": 1,
            "listeners": {"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]}},
            "services": {"s": {"versions": {"v1": {"endpoints": [origin.address]}}}}})
        try:
            s.wait_ready()
            before = s.children()
            for path in files:
                ended, code = replay(port, path.read_bytes())
                refused += code not in (None, 0)
                if not ended:
                    wrong.append(f"{path.name}: open after {LIMIT} s")
            if s.children() != before:
                wrong.append("a process died")
        finally:
            s.stop()
            origin.stop()
        report = SANITIZER.search(s.log())
        if report:
            wrong.append(s.log()[report.start():][:4000])
    for line in wrong:
        print("WRONG", line)
    print(f"conformance: {len(files)} recorded clients, {refused} refused by GOAWAY, {len(wrong)} wrong")
    return 1 if wrong or not files else 0


sys.exit(main())
