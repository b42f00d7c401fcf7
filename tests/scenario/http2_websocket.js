// http2_websocket.js TASK URL... - WebSockets of ws, over HTTP/1.1 (ws:, wss:) or through extended
// CONNECT of node's own HTTP/2 (http:, https:). For 51_http2_websocket.py.
"use strict";
const crypto = require("crypto");
const http2 = require("http2");
const WebSocket = require("ws");
const [task, ...urls] = process.argv.slice(2);
const sessions = new Map();

function session(url) {
  if (!sessions.has(url)) {
    const s = http2.connect(url, { rejectUnauthorized: false });
    s.on("error", () => {});
    s.on("close", () => sessions.delete(url));
    sessions.set(url, new Promise((done) => s.once("remoteSettings", (settings) => done([s, settings]))));
  }
  return sessions.get(url);
}

async function connect(url, headers) {
  const [s, settings] = await session(url);
  if (!settings.enableConnectProtocol) throw new Error("extended CONNECT is not offered");
  const stream = s.request({ ":method": "CONNECT", ":protocol": "websocket", ":path": "/", "x-me": "client",
    "sec-websocket-version": "13", ...headers }, { endStream: false });
  const answer = await new Promise((done, fail) => { stream.on("response", done); stream.on("error", fail); });
  return [stream, answer];
}

async function open(url) {
  let ws;
  if (url.startsWith("ws")) {
    ws = new WebSocket(url, { rejectUnauthorized: false, headers: { "X-Me": "client" } });
    ws.closed = new Promise((over) => ws.on("close", (code, reason) => over([code, reason.toString()])));
    await new Promise((done, fail) => { ws.on("open", done); ws.on("error", fail); });
    return ws;
  }
  const [stream, answer] = await connect(url);
  if (answer[":status"] !== 200) throw new Error("status " + answer[":status"]);
  ws = new WebSocket(null);
  ws._isServer = false; // a client masks what it sends
  ws.answer = answer;
  ws.closed = new Promise((over) => ws.on("close", (code, reason) => over([code, reason.toString()])));
  ws.on("error", () => {});
  stream.setNoDelay = () => {};
  ws.setSocket(stream, Buffer.alloc(0), { maxPayload: 16 << 20 });
  return ws;
}

const answer = (ws) => new Promise((done) => ws.once("message", (data, binary) => done([data, binary])));

async function echoed(ws, data) {
  const back = answer(ws);
  ws.send(data);
  const [got, binary] = await back;
  return binary === (typeof data !== "string") && Buffer.from(data).equals(got);
}

async function fragments(ws) {
  const back = answer(ws);
  ws.send("one ", { fin: false });
  ws.send("two ", { fin: false });
  ws.send("three", { fin: true });
  return (await back)[0].toString();
}

const tasks = {
  async exercise(url) {
    const said = {}, ws = await open(url);
    said.text = await echoed(ws, "h\u00e9llo");
    said.empty = await echoed(ws, "");
    said.binary = await echoed(ws, Buffer.from([0, 13, 10, 255]));
    said.large = await echoed(ws, crypto.randomBytes(1 << 20));
    said.fragments = await fragments(ws);
    said.many = true;
    for (let i = 0; i < 300; i++) said.many = said.many && await echoed(ws, "x".repeat(i));
    const pong = new Promise((done) => ws.once("pong", (data) => done(data.toString())));
    ws.ping("are you there");
    said.pong = await pong;
    const headers = answer(ws);
    ws.send("who");
    said.headers = JSON.parse((await headers)[0]);
    said.answer = ws.answer;
    ws.send("close:4001");
    said.theirs = await ws.closed;
    const second = await open(url);
    second.close(4002, "enough");
    said.ours = await second.closed;
    const third = await open(url);
    third.send("terminate");
    said.cut = (await third.closed)[0];
    const fourth = await open(url); // the client is gone without a word
    said.before = await echoed(fourth, "x");
    fourth.terminate();
    await fourth.closed;
    console.log(JSON.stringify(said));
    process.exit(0);
  },

  // What is not a WebSocket, and what the service does not take: the statuses, and that the
  // connection is as good as before.
  async refused(url) {
    const said = {};
    const ask = async (headers) => {
      const [stream, head] = await connect(url, headers);
      stream.on("error", () => {});
      stream.close();
      return head[":status"];
    };
    said.other = await ask({ ":protocol": "connect-udp" });
    said.service = await ask({ ":path": "/refuse" });
    said.key = await ask({ ":path": "/bad" });
    said.length = await ask({ "content-length": "5" }).catch((e) => e.code);
    const [s] = await session(url);
    said.plain = await new Promise((done) => {
      const r = s.request({ ":method": "CONNECT", ":authority": "a:80" }, { endStream: false });
      r.on("response", (h) => { done(h[":status"]); r.close(); });
      r.on("error", (e) => done(e.code));
    });
    said.alive = await echoed(await open(url), "x");
    console.log(JSON.stringify(said));
    process.exit(0);
  },

  // The client closes its half and still hears what comes; no frames, bytes alone.
  async half(url) {
    const [stream] = await connect(url, { ":path": "/half" });
    let got = "";
    stream.setEncoding("latin1");
    stream.on("data", (d) => { got += d; });
    stream.write("abc");
    stream.end("def");
    await new Promise((done) => stream.on("end", done));
    console.log(JSON.stringify({ got }));
    process.exit(0);
  },

  // 200 sockets that echo all the time; a line whenever each of them has echoed ten times more.
  async crowd(...all) {
    let lost = 0, alive = 0, rounds = 0;
    const counts = [];
    for (let i = 0; i < 200; i++) {
      const ws = await open(all[i % all.length]);
      counts.push(0);
      alive++;
      ws.on("message", () => {
        counts[i]++;
        if (counts[i] === (rounds + 1) * 10 && Math.min(...counts) >= counts[i]) console.log("round", ++rounds);
        setTimeout(() => ws.readyState === WebSocket.OPEN && ws.send("x"), 20);
      });
      ws.on("close", () => { console.log("lost", ++lost); if (--alive === 0) process.exit(0); });
      ws.send("x");
    }
    console.log("open", alive);
  },
};

tasks[task](...urls).catch((e) => { console.error(e); process.exit(1); });
