#!/usr/bin/env python3
"""WebSockets with the library that most of the world uses, ws for Node.js, on both ends: texts,
binaries, a mebibyte at once, pings, close codes, over TCP and TLS. A tunnel outlives a reload, and
ends with the time that `drain` gives it."""
import importlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from harness import Process, Skip, free_port, story

pki = importlib.import_module("27_tls").pki
MODULES = "/usr/share/nodejs"

SERVER = """
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ host: '127.0.0.1', port: +process.argv[1] });
server.on('connection', (ws, request) => {
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

CLIENT = """
const WebSocket = require('ws');
const crypto = require('crypto');
const url = process.argv[1];
const open = () => new Promise((done, fail) => {
    const ws = new WebSocket(url, { rejectUnauthorized: false, headers: { 'X-Me': 'client' } });
    ws.closed = new Promise((over) => ws.on('close', (code, reason) => over([code, reason.toString()])));
    ws.on('open', () => done(ws));
    ws.on('error', fail);
});
const answer = (ws) => new Promise((done) => ws.once('message', (data, binary) => done([data, binary])));
const echoed = async (ws, data) => {
    const back = answer(ws);
    ws.send(data);
    const [got, binary] = await back;
    return binary === (typeof data !== 'string') && Buffer.from(data).equals(got);
};
(async () => {
    const said = {};
    const ws = await open();
    said.text = await echoed(ws, 'h\\u00e9llo');
    said.empty = await echoed(ws, '');
    said.binary = await echoed(ws, Buffer.from([0, 13, 10, 255]));
    said.large = await echoed(ws, crypto.randomBytes(1 << 20));
    said.many = true;
    for (let i = 0; i < 500; i++)
        said.many = said.many && await echoed(ws, 'x'.repeat(i));
    const pong = new Promise((done) => ws.once('pong', (data) => done(data.toString())));
    ws.ping('are you there');
    said.pong = await pong;
    const headers = answer(ws);
    ws.send('who');
    said.headers = JSON.parse((await headers)[0]);
    ws.send('close:4001');
    said.theirs = await ws.closed;
    const second = await open();
    second.close(4002, 'enough');
    said.ours = await second.closed;
    const third = await open();
    third.send('terminate');
    said.cut = (await third.closed)[0];
    console.log(JSON.stringify(said));
})().catch((e) => { console.error(e); process.exit(1); });
"""

WAITER = """
const WebSocket = require('ws');
const ws = new WebSocket(process.argv[1]);
let echoes = 0;
ws.on('open', () => { ws.send('x'); });
ws.on('message', () => { console.log(`echo ${++echoes}`); setTimeout(() => ws.send('x'), 50); });
ws.on('close', (code) => { console.log(`closed ${code}`); });
ws.on('error', () => {});
"""


def node(script, *args):
    return ["node", "-e", script, *map(str, args)]


def exercise(t, url):
    done = subprocess.run(node(CLIENT, url), env={**os.environ, "NODE_PATH": MODULES}, text=True,
                          capture_output=True, timeout=60)
    t.equal(done.returncode, 0, f"{url}: {done.stderr}")
    said = json.loads(done.stdout)
    headers = said.pop("headers")
    t.equal(said, {"text": True, "empty": True, "binary": True, "large": True, "many": True,
                   "pong": "are you there", "theirs": [4001, "as asked"], "ours": [4002, "enough"],
                   "cut": 1006}, url)
    t.equal((headers["x-me"], headers["x-forwarded-proto"]), ("client", url.split(":")[0].replace("ws", "http")), url)


def tell(t):
    if not shutil.which("node") or not pathlib.Path(MODULES, "ws").exists():
        raise Skip("there is no node-ws")
    port, plain, secure = free_port(), free_port(), free_port()
    env = {**os.environ, "NODE_PATH": MODULES}
    server = Process("server", node(SERVER, port), t.directory, env)
    t.started.append(server)
    t.processes.append(server)
    t.eventually("the server is up", lambda: socket.create_connection(("127.0.0.1", port)).close() is None)
    pki(t.directory)("web", "127.0.0.1")
    s = t.sluice(
        drain="2s",
        listeners={"web": {"address": f"127.0.0.1:{plain}"},
                   "secure": {"address": f"127.0.0.1:{secure}",
                              "tls": {"certificates": [{"cert": "web.pem", "key": "web.key"}]}}},
        services={"chat": {"versions": {"v1": {"endpoints": [f"127.0.0.1:{port}"]}}}})
    exercise(t, f"ws://127.0.0.1:{plain}/")
    exercise(t, f"wss://127.0.0.1:{secure}/")
    t.eventually("the tunnels are in the access log", lambda: len(s.access_log.read_text().splitlines()) >= 6)
    for row in map(json.loads, s.access_log.read_text().splitlines()):
        t.equal((row["status"], row["end"]), (101, "tunnel"), str(row))

    waiter = Process("waiter", node(WAITER, f"ws://127.0.0.1:{plain}/"), t.directory, env)
    t.started.append(waiter)
    t.eventually("the tunnel echoes", lambda: "echo 3" in waiter.log())
    s.signal(signal.SIGHUP)
    so_far = waiter.log().count("echo")
    t.eventually("the tunnel echoes after a reload", lambda: waiter.log().count("echo") > so_far + 10)
    start = time.monotonic()
    s.signal(signal.SIGTERM)
    time.sleep(1)
    so_far = waiter.log().count("echo")
    t.eventually("the tunnel echoes while it drains", lambda: waiter.log().count("echo") > so_far)
    t.eventually("the tunnel is closed", lambda: "closed 1006" in waiter.log())
    took = time.monotonic() - start
    t.check(took > 1.5, f"the tunnel was closed after {took:.1f} s")
    t.equal(s.wait(), 0, "exit status")
    t.equal(json.loads(s.access_log.read_text().splitlines()[-1])["end"], "drained", "end")


story(__doc__, tell)
