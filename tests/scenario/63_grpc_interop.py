#!/usr/bin/env python3
"""The fourteen cases by which implementations of gRPC test each other, with gRPC's own C core on both
ends, over h2c and through TLS: unary and streaming calls of all kinds, deadlines, cancelling,
statuses with any message, what is not implemented, metadata."""
import concurrent.futures
import importlib
import json
import os
import pathlib
import sys
import threading

from harness import Skip, free_port, story

DEBIAN = "/usr/bin/python3"  # it has the module, whatever python3 in PATH is
os.environ["GRPC_VERBOSITY"] = "NONE"
try:
    import grpc
except ImportError:
    grpc = None
    if __name__ == "__main__" and pathlib.Path(DEBIAN).exists() and sys.executable != DEBIAN:
        os.execv(DEBIAN, [DEBIAN, *sys.argv])

SERVICE = "grpc.testing.TestService"
ODD = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"


def ask(size=0, payload=0, status=None):
    """A message of PAYLOAD bytes that asks for one of SIZE, or for a status."""
    return json.dumps({"size": size, "status": status}).encode() + b"\n" + bytes(payload)


class Server:
    """What the cases expect of a server, on messages of our own making."""

    def __init__(self):
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        rpc = {"EmptyCall": grpc.unary_unary_rpc_method_handler(lambda m, c: b""),
               "UnaryCall": grpc.unary_unary_rpc_method_handler(self.unary),
               "StreamingInputCall": grpc.stream_unary_rpc_method_handler(self.inward),
               "StreamingOutputCall": grpc.unary_stream_rpc_method_handler(self.outward),
               "FullDuplexCall": grpc.stream_stream_rpc_method_handler(self.duplex)}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, rpc),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()

    @staticmethod
    def tell(message, context):
        asked = json.loads(message[:message.index(b"\n")])
        if asked["status"]:
            code = [c for c in grpc.StatusCode if c.value[0] == asked["status"][0]][0]
            context.abort(code, asked["status"][1])
        return bytes(asked["size"])

    @staticmethod
    def echo_metadata(context):
        given = dict(context.invocation_metadata())
        if INITIAL in given:
            context.send_initial_metadata(((INITIAL, given[INITIAL]),))
        if TRAILING in given:
            context.set_trailing_metadata(((TRAILING, given[TRAILING]),))

    def unary(self, message, context):
        self.echo_metadata(context)
        return self.tell(message, context)

    def inward(self, messages, context):
        return json.dumps(sum(len(m) - m.index(b"\n") - 1 for m in messages)).encode()

    def outward(self, message, context):
        for size in json.loads(message):
            yield bytes(size)

    def duplex(self, messages, context):
        self.echo_metadata(context)
        for m in messages:
            yield self.tell(m, context)


class Client:
    def __init__(self, t, channel):
        self.t, self.channel, name = t, channel, f"/{SERVICE}/"
        self.empty = channel.unary_unary(name + "EmptyCall")
        self.unary = channel.unary_unary(name + "UnaryCall")
        self.inward = channel.stream_unary(name + "StreamingInputCall")
        self.outward = channel.unary_stream(name + "StreamingOutputCall")
        self.duplex = channel.stream_stream(name + "FullDuplexCall")

    def ends(self, code, message, call):
        try:
            call()
        except grpc.RpcError as e:
            self.t.equal(e.code(), code, "status")
            if message is not None:
                self.t.equal(e.details(), message, "message")
            return
        self.t.check(False, f"{code} did not come")

    def empty_unary(self):
        self.t.equal(self.empty(b""), b"")

    def large_unary(self):
        self.t.equal(len(self.unary(ask(314159, 271828))), 314159)

    def client_streaming(self):
        self.t.equal(self.inward(ask(payload=n) for n in (27182, 8, 1828, 45904)), b"74922")

    def server_streaming(self):
        sizes = [31415, 9, 2653, 58979]
        self.t.equal([len(m) for m in self.outward(json.dumps(sizes).encode())], sizes)

    def ping_pong(self):
        sizes, turn, got = [31415, 9, 2653, 58979], threading.Semaphore(1), []

        def one_by_one():
            for n in sizes:
                turn.acquire()
                yield ask(n, n // 2)
        for m in self.duplex(one_by_one()):
            got.append(len(m))
            turn.release()
        self.t.equal(got, sizes)

    def empty_stream(self):
        self.t.equal(list(self.duplex(iter(()))), [])

    def timeout_on_sleeping_server(self):
        never = threading.Event()

        def one():
            yield ask(31415, 27182)
            never.wait(60)
        self.ends(grpc.StatusCode.DEADLINE_EXCEEDED, None, lambda: list(self.duplex(one(), timeout=0.05)))
        never.set()

    def cancel_after_begin(self):
        never = threading.Event()
        call = self.inward.future((never.wait(60) and b"" for _ in range(1)))
        call.cancel()
        never.set()
        self.t.check(call.cancelled() and call.code() == grpc.StatusCode.CANCELLED, "cancelled")

    def cancel_after_first_response(self):
        never = threading.Event()

        def one():
            yield ask(31415, 27182)
            never.wait(60)
        call = self.duplex(one())
        self.t.equal(len(next(call)), 31415)
        call.cancel()
        self.ends(grpc.StatusCode.CANCELLED, None, lambda: next(call))
        never.set()

    def status_code_and_message(self):
        wish = ask(status=[2, "test status message"])
        self.ends(grpc.StatusCode.UNKNOWN, "test status message", lambda: self.unary(wish))
        self.ends(grpc.StatusCode.UNKNOWN, "test status message", lambda: list(self.duplex(iter((wish,)))))

    def special_status_message(self):
        self.ends(grpc.StatusCode.UNKNOWN, ODD, lambda: self.unary(ask(status=[2, ODD])))

    def unimplemented_method(self):
        call = self.channel.unary_unary(f"/{SERVICE}/UnimplementedCall")
        self.ends(grpc.StatusCode.UNIMPLEMENTED, None, lambda: call(b""))

    def unimplemented_service(self):
        call = self.channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")
        self.ends(grpc.StatusCode.UNIMPLEMENTED, None, lambda: call(b""))

    def custom_metadata(self):
        given = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab"))
        _, call = self.unary.with_call(ask(314159, 271828), metadata=given)
        stream = self.duplex(iter((ask(314159, 271828),)), metadata=given)
        self.t.equal([len(m) for m in stream], [314159])
        for c in (call, stream):
            self.t.equal(dict(c.initial_metadata()).get(INITIAL), given[0][1], "initial metadata")
            self.t.equal(dict(c.trailing_metadata()).get(TRAILING), given[1][1], "trailing metadata")


CASES = ("empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
         "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
         "status_code_and_message", "special_status_message", "unimplemented_method",
         "unimplemented_service", "custom_metadata")


def tell(t):
    if not grpc:
        raise Skip("there is no python3-grpcio")
    server = Server()
    t.started.append(server)
    pair = importlib.import_module("27_tls").pki(t.directory)("web", "localhost,127.0.0.1")
    port, secure = free_port(), free_port()
    t.sluice(listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]},
                        "tls": {"address": f"127.0.0.1:{secure}", "protocols": ["h2", "http/1.1"],
                                "tls": {"certificates": [pair]}}},
             services={"test": {"versions": {"v1": {"endpoints": [f"127.0.0.1:{server.port}"],
                                                    "protocol": "h2c"}}}})
    with open(t.directory / "ca.pem", "rb") as f:
        trust = grpc.ssl_channel_credentials(f.read())
    for name, channel in (("h2c", grpc.insecure_channel(f"127.0.0.1:{port}")),
                          ("TLS", grpc.secure_channel(f"localhost:{secure}", trust))):
        with channel:
            client, passed = Client(t, channel), 0
            for case in CASES:
                try:
                    getattr(client, case)()
                    passed += 1
                except Exception as e:  # all of them are wanted
                    t.say(f"{name}: {case}: {e!r}")
            t.say(f"{name}: {passed} of {len(CASES)}")
            t.equal(passed, len(CASES), name)


if __name__ == "__main__":
    story(__doc__, tell)
