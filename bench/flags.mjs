// flags.mjs TOOLS FLAGS.json CONTEXT.json [PORT] - flagd's own evaluator in node, for comparison.
// Without PORT: what an evaluation costs. With PORT: an OFREP server around it.
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";

const [tools, file, contextFile, port] = process.argv.slice(2);
const { FlagdCore, MemoryStorage } = createRequire(tools + "/package.json")("@openfeature/flagd-core");
const quiet = { error() {}, warn() {}, info() {}, debug() {} };
const doc = JSON.parse(fs.readFileSync(file, "utf8"));
const { context } = JSON.parse(fs.readFileSync(contextFile, "utf8"));
const core = new FlagdCore(new MemoryStorage(quiet), quiet);
core.setConfigurations(JSON.stringify(doc));
const keys = Object.keys(doc.flags);

function evaluate(key, c) {
  const value = Object.values(doc.flags[key].variants)[0];
  switch (typeof value) {
    case "boolean": return core.resolveBooleanEvaluation(key, false, c, quiet);
    case "string": return core.resolveStringEvaluation(key, "", c, quiet);
    case "number": return core.resolveNumberEvaluation(key, 0, c, quiet);
    default: return core.resolveObjectEvaluation(key, {}, c, quiet);
  }
}

if (port) {
  const prefix = "/ofrep/v1/evaluate/flags/";
  http.createServer((req, res) => {
    const parts = [];
    req.on("data", (d) => parts.push(d));
    req.on("end", () => {
      const body = JSON.parse(Buffer.concat(parts).toString());
      const key = decodeURIComponent(req.url.slice(prefix.length));
      const r = evaluate(key, body.context);
      const out = JSON.stringify({ key, value: r.value, reason: r.reason, variant: r.variant,
        metadata: r.flagMetadata });
      res.writeHead(200, { "content-type": "application/json", "content-length": out.length });
      res.end(out);
    });
  }).listen(Number(port), "127.0.0.1", () => console.log("up"));
} else {
  const took = [];
  for (const key of keys) {
    try {
      for (let i = 0; i < 2000; i++) evaluate(key, context);
      const begin = process.hrtime.bigint();
      for (let i = 0; i < 2000; i++) evaluate(key, context);
      took.push([Number(process.hrtime.bigint() - begin) / 2000, key]);
    } catch { /* it throws where it has no answer */ }
  }
  const median = (v) => v.sort((a, b) => a - b)[v.length >> 1].toFixed(0);
  console.log(`flagd-core: ${took.length} flags: median ${median(took.map((t) => t[0]))} ns; fractional: ` +
    `median ${median(took.filter((t) => t[1].startsWith("fractional")).map((t) => t[0]))} ns`);
}
