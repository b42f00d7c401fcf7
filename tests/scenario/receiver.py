"""receiver.py - somebody who takes requests of the controller: hooks, notices, pages."""
import http.server
import threading

from harness import free_port


class Receiver:
    """An HTTP server on a thread; url is where it is. take() says what each request gets."""

    def __init__(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                status, text = receiver.take(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do

            def log_message(self, *_):
                pass

            def handle(self):  # who asked may be gone
                try:
                    super().handle()
                except OSError:
                    pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, command, path, headers, body):
        """-> (status, text)"""
        raise NotImplementedError

    def stop(self):
        self.server.shutdown()
