#!/usr/bin/env python3
"""A status on the list is tried elsewhere, but never for POST and never beyond the budget; an
endpoint that does not answer in time likewise; and a service that has its fill refuses early."""
import concurrent.futures
import time

from harness import story


def tell(t):
    good, bad = t.origin("v1"), t.origin("v1")
    bad.errors = 1.0
    versions = {"v1": {"endpoints": [good.address, bad.address]}}
    s = t.sluice(workers=1, services={"shop": {
        "versions": versions, "balance": "round_robin",
        "timeouts": {"first_byte": "200ms"},
        "retry": {"attempts": 2, "on": ["connect", "500", "timeout"], "budget": 20}}})
    for _ in range(10):
        t.equal(s.get("/").status, 200, "retried")
    posts = [s.get("/", method="POST", body=b"x").status for _ in range(10)]
    t.equal(posts.count(500), 5, "a POST is not done twice")
    t.equal(s.get("/", method="PUT", body=b"x" * 1000).status, 200)

    statuses = [s.get("/").status for _ in range(100)]
    t.check(20 < statuses.count(500) < 45, f"the budget ends: {statuses.count(500)} errors")

    time.sleep(10.5)
    bad.errors, bad.latency = 0.0, 0.5
    for _ in range(6):
        t.equal(s.get("/").status, 200, "a slow endpoint's requests go elsewhere")
    bad.latency = 0.0

    s.config["services"]["shop"].update(
        limits={"max_requests": 4}, timeouts={"first_byte": "5s"})
    s.write_config()
    s.api("POST", "/v1/config:reload")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: s.get("/slow?ms=400"), range(8)))
    refused = [a for a in answers if a.status == 503]
    t.equal(len(refused), 4, "over the limit")
    t.check(all(int(a.headers["retry-after"]) >= 1 for a in refused), "Retry-After")
    t.equal(s.get("/").status, 200, "room again")
    t.eventually("the reason is in the log",
                 lambda: s.access_log.read_text().count('"max_requests"') == 4)


story(__doc__, tell)
