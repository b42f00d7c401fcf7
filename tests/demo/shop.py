#!/usr/bin/env python3
"""A small web shop: the service that the demo rolls out.

    shop.py --name shop --version v2 --ports 9003,9004

GET / and /items, GET /items/N, POST /checkout {"items": [1, 2]} with a total and a stock that
goes down, /up for health checks and /stats for what this process has served. One process
serves all its ports; HTTP/1.1 with keep-alive, 404, 405, 400 and 422 as they should be. Work
takes a log-normal time around --work milliseconds. --fail-checkout 0.03 is a bug: three in a
hundred checkouts end with 500. Python 3.11, standard library.
"""
import argparse
import asyncio
import json
import math
import random
import re
import selectors
import signal
import time

CATALOGUE = {n: {"id": n, "name": name, "cents": cents} for n, (name, cents) in enumerate(
    [("kettle", 3900), ("teapot", 2450), ("cup", 650), ("sieve", 480), ("scale", 2900),
     ("timer", 1200), ("tray", 1750), ("whisk", 990)], start=1)}
REASONS = {200: "OK", 201: "Created", 400: "Bad Request", 404: "Not Found",
           405: "Method Not Allowed", 422: "Unprocessable Content", 500: "Internal Server Error"}


class Shop:
    """What all connections of the process share."""

    def __init__(self, options):
        self.name, self.version = options.name, options.version
        self.work_s, self.fail_checkout = options.work / 1000, options.fail_checkout
        self.sold = dict.fromkeys(CATALOGUE, 0)
        self.orders, self.requests, self.failed, self.last_request = 0, 0, 0, None

    def stats(self):
        return {"version": self.version, "requests": self.requests, "failed": self.failed,
                "orders": self.orders, "last_request": self.last_request}

    def checkout(self, body):
        try:
            items = json.loads(body)["items"]
        except (ValueError, KeyError, TypeError):
            return 400, {"error": "the body must be {\"items\": [...]}"}
        if not isinstance(items, list) or not items or not all(i in CATALOGUE for i in items):
            return 422, {"error": "unknown item, or none"}
        if random.random() < self.fail_checkout:
            self.failed += 1
            return 500, {"error": "the payment gateway answered in a format we do not know"}
        for i in items:
            self.sold[i] += 1
        self.orders += 1
        return 201, {"order": self.orders, "cents": sum(CATALOGUE[i]["cents"] for i in items)}

    def answer(self, method, path, body):
        """(status, JSON) of one request; None for the JSON: it takes no work."""
        if path == "/checkout":
            if method != "POST":
                return 405, {"error": "checkout is a POST"}
            return self.checkout(body)
        if method not in ("GET", "HEAD"):
            return 405, {"error": "this is read-only"}
        if path == "/":
            return 200, {"shop": "tea things", "version": self.version}
        if path == "/items":
            return 200, list(CATALOGUE.values())
        item = re.fullmatch(r"/items/(\d{1,6})", path)
        if item and int(item[1]) in CATALOGUE:
            n = int(item[1])
            return 200, {**CATALOGUE[n], "sold": self.sold[n]}
        return 404, {"error": "no such page"}

    def think_s(self):
        return self.work_s * math.exp(random.gauss(0, 0.35))


class Connection(asyncio.Protocol):
    """One client connection; one request at a time, later ones wait in the buffer."""

    def __init__(self, shop):
        self.shop, self.buffer, self.busy, self.transport = shop, b"", False, None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        self.next_request()

    def next_request(self):
        end = self.buffer.find(b"\r\n\r\n")
        if self.busy or end < 0:
            return
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
        length = int(fields.get("content-length", 0))
        if len(self.buffer) < end + 4 + length:
            return
        body = self.buffer[end + 4:end + 4 + length]
        self.buffer = self.buffer[end + 4 + length:]
        method, target, _ = lines[0].split(" ", 2)
        self.busy = True
        self.serve(method, target.partition("?")[0], body,
                   fields.get("connection", "").lower() == "close")

    def serve(self, method, path, body, close):
        shop = self.shop
        if path in ("/up", "/stats"):
            self.reply(method, 200, shop.stats(), close)
            return
        shop.requests += 1
        shop.last_request = time.time()
        status, doc = shop.answer(method, path, body)
        asyncio.get_running_loop().call_later(shop.think_s(), self.reply, method, status, doc,
                                              close)

    def reply(self, method, status, doc, close):
        body = json.dumps(doc).encode()
        head = (f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nX-Service: {self.shop.name}\r\n"
                f"X-Version: {self.shop.version}\r\n"
                + ("Allow: POST\r\n" if status == 405 else "")
                + ("Connection: close\r\n" if close else "") + "\r\n").encode()
        if self.transport.is_closing():
            return
        self.transport.write(head if method == "HEAD" else head + body)
        self.busy = False
        if close:
            self.transport.close()
        else:
            self.next_request()


async def main(options):
    loop, shop, ending = asyncio.get_running_loop(), Shop(options), asyncio.Event()
    for signo in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signo, ending.set)
    for port in options.ports.split(","):
        await loop.create_server(lambda: Connection(shop), "127.0.0.1", int(port), backlog=512)
    await ending.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="shop")
    parser.add_argument("--version", required=True)
    parser.add_argument("--ports", required=True)
    parser.add_argument("--work", type=float, default=12.0)
    parser.add_argument("--fail-checkout", type=float, default=0.0)
    # select() sleeps to the microsecond; epoll would round a quiet version's work up to whole
    # milliseconds and make it look slower than a busy one.
    with asyncio.Runner(
            loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(main(parser.parse_args()))
