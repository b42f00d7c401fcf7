// grpc_client.js URL CALLS - calls of gRPC one after the other, as node's own HTTP/2 client sees
// them: JSON in (a path, or fields; "leave": reset the stream so many ms after the head), JSON out.
"use strict";
const http2 = require("http2");
const [url, calls] = process.argv.slice(2);
const MESSAGE = Buffer.from([0, 0, 0, 0, 3, 97, 98, 99]);

function call(session, { leave, ...fields }) {
  return new Promise((resolve) => {
    const got = { trailers: {}, headers: {}, body: "", error: false, ended: false };
    const req = session.request({ ":authority": "shop", ":path": "/end/0", ":method": "POST",
      "content-type": "application/grpc", te: "trailers", ...fields });
    req.setEncoding("latin1");
    req.on("response", (h, flags) => {
      got.status = h[":status"];
      got.headers = h;
      got.ended = (flags & 1) !== 0;
      if (leave) setTimeout(() => req.close(8), leave);
    });
    req.on("data", (d) => { got.body += d; });
    req.on("trailers", (h) => { got.trailers = h; });
    req.on("error", () => { got.error = true; });
    req.on("close", () => resolve(got));
    req.end(MESSAGE);
  });
}

const session = http2.connect(url);
session.on("error", (e) => { console.error(e); process.exit(1); });
(async () => {
  const all = [];
  for (const c of JSON.parse(calls)) all.push(await call(session, typeof c === "string" ? { ":path": c } : c));
  console.log(JSON.stringify(all));
  session.close();
})();
