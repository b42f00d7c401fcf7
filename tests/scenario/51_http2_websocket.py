#!/usr/bin/env python3
"""WebSockets through extended CONNECT (RFC 8441), to a service that speaks HTTP/1.1: messages of
all kinds, close codes, halves that end one before the other, what is refused; 200 sockets over
both protocols, none lost across a reload and a change of weights, all ended when `drain` is."""
import base64
import hashlib
import importlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from harness import Peer, Process, Skip, free_port, story

pki = importlib.import_module("27_tls").pki
MODULES = "/usr/share/nodejs"
CLIENT = pathlib.Path(__file__).with_name("http2_websocket.js")
SERVER = """
const http = require('http');
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ noServer: true });
const listener = http.createServer().listen(+process.argv[1], '127.0.0.1');
listener.on('upgrade', (request, socket, head) => {
    if (request.url === '/refuse')
        socket.end('HTTP/1.1 403 Forbidden\\r\\nContent-Length: 2\\r\\n\\r\\nno');
    else
        server.handleUpgrade(request, socket, head, (ws) => server.emit('connection', ws, request));
});
server.on('connection', (ws, request) => {
    ws.on('error', () => {});
    ws.on('message', (data, binary) => {
        const text = binary ? '' : data.toString();
        if (text === 'who')
            ws.send(JSON.stringify(request.headers));
        else if (text.startsWith('close:'))
            ws.close(+text.slice(6), 'as asked');
        else if (text === 'terminate')
            ws.terminate();
        else
            ws.send(data, { binary });
    });
});
"""


class Switches(Peer):
    """Says 101 to what asks for it: GOOD with the answer to the key, else with another one. Then it
    reads to the end and says what it read."""

    def __init__(self, good):
        self.good = good
        super().__init__()

    def serve(self, conn):
        accept = base64.b64encode(self.sum(conn))
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        read = b""
        try:
            while data := conn.recv(65536):
                read += data
            conn.sendall(b"read " + read)
            conn.close()
        except OSError:
            pass

    def sum(self, conn):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += conn.recv(1)
        key = [l.split(b": ")[1] for l in head.split(b"\r\n") if l.lower().startswith(b"sec-websocket-key:")][0]
        guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11" if self.good else b""
        return hashlib.sha1(key + guid).digest()


def command(*args):
    return ["node", str(CLIENT), *args]


def run(t, *args):
    done = subprocess.run(command(*args), env={**os.environ, "NODE_PATH": MODULES}, text=True,
                          capture_output=True, timeout=120)
    t.equal(done.returncode, 0, f"{args}: {done.stdout} {done.stderr}")
    return json.loads(done.stdout)


def exercise(t, url):
    said = run(t, "exercise", url)
    headers, answer = said.pop("headers"), said.pop("answer", {})
    t.equal(said, {"text": True, "empty": True, "binary": True, "large": True, "many": True, "before": True,
                   "fragments": "one two three", "pong": "are you there", "theirs": [4001, "as asked"],
                   "ours": [4002, "enough"], "cut": 1006}, url)
    t.equal(headers["x-me"], "client", url)
    t.check("sec-websocket-accept" not in answer and "upgrade" not in answer, f"fields of HTTP/1.1: {answer}")


def refused(t, url):
    said = run(t, "refused", url)
    t.equal((said["other"], said["service"], said["plain"], said["alive"]), (501, 403, 405, True), str(said))
    t.equal(said["key"], 502, "a service that did not understand the key")
    t.check(said["length"] in (400, "ERR_HTTP2_STREAM_ERROR"), f"a length of a tunnel: {said}")


def rounds(crowd):
    return crowd.log().count("round ")


def more_rounds(t, crowd, what):
    so_far = rounds(crowd)
    t.eventually(f"all sockets echo {what}", lambda: rounds(crowd) > so_far, 120)


def tell(t):
    if not shutil.which("node") or not pathlib.Path(MODULES, "ws").exists():
        raise Skip("there is no node-ws")
    port, plain, secure = free_port(), free_port(), free_port()
    env = {**os.environ, "NODE_PATH": MODULES}
    server = Process("server", ["node", "-e", SERVER, str(port)], t.directory, env)
    t.started.append(server)
    t.processes.append(server)
    t.eventually("the server is up", lambda: socket.create_connection(("127.0.0.1", port)).close() is None)
    pki(t.directory)("web", "127.0.0.1")
    good, bad = Switches(True), Switches(False)
    t.started += [good, bad]
    both = {"protocols": ["h2", "http/1.1"]}
    s = t.sluice(
        drain="10s",
        listeners={"web": {"address": f"127.0.0.1:{plain}", **both},
                   "secure": {"address": f"127.0.0.1:{secure}", **both,
                              "tls": {"certificates": [{"cert": "web.pem", "key": "web.key"}]}}},
        services={"chat": {"versions": {"v1": {"endpoints": [f"127.0.0.1:{port}"]},
                                        "v2": {"endpoints": [f"127.0.0.1:{port}"]}},
                           "weights": {"v1": 100, "v2": 0}},
                  "half": {"versions": {"v1": {"endpoints": [good.address]}}},
                  "bad": {"versions": {"v1": {"endpoints": [bad.address]}}}},
        routes=[{"path": "/half", "service": "half"}, {"path": "/bad", "service": "bad"},
                {"path": "/", "service": "chat"}])
    h2c, h2 = f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"

    t.say("messages")
    for url in (h2c, h2, f"ws://127.0.0.1:{plain}/", f"wss://127.0.0.1:{secure}/"):
        exercise(t, url)
    t.eventually("the tunnels are in the access log", lambda: len(s.access_log.read_text().splitlines()) >= 16)
    rows = [json.loads(line) for line in s.access_log.read_text().splitlines()]
    for row in rows:
        t.equal((row["status"], row["end"], row["method"]), (101, "tunnel", "GET"), str(row))
    t.equal(sum(row["protocol"] == "HTTP/2.0" for row in rows), 8, "tunnels over HTTP/2")

    t.say("refusals")
    refused(t, h2)
    done = subprocess.run(command("half", h2c + "/"), text=True, capture_output=True, timeout=60,
                          env={**os.environ, "NODE_PATH": MODULES})
    t.equal(json.loads(done.stdout or "{}"), {"got": "read abcdef"}, f"a half that ended {done.stderr}")

    t.say("200 sockets")
    crowd = Process("crowd", command("crowd", h2c, f"ws://127.0.0.1:{plain}/", h2, f"wss://127.0.0.1:{secure}/"),
                    t.directory, env)
    t.started.append(crowd)
    t.eventually("200 sockets are open", lambda: "open 200" in crowd.log(), 120)
    more_rounds(t, crowd, "at first")
    s.signal(signal.SIGHUP)
    more_rounds(t, crowd, "after a reload")
    s.api("PUT", "/v1/services/chat/weights", {"v1": 50, "v2": 50})
    more_rounds(t, crowd, "after a change of weights")
    t.check("lost" not in crowd.log(), "no socket is lost")
    s.signal(signal.SIGTERM)
    more_rounds(t, crowd, "while it drains")
    t.eventually("all sockets are closed", lambda: "lost 200" in crowd.log(), 60)
    t.equal(s.wait(), 0, "exit status")
    rows = [json.loads(line) for line in s.access_log.read_text().splitlines()]
    t.equal(sum(row["end"] == "drained" for row in rows), 200, "ended by the drain")


story(__doc__, tell)
