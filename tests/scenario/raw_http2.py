"""HTTP/2 frame by frame, for stories that need what no client would send. Field blocks are written
literally, without a table and without Huffman codes; of those that come back the status is read."""
import collections
import socket
import ssl
import struct
import time

from harness import Peer

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PROTOCOL_ERROR, STREAM_CLOSED, CANCEL, COMPRESSION, CALM = 1, 5, 8, 9, 11
SHORT = {0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
Frame = collections.namedtuple("Frame", "kind flags stream payload")


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(**values):
    names = {"table": 1, "streams": 3, "window": 4, "frame": 5}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", names[k], v) for k, v in values.items()))


def number(n, prefix):
    """RFC 7541 5.1, the other bits zero."""
    most = (1 << prefix) - 1
    if n < most:
        return bytes([n])
    out, n = [most], n - most
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + [n])


def field(name, value, keep=False):
    """A literal; KEEP: the peer's table keeps it."""
    first = b"\x40" if keep else b"\x00"
    return first + number(len(name), 7) + name + number(len(value), 7) + value


def block(fields):
    return b"".join(field(n, v) for n, v in fields)


def request(path=b"/", method=b"GET", more=(), authority=b"shop"):
    return [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", authority), *more]


def status_of(fields):
    """The status in a block that begins with it."""
    while fields and fields[0] & 0xe0 == 0x20:  # the table's size
        fields = fields[1:]
    if fields[0] in SHORT:
        return SHORT[fields[0]]
    huffman, n, text = fields[1] & 128, fields[1] & 127, fields[2:]
    if not huffman:
        return int(text[:n])
    bits, digits = "".join(f"{b:08b}" for b in text[:n]), ""
    while len(digits) < 3:
        size = 5 if bits[:5] < "00011" else 6
        digits += str(int(bits[:5], 2) if size == 5 else int(bits[:6], 2) - 0b011001 + 3)
        bits = bits[size:]
    return int(digits)


class Side:
    """One end of a connection, on a SOCKET that is open. Whatever comes is kept in .frames."""

    def __init__(self, sock, patience=60):
        self.socket, self.patience = sock, patience
        self.buffer, self.frames, self.closed = b"", [], False

    def send(self, data):
        """False: the other end is gone; what it said last can still be read."""
        self.socket.settimeout(self.patience)
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def read(self, timeout):
        """Take what is there. False: nothing more comes."""
        self.socket.settimeout(max(timeout, 0.01))
        try:
            data = self.socket.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return True
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.buffer += data
        while len(self.buffer) >= 9 and len(self.buffer) >= 9 + (n := int.from_bytes(self.buffer[:3], "big")):
            kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
            f = Frame(kind, flags, stream, self.buffer[9:9 + n])
            self.buffer = self.buffer[9 + n:]
            self.frames.append(f)
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
        return True

    def until(self, what):
        """Read until WHAT is true or nothing more comes -> what it said last."""
        end = time.monotonic() + self.patience
        while not (got := what()) and time.monotonic() < end and self.read(end - time.monotonic()):
            pass
        return got or what()

    def find(self, kind, stream=None, flags=0):
        return [f for f in self.frames if f.kind == kind and stream in (None, f.stream) and f.flags & flags == flags]

    def goaway(self):
        """The code of the last GOAWAY; None: there is none."""
        told = self.find(GOAWAY)
        return int.from_bytes(told[-1].payload[4:8], "big") if told else None

    def reset(self, stream):
        told = self.find(RST, stream)
        return int.from_bytes(told[0].payload[:4], "big") if told else None

    def close(self):
        self.socket.close()


class Raw(Side):
    """The client's end."""

    def __init__(self, port, tls=False, patience=60, first=settings(table=0), receive=None):
        sock = socket.socket()
        if receive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.connect(("127.0.0.1", port))
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            sock = context.wrap_socket(sock, server_hostname="shop")
        super().__init__(sock, patience)
        self.send(PREFACE + first)

    def ask(self, stream, fields=None, end=True):
        return self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream,
                               block(fields or request())))

    def status(self, stream):
        told = self.find(HEADERS, stream)
        return status_of(told[0].payload) if told else None

    def body(self, stream):
        return b"".join(f.payload for f in self.find(DATA, stream))

    def over(self, stream):
        return bool(self.reset(stream) is not None or self.goaway() or self.closed
                    or [f for f in self.frames if f.stream == stream and f.kind in (DATA, HEADERS)
                        and f.flags & END_STREAM])

    def answer(self, stream, fields=None, end=True, body=b""):
        """Ask and wait for the end -> the status; None: there was none."""
        self.ask(stream, fields, end and not body)
        if body:
            self.send(frame(DATA, END_STREAM if end else 0, stream, body))
        self.until(lambda: self.over(stream))
        return self.status(stream)

    def verdict(self, stream):
        """"refused" by a status, a reset or the end of all; "taken" with a status below 400."""
        status = self.status(stream)
        return "taken" if status and status < 400 else "refused"

    def end(self):
        """Wait for the end of the connection -> the code of its GOAWAY."""
        self.until(lambda: self.closed)
        return self.goaway()


class Endpoint(Peer):
    """The server's end, of each connection that comes: .policy(side, frame) is called for each
    frame but those of settings. Sides are kept in .sides."""

    def __init__(self, policy=None, first=settings()):
        self.policy, self.first, self.sides = policy or answer, first, []
        super().__init__()

    def serve(self, conn):
        side, seen = Side(conn, 600), 0
        while len(side.buffer) < len(PREFACE):
            if not (data := conn.recv(len(PREFACE) - len(side.buffer))):
                return
            side.buffer += data
        side.buffer = b""
        self.sides.append(side)
        side.send(self.first)
        while side.read(600):
            while seen < len(side.frames):
                f, seen = side.frames[seen], seen + 1
                if f.kind != SETTINGS:
                    self.policy(side, f)


def answer(side, f):
    """Every request with 200 and nothing else, once it is complete; every PING; windows go back."""
    if f.kind == DATA and f.payload:
        n = len(f.payload).to_bytes(4, "big")
        side.send(frame(WINDOW, 0, 0, n) + frame(WINDOW, 0, f.stream, n))
    if f.kind in (HEADERS, DATA) and f.flags & END_STREAM:
        side.send(frame(HEADERS, END_HEADERS | END_STREAM, f.stream, b"\x88"))
    if f.kind == PING and not f.flags & ACK:
        side.send(frame(PING, ACK, 0, f.payload))
