#!/usr/bin/env python3
"""/metrics as promtool and a real Prometheus take it, in both formats by Accept, and in few
milliseconds also when there are 10,000 series."""
import http.client
import json
import re
import shutil
import subprocess
import time
import urllib.parse

from harness import Process, Skip, free_port, story

OPEN = "application/openmetrics-text; version=1.0.0"


def promtool(t, text):
    """It has nothing to say, not even about style."""
    r = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    t.equal((r.returncode, r.stdout + r.stderr), (0, b""), "promtool")


def scrape(t, telemetry):
    """Let a Prometheus scrape TELEMETRY; return a function that asks it."""
    port, directory = free_port(), t.directory / "prometheus"
    directory.mkdir()
    (directory / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "5s", "scrape_timeout": "5s"},
        "scrape_configs": [{"job_name": "sluice", "static_configs": [{"targets": [f"127.0.0.1:{telemetry}"]}]}]}))
    p = Process("prometheus", ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
                               f"--web.listen-address=127.0.0.1:{port}"], directory)
    t.started.append(p)
    t.processes.append(p)

    def ask(query):
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        conn.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        rows = json.loads(conn.getresponse().read())["data"]["result"]
        conn.close()
        return [float(row["value"][1]) for row in rows]
    return ask


def tell(t):
    if not shutil.which("promtool") or not shutil.which("prometheus"):
        raise Skip("there is no prometheus")
    telemetry, v1 = free_port(), t.origin("v1")
    many = {f"many{i}": {"versions": {f"v{k}": {"endpoints": [v1.address]} for k in range(10)}} for i in range(23)}
    s = t.sluice(workers=1, control={"socket": str(t.directory / "control.sock"), "listen": f"127.0.0.1:{free_port()}",
                                     "telemetry": f"127.0.0.1:{telemetry}"},
                 services={"shop": {"versions": {"v1": {"endpoints": [v1.address]}}}, **many})
    for path in ("/", "/a", "/b"):
        t.equal(s.get(path).status, 200)

    plain = s.call("GET", "/metrics")
    t.equal(plain.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
    promtool(t, plain.body)
    opened = s.call("GET", "/metrics", headers={"Accept": OPEN + ",text/plain;q=0.5,*/*;q=0.1"})
    t.equal(opened.headers["content-type"], OPEN + "; charset=utf-8")
    t.check(opened.body.endswith(b"\n# EOF\n"), "the end is marked")
    traces = {line["trace_id"] for line in map(json.loads, s.access_log.read_text().splitlines())}
    examples = re.findall(r'^sluice_request_duration_seconds_bucket\{.*le="([^"]+)"\} \d+ # \{trace_id="(\w+)"\} (\S+) (\S+)$',
                          opened.body.decode(), re.M)
    t.check(examples and all(trace in traces and float(took) <= float(le) and abs(float(at) - time.time()) < 60
                             for le, trace, took, at in examples), f"exemplars: {examples}")
    t.check(b"trace_id" not in plain.body, "the plain form has no exemplars")
    t.equal(s.call("GET", "/metrics", headers={"Accept": "*/*"}).headers["content-type"], plain.headers["content-type"])

    series = sum(not line.startswith(b"#") for line in plain.body.splitlines())
    t.check(series > 9000, f"only {series} series")
    took = []
    for _ in range(10):
        start = time.monotonic()
        s.call("GET", "/metrics")
        took.append(time.monotonic() - start)
    t.say(f"{series} series, {len(plain.body)} bytes in {sorted(took)[1] * 1000:.1f} ms")

    ask = scrape(t, telemetry)
    t.eventually("it is scraped", lambda: ask('up{job="sluice"}') == [1])
    t.equal(ask('sum(sluice_requests_total{service="shop"})'), [3.0])
    t.equal(ask('sluice_request_duration_seconds_count{service="shop"}'), [3.0])
    t.equal(s.get("/c").status, 200)
    t.eventually("the next scrape has it", lambda: ask('sum(sluice_requests_total{service="shop"})') == [4.0])
    t.equal(ask("sluice_config_last_reload_successful"), [1.0])


story(__doc__, tell)
