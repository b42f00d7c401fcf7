#!/usr/bin/env python3
"""Who the client is: X-Forwarded-* of trusted and of other peers, Forwarded, and PROXY headers
of both versions, cut at every byte, refused from where they are not expected."""
import json
import socket
import struct
import time

from harness import free_port, story

GET = b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n%s\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def talk(port, *parts, pause=0.0):
    """Send PARTS one after the other; the JSON of the answer, or the raw bytes."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as c:
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in parts:
                c.sendall(part)
                time.sleep(pause)
            while part := c.recv(65536):
                got += part
        except ConnectionError:
            pass
    head, _, body = got.partition(b"\r\n\r\n")
    return json.loads(body) if head.startswith(b"HTTP/1.1 200") else got


def v2(source, port, extension=b""):
    addresses = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", port, 80)
    return SIGNATURE + b"\x21\x11" + struct.pack("!H", len(addresses + extension)) + addresses + extension


def tell(t):
    v1 = t.origin("v1")
    ports = {name: free_port() for name in ("plain", "trusting", "relayed", "foreign", "both")}
    address = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    s = t.sluice(workers=1, listeners={
        "plain": {"address": address["plain"]},
        "trusting": {"address": address["trusting"], "trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"], "forwarded": True},
        "relayed": {"address": address["relayed"], "proxy_protocol": {"from": ["127.0.0.1"]}},
        "foreign": {"address": address["foreign"], "proxy_protocol": {"from": ["10.0.0.0/8", "::1"]}},
        "both": {"address": address["both"], "proxy_protocol": {"from": ["127.0.0.1"]}, "trusted_proxies": ["10.0.0.0/8"]},
    }, services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}})

    def violations():
        return s.metrics().get('sluice_http_violations_total{kind="proxy_header",action="refused"}', 0)

    def logged():
        lines = s.access_log.read_text().splitlines()
        return json.loads(lines[-1])["client"] if lines else None

    claims = (b"X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.1.1\r\nX-Forwarded-Proto: https\r\n"
              b"X-Forwarded-Host: front\r\nX-Real-IP: 203.0.113.9\r\nForwarded: for=6.6.6.6\r\n")
    seen = talk(ports["plain"], GET % claims)["headers"]
    t.equal([seen.get(k) for k in ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded")],
            ["127.0.0.1", "http", "shop", None, None], "nobody is trusted")
    t.eventually("logged", lambda: logged() == "127.0.0.1")

    seen = talk(ports["trusting"], GET % claims)["headers"]
    t.equal(seen["x-forwarded-for"], "6.6.6.6, 203.0.113.9, 10.1.1.1, 127.0.0.1", "extended")
    t.equal([seen["x-forwarded-proto"], seen["x-forwarded-host"], seen["x-real-ip"]], ["https", "front", "203.0.113.9"])
    t.equal(seen["forwarded"], 'for=6.6.6.6, for=127.0.0.1;host="shop";proto=http')
    t.eventually("the rightmost untrusted one is logged", lambda: logged() == "203.0.113.9")
    seen = talk(ports["trusting"], GET % b"")["headers"]
    t.equal([seen["x-forwarded-for"], seen["forwarded"]], ["127.0.0.1", 'for=127.0.0.1;host="shop";proto=http'])

    for header, source in ((b"PROXY TCP4 192.0.2.77 127.0.0.1 4711 80\r\n", "192.0.2.77"),
                           (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n", "2001:db8::7"),
                           (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
                           (v2("192.0.2.78", 4711), "192.0.2.78"),
                           (v2("192.0.2.79", 4711, b"\x04\0\x80" + b"x" * 128), "192.0.2.79"),
                           (SIGNATURE + b"\x20\0\0\0", "127.0.0.1")):
        seen = talk(ports["relayed"], header + GET % b"")["headers"]
        t.equal(seen["x-forwarded-for"], source, "in one piece")
        everything = header + GET % b""
        seen = talk(ports["relayed"], *(everything[i:i + 1] for i in range(len(everything))))["headers"]
        t.equal(seen["x-forwarded-for"], source, "byte by byte")
    header = v2("192.0.2.80", 4711)
    for cut in range(1, len(header) + 1):
        seen = talk(ports["relayed"], header[:cut], header[cut:] + GET % b"", pause=0.003)["headers"]
        t.equal(seen["x-forwarded-for"], "192.0.2.80", f"cut at {cut}")

    seen = talk(ports["both"], v2("10.9.9.9", 1) + GET % b"X-Forwarded-For: 203.0.113.5\r\n")["headers"]
    t.equal(seen["x-forwarded-for"], "203.0.113.5, 10.9.9.9", "the relayed peer is trusted")
    seen = talk(ports["both"], v2("11.9.9.9", 1) + GET % b"X-Forwarded-For: 203.0.113.5\r\n")["headers"]
    t.equal(seen["x-forwarded-for"], "11.9.9.9", "the relayed peer is not trusted")

    before, served = violations(), v1.requests
    t.equal(talk(ports["foreign"], v2("192.0.2.1", 1) + GET % b""), b"", "not from there")
    for bad in (GET % b"", b"PROXY TCP4 1.2.3.4 1.2.3.4 x 1\r\n" + GET % b"", SIGNATURE + b"\x21\x11\xff\xff",
                b"PROXY UNKNOWN " + b"x" * 200):
        t.equal(talk(ports["relayed"], bad), b"", f"{bad[:20]!r} is not answered")
    t.equal(v1.requests, served, "none of it went up")
    t.eventually("all five are counted", lambda: violations() == before + 5)
    t.check(b"HTTP/1.1 400 " in talk(ports["plain"], b"PROXY UNKNOWN\r\n" + GET % b""), "no header is read where none is asked for")
    with socket.create_connection(("127.0.0.1", ports["relayed"])) as c:
        c.sendall(b"PROXY ")
        t.equal(s.stop() or 0, 0, "one that says nothing does not hold a drain up")


story(__doc__, tell)
