"""http2_load.py - node's HTTP/2 client asking without a pause, for stories."""
import subprocess

LOAD = """
const http2 = require('http2');
const [url, sessions, streams, end] = process.argv.slice(1);
let ok = 0, failed = 0, running = true;
if (end === 'stdin') process.stdin.on('end', () => { running = false; }).resume();
const ask = (s) => new Promise((done) => {
  const r = s.request({ ':path': '/', ':authority': 'shop' });
  let status, error;
  r.on('response', (h) => { status = h[':status']; });
  r.on('error', (e) => { error = e; });
  r.on('close', () => {
    if (status === 200 && !error) ok++;
    // node keeps what it has not sent yet when a GOAWAY comes, and calls it refused: nobody saw it
    else if (r.rstCode !== http2.constants.NGHTTP2_REFUSED_STREAM) { failed++; console.log('failed', status, error); }
    done();
  });
  r.resume();
  r.end();
});
async function client() {
  while (running) {
    const s = http2.connect(url);
    let leave = false;
    s.on('goaway', () => { leave = true; });
    s.on('error', (e) => {
      leave = true;
      if (end === 'stdin') { failed++; console.log('session', e); } else if (e.code === 'ECONNREFUSED') running = false;
    });
    s.on('close', () => { leave = true; });
    const ready = await new Promise((done) => { s.once('connect', () => done(true)); s.once('close', () => done(false)); });
    while (ready && running && !leave && !s.closed && !s.destroyed)
      await Promise.all([...Array(+streams)].map(() => leave || s.closed ? null : ask(s)));
    s.close();
  }
}
setInterval(() => console.log('ok', ok), 100).unref();
Promise.all([...Array(+sessions)].map(client)).then(() => { console.log('end', ok, failed); process.exit(0); });
"""


class Http2Load:
    """SESSIONS connections, each with STREAMS requests at a time. It ends with end(), and until then
    a connection that fails is a failure; or, UNTIL_REFUSED, when nobody listens any more."""

    def __init__(self, directory, port, sessions, streams, until_refused=False):
        self.path = directory / "load.log"
        with self.path.open("wb") as out:
            self.process = subprocess.Popen(
                ["node", "-e", LOAD, f"http://127.0.0.1:{port}", str(sessions), str(streams), "refused" if until_refused else "stdin"],
                stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)

    def log(self):
        return self.path.read_text(errors="replace")

    def answered(self):
        lines = [l for l in self.log().splitlines() if l.startswith("ok ")]
        return int(lines[-1].split()[1]) if lines else 0

    def end(self):
        self.process.stdin.close()

    def ended_well(self, t):
        """It is over, and no request failed."""
        t.eventually("the load has ended", lambda: self.process.poll() is not None)
        t.equal(self.log().splitlines()[-1].split()[::2], ["end", "0"], f"requests that failed: {self.log()[-500:]}")

    def stop(self):
        self.process.kill()
