#!/usr/bin/env python3
"""gRPC for Node.js, @grpc/grpc-js, on both ends over HTTP/2: unary calls and the three kinds of
streams, metadata, a status in trailers, which is counted, a deadline, and what the proxy says itself."""
import json
import os
import shutil
import subprocess

from harness import Process, Skip, free_port, story

# Where npm puts what is installed globally, and a checkout beside this one.
PLACES = ["/usr/local/lib/node_modules", "/usr/lib/node_modules", "/usr/share/nodejs",
          os.path.join(os.environ.get("CONFORMANCE_DIR", "../shared"), "flags/tools/node_modules")]

COMMON = """
const grpc = require('@grpc/grpc-js');
const same = (x) => x;
const method = (name, requestStream, responseStream) => ({ path: '/shop.Cart/' + name, requestStream,
  responseStream, requestSerialize: same, requestDeserialize: same, responseSerialize: same,
  responseDeserialize: same });
const service = { Unary: method('Unary', false, false), In: method('In', true, false),
  Out: method('Out', false, true), Both: method('Both', true, true), Fail: method('Fail', false, true),
  Sleep: method('Sleep', false, false) };
"""

SERVER = COMMON + """
const server = new grpc.Server();
server.addService(service, {
  Unary(call, done) {
    const back = new grpc.Metadata();
    back.set('x-back', String(call.metadata.get('x-there')[0]));
    call.sendMetadata(back);
    done(null, call.request);
  },
  In(call, done) {
    let n = 0;
    call.on('data', (d) => { n += d.length; });
    call.on('end', () => done(null, Buffer.from(String(n))));
  },
  Out(call) {
    for (let i = 0; i < 100; i++) call.write(Buffer.alloc(10000, i));
    call.end();
  },
  Both(call) { call.on('data', (d) => call.write(d)); call.on('end', () => call.end()); },
  Fail(call) {
    call.write(Buffer.from('one'));
    call.emit('error', { code: 13, details: 'as asked' });
  },
  Sleep() {},
});
server.bindAsync('127.0.0.1:' + process.argv[1], grpc.ServerCredentials.createInsecure(),
  (e) => { if (e) throw e; console.log('listening'); });
"""

CLIENT = COMMON + """
const Client = grpc.makeClientConstructor(service, 'shop.Cart');
const make = (authority) => new Client('127.0.0.1:' + process.argv[1], grpc.credentials.createInsecure(),
  authority ? { 'grpc.default_authority': authority } : {});
const client = make('shop'), gone = make('nowhere');
const read = (call) => new Promise((done) => {
  const got = { messages: 0, bytes: 0, code: null };
  call.on('data', (d) => { got.messages++; got.bytes += d.length; });
  call.on('error', (e) => { got.details = e.details; });
  call.on('status', (s) => { got.code = s.code; done(got); });
});
const unary = (which, name, body, options = {}) => new Promise((done) => {
  const given = new grpc.Metadata(), got = {};
  given.set('x-there', 'and back');
  const call = which[name](body, given, options, (e, d) => done({ ...got, code: e ? e.code : 0, bytes: d && d.length }));
  call.on('metadata', (m) => { got.back = m.get('x-back')[0]; });
});
(async () => {
  const said = {};
  said.unary = await unary(client, 'Unary', Buffer.alloc(1 << 20, 7));
  said.inward = await new Promise((done) => {
    const call = client.In((e, d) => done(e ? e.code : d.toString()));
    for (let i = 0; i < 100; i++) call.write(Buffer.alloc(10000, i));
    call.end();
  });
  said.outward = await read(client.Out(Buffer.alloc(0)));
  const both = client.Both(), echoed = read(both);
  for (let i = 1; i <= 50; i++) both.write(Buffer.alloc(i, i));
  both.end();
  said.both = await echoed;
  said.fail = await read(client.Fail(Buffer.alloc(0)));
  said.sleep = await unary(client, 'Sleep', Buffer.alloc(1), { deadline: Date.now() + 300 });
  said.gone = await unary(gone, 'Unary', Buffer.alloc(1));
  console.log(JSON.stringify(said));
  process.exit(0);
})().catch((e) => { console.error(e); process.exit(1); });
"""


def tell(t):
    if not shutil.which("node"):
        raise Skip("there is no node")
    env = {**os.environ, "NODE_PATH": os.pathsep.join(os.path.abspath(p) for p in PLACES)}
    if subprocess.run(["node", "-e", "require('@grpc/grpc-js')"], env=env, capture_output=True,
                      check=False).returncode:
        raise Skip("there is no @grpc/grpc-js: npm install -g @grpc/grpc-js")
    port, at = free_port(), free_port()
    server = Process("server", ["node", "-e", SERVER, str(at)], t.directory, env)
    t.started.append(server)
    t.eventually("the server listens", lambda: "listening" in server.log())
    s = t.sluice(listeners={"web": {"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]}},
                 services={"cart": {"versions": {"v1": {"endpoints": [f"127.0.0.1:{at}"], "protocol": "h2c"}}}},
                 routes=[{"host": "shop", "path": "/shop.Cart/", "service": "cart"}])
    r = subprocess.run(["node", "-e", CLIENT, str(port)], env=env, capture_output=True, text=True,
                       timeout=120, check=False)
    t.check(r.returncode == 0, f"client: {r.stdout[-2000:]} {r.stderr[-2000:]}")
    said = json.loads(r.stdout)
    t.equal(said["unary"], {"back": "and back", "code": 0, "bytes": 1 << 20}, "unary")
    t.equal(said["inward"], "1000000", "stream of requests")
    t.equal(said["outward"], {"messages": 100, "bytes": 1000000, "code": 0}, "stream of answers")
    t.equal(said["both"], {"messages": 50, "bytes": 1275, "code": 0}, "both")
    t.equal(said["fail"], {"messages": 1, "bytes": 3, "code": 13, "details": "as asked"}, "13 in trailers")
    t.equal((said["sleep"]["code"], said["gone"]["code"]), (4, 12), "deadline, no route")
    counted = 'sluice_grpc_requests_total{service="cart",version="v1",grpc_status="%d"}'
    t.eventually("all are counted", lambda: [s.metrics().get(counted % k) for k in (0, 4, 13)] == [4, 1, 1])


if __name__ == "__main__":
    story(__doc__, tell)
