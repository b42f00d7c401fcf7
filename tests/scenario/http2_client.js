// http2_client.js URL WHAT - what node's own HTTP/2 client sees, as JSON. For 50_http2.py.
"use strict";
const http2 = require("http2");
const [url, what] = process.argv.slice(2);

function ask(session, headers, o = {}) {
  return new Promise((resolve) => {
    const got = { interim: [], trailers: {}, body: "", error: false };
    const req = session.request({ ":authority": "shop", ...headers },
      { endStream: !o.send, waitForTrailers: !!o.trailers });
    if (o.trailers) req.on("wantTrailers", () => req.sendTrailers(o.trailers));
    req.setEncoding("latin1");
    req.on("headers", (h) => got.interim.push(h));
    req.on("response", (h) => { got.status = h[":status"]; got.headers = h; });
    req.on("data", (d) => { got.body += d; });
    req.on("trailers", (h) => { got.trailers = h; });
    req.on("error", () => { got.error = true; });
    req.on("close", () => resolve(got));
    if (o.send) o.send(req);
  });
}

const tasks = {
  async meanings(s) {
    const post = { ":method": "POST" };
    return {
      get: await ask(s, { ":path": "/first", cookie: ["a=1", "b=2"] }),
      hops: await ask(s, { ":path": "/hops" }),
      post: await ask(s, { ...post, ":path": "/echo", "content-length": 5 }, { send: (r) => r.end("hello") }),
      stream: await ask(s, { ...post, ":path": "/echo" }, { send: (r) => r.end("y".repeat(300000)) }),
      head: await ask(s, { ":method": "HEAD", ":path": "/h" }),
      none: await ask(s, { ":path": "/204" }),
      same: await ask(s, { ":path": "/304" }),
      trailers: await ask(s, { ...post, ":path": "/trailers", te: "trailers", trailer: "x-mine" },
        { send: (r) => r.end("abc"), trailers: { "x-mine": "8" } }),
      interim: await ask(s, { ":path": "/interim" }),
      early: await ask(s, { ...post, ":path": "/early" }, { send: (r) => r.write("z".repeat(1000)) }),
      broken: await ask(s, { ":path": "/broken" }),
      missing: await ask(s, { ":authority": "other", ":path": "/" }),
    };
  },
  async many(s) {
    let ok = 0, failed = 0;
    for (let round = 0; round < 5; round++) {
      const all = [];
      for (let i = 0; i < 100; i++) all.push(ask(s, { ":path": "/size/" + (round * 5000 + i) }));
      (await Promise.all(all)).forEach((g, i) => {
        if (g.status === 200 && g.body.length === round * 5000 + i) ok++; else failed++;
      });
    }
    return { ok, failed };
  },
  async stalled(s) {
    const slow = s.request({ ":authority": "shop", ":path": "/size/10000000" });
    const first = await new Promise((r) => slow.on("response", (h) => r(h[":status"])));
    slow.pause();
    let ok = 0;
    for (let i = 0; i < 50; i++) if ((await ask(s, { ":path": "/size/20000" })).body.length === 20000) ok++;
    slow.close(8);
    return { ok, first };
  },
};

const session = http2.connect(url, { rejectUnauthorized: false });
session.on("error", (e) => { console.error(String(e)); process.exit(1); });
tasks[what](session).then((r) => { console.log(JSON.stringify(r)); session.close(); process.exit(0); });
setTimeout(() => { console.error("timeout"); process.exit(1); }, 40000).unref();
