// http2_server.js PORT [CERT KEY] - an HTTP/2 service: what clients of all protocols ask for.
// It ends by SIGTERM, at once; every connection says GOAWAY after AGE requests, if that is set.
"use strict";
const http2 = require("node:http2");
const fs = require("node:fs");
const [port, cert, key] = process.argv.slice(2);
const settings = { enablePush: false };
if (process.env.STREAMS) settings.maxConcurrentStreams = Number(process.env.STREAMS);
const age = Number(process.env.AGE || 0);
const most = { now: 0, ever: 0 };
const seen = { requests: 0, connections: 0, open: 0 };

function large(stream, left) {
    stream.respond({ ":status": 200, "content-length": String(left) });
    const more = () => {
        while (left > 0) {
            const n = Math.min(65536, left);
            left -= n;
            if (!stream.write(Buffer.alloc(n, 120)) && left > 0) {
                stream.once("drain", more);
                return;
            }
        }
        stream.end();
    };
    more();
}

function whole(stream, h, body, trailers) {
    const path = h[":path"];
    if (path === "/204") {
        stream.respond({ ":status": 204, "x-a": "1" }, { endStream: true });
    } else if (path === "/304") {
        stream.respond({ ":status": 304, "content-length": "5" }, { endStream: true });
    } else if (path === "/interim") {
        stream.additionalHeaders({ ":status": 103, link: "</a>" });
        stream.respond({ ":status": 200 });
        stream.end("ok");
    } else if (path === "/trailers") {
        stream.respond({ ":status": 200, trailer: "x-sum" }, { waitForTrailers: true });
        stream.on("wantTrailers", () =>
            stream.sendTrailers({ "x-sum": "7", "x-got": String(trailers["x-mine"]) }));
        stream.end("abc");
    } else if (path === "/only") {
        stream.respond({ ":status": 200, "grpc-status": "13" }, { endStream: true });
    } else if (path === "/broken") {
        stream.respond({ ":status": 200, "content-length": "10" });
        stream.write("abc", () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
    } else if (path === "/seen") {
        stream.respond({ ":status": 200 });
        stream.end(JSON.stringify({ ...seen, most: most.ever }));
    } else if (path.startsWith("/size/")) {
        large(stream, Number(path.slice(6)));
    } else if (path.startsWith("/slow/")) {
        setTimeout(() => {
            if (stream.destroyed) return;
            stream.respond({ ":status": 200 });
            stream.end("slow");
        }, Number(path.slice(6)));
    } else if (h[":method"] === "HEAD") {
        stream.respond({ ":status": 200, "content-length": "1000" }, { endStream: true });
    } else {
        stream.respond({ ":status": 200, "x-length": String(body.n), "x-method": h[":method"],
            "x-authority": String(h[":authority"]), "x-scheme": h[":scheme"] });
        stream.end(body.n < 4096 ? Buffer.concat(body.parts) : "");
    }
}

function onStream(stream, h) {
    const body = { n: 0, parts: [] };
    let trailers = {};
    seen.requests++;
    most.ever = Math.max(most.ever, ++most.now);
    stream.on("close", () => most.now--);
    stream.on("error", () => {});
    if (h[":path"] === "/early") {
        stream.respond({ ":status": 413 });
        stream.end("big");
        return;
    }
    if (h[":path"] === "/refused-once" && !seen.refused) {
        seen.refused = true;
        stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
        return;
    }
    if (h.expect === "100-continue") stream.additionalHeaders({ ":status": 100 });
    stream.on("trailers", (t) => { trailers = t; });
    stream.on("data", (d) => {
        body.n += d.length;
        if (body.n < 4096) body.parts.push(d);
    });
    stream.on("end", () => whole(stream, h, body, trailers));
}

const server = cert
    ? http2.createSecureServer({ settings, cert: fs.readFileSync(cert), key: fs.readFileSync(key) })
    : http2.createServer({ settings });
server.on("session", (session) => {
    let carried = 0;
    seen.connections++;
    seen.open++;
    session.on("close", () => seen.open--);
    session.on("error", () => {});
    session.on("stream", () => {
        if (age && ++carried === age) setImmediate(() => session.goaway()); // the rest is finished
    });
});
server.on("stream", onStream);
server.on("checkContinue", () => {});
server.listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
