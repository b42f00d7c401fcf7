"""An HTTP/2 server frame by frame, for stories whose servers do what no library does. Field blocks
of requests are not read: who asks for what is told apart by the server's port and the stream."""
import socket

from harness import Peer
from raw_http2 import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST, SETTINGS, WINDOW, Frame,
                       frame, settings)

NO_ERROR, REFUSED = 0, 7
OK = b"\x88"  # :status 200
MOST = (1 << 31) - 1
ALL = settings(window=MOST) + frame(WINDOW, 0, 0, (MOST - 65535).to_bytes(4, "big"))  # takes whatever comes


def goaway(last, code=NO_ERROR):
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def reset(stream, code):
    return frame(RST, 0, stream, code.to_bytes(4, "big"))


def head(stream, end=False):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, OK)


class Http2Peer(Peer):
    """ON_FRAME(peer, conn, frame) is called for each frame of a client, from the thread of the
    connection; what it raises ends the connection. FIRST is sent at once."""

    def __init__(self, on_frame, first=ALL):
        self.on_frame, self.first = on_frame, first
        self.frames = []  # of all connections
        super().__init__()

    def serve(self, conn):
        try:
            with conn, conn.makefile("rb") as f:
                if f.read(len(PREFACE)) != PREFACE:
                    return
                conn.sendall(self.first)
                while len(top := f.read(9)) == 9:
                    got = Frame(top[3], top[4], int.from_bytes(top[5:], "big"),
                                f.read(int.from_bytes(top[:3], "big")))
                    if got.kind == SETTINGS and not got.flags & ACK and self.first:
                        conn.sendall(frame(SETTINGS, ACK, 0))
                    self.frames.append(got)
                    self.on_frame(self, conn, got)
        except (OSError, ValueError):
            pass  # it went away, or was cut on purpose

    def asked(self):
        """Requests so far."""
        return sum(f.kind == HEADERS for f in list(self.frames))

    def body(self, stream):
        return b"".join(f.payload for f in list(self.frames) if f.kind == DATA and f.stream == stream)


def cut(conn):
    """RST instead of FIN, as soon as the thread of CONN is back."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    raise OSError("cut on purpose")
