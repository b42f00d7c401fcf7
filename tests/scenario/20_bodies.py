#!/usr/bin/env python3
"""One GiB goes up and one comes down through a single worker, both to slow-ish readers, with
Content-Length and chunked. Every byte arrives, and the worker stays below 32 MiB (its size is not
judged in a sanitizer build)."""
import pathlib
import socket
import time

from harness import Peer, story

GIB = 1 << 30
BLOCK = bytes(range(256)) * 1024  # 256 KiB


class Bulk(Peer):
    """Counts what comes up, sends what is asked for: GET /len/N and /chunked/N, POST anything."""

    def __init__(self):
        self.received = None
        super().__init__()

    def serve(self, conn):
        f = conn.makefile("rb", buffering=1 << 18)
        with conn:
            while line := f.readline():
                method, path, _ = line.decode().split()
                fields = {}
                while (line := f.readline()) != b"\r\n":
                    name, value = line.decode().split(":", 1)
                    fields[name.lower()] = value.strip()
                if method == "POST":
                    self.received = self.take(f, fields)
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                else:
                    self.give(conn, *path.split("/")[1:])

    def take(self, f, fields):
        total = 0
        if "content-length" in fields:
            left = int(fields["content-length"])
            while left:
                left -= len(f.read(min(left, 1 << 18)))
                total = int(fields["content-length"]) - left
            return total
        while size := int(f.readline(), 16):
            total += len(f.read(size))
            f.read(2)
        f.readline()
        return total

    def give(self, conn, how, size):
        left = int(size)
        if how == "len":
            conn.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n".encode())
            while left:
                left -= conn.send(BLOCK[:min(left, len(BLOCK))])
        else:
            conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while left:
                n = min(left, len(BLOCK))
                conn.sendall(b"%x\r\n%s\r\n" % (n, BLOCK[:n]))
                left -= n
            conn.sendall(b"0\r\n\r\n")


def rss_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmHWM")


def download(port, path, pause_first):
    """GET PATH, reading nothing for a while: the worker must stop reading too."""
    with socket.create_connection(("127.0.0.1", port)) as c:
        c.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        time.sleep(pause_first)
        total, head, view = 0, b"", bytearray(1 << 18)
        while b"\r\n\r\n" not in head:
            head += c.recv(4096)
        total = len(head.split(b"\r\n\r\n", 1)[1])
        while n := c.recv_into(view):
            total += n
        return head, total


def upload(port, size, chunked):
    with socket.create_connection(("127.0.0.1", port)) as c:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        c.sendall(f"POST /up HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        left = size
        while left:
            n = min(left, len(BLOCK))
            c.sendall(b"%x\r\n%s\r\n" % (n, BLOCK[:n]) if chunked else BLOCK[:n])
            left -= n
        if chunked:
            c.sendall(b"0\r\n\r\n")
        return c.recv(4096)


def tell(t):
    asan = "asan" in str(t.build)
    size = GIB // 16 if asan else GIB
    bulk = Bulk()
    t.started.append(bulk)
    s = t.sluice(workers=1, services={"bulk": {"versions": {"v1": {"endpoints": [bulk.address]}}}})
    pid = s.children()["worker 0"]
    for chunked in (False, True):
        answer = upload(s.port, size, chunked)
        t.check(answer.startswith(b"HTTP/1.1 200"), f"upload: {answer[:100]!r}")
        t.equal(bulk.received, size, "bytes that arrived upstream")
        head, total = download(s.port, f"/{'chunked' if chunked else 'len'}/{size}", 0.5)
        t.check(head.startswith(b"HTTP/1.1 200"), f"download: {head[:100]!r}")
        if chunked:
            t.check(total > size, "a chunked body is longer than its content")
        else:
            t.equal(total, size, "bytes that came down")
    t.equal(s.children()["worker 0"], pid, "the worker is the same process")
    t.say(f"worker's peak resident size: {rss_mib(pid):.1f} MiB")
    if not asan:
        t.check(rss_mib(pid) < 32, f"worker used {rss_mib(pid):.1f} MiB")


story(__doc__, tell)
