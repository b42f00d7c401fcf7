"""redis_client.py - one command a call to a redis-server, for stories."""
import socket


class Redis:
    """One command a call, to a server on PORT."""

    def __init__(self, port):
        self.port = port

    def __call__(self, *words):
        out = b"*%d\r\n" % len(words)
        for w in words:
            w = str(w).encode()
            out += b"$%d\r\n%s\r\n" % (len(w), w)
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.sendall(out)
            answer = s.recv(65536)
        assert not answer.startswith(b"-"), answer
        return answer
