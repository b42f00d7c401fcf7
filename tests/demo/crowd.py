"""The people in front of the proxy: steady traffic on keep-alive connections, all counted."""
import asyncio
import collections
import json
import random
import threading
import time

Seen = collections.namedtuple("Seen", "at ended path status version service user")
# at, ended: time.time(); status 0: broken or refused


class Crowd:
    """RATE requests a second, in Poisson time, from many users over CLIENTS connections."""

    def __init__(self, port, rate=400.0, clients=24, users=5000):
        self.port, self.rate, self.clients, self.users = port, rate, clients, users
        self.seen, self.ending = [], threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()), daemon=True)
        self.thread.start()

    async def run(self):
        await asyncio.gather(*(self.client() for _ in range(self.clients)))

    async def client(self):
        reader = writer = None
        due = time.monotonic()
        while not self.ending.is_set():
            due = max(due + random.expovariate(self.rate / self.clients), time.monotonic() - 0.2)
            await asyncio.sleep(max(0, due - time.monotonic()))
            path, user = self.choose(), f"u{random.randrange(self.users)}"
            began = time.time()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                status, head = await self.exchange(reader, writer, path, user)
                if head.get("connection") == "close":
                    writer.close()
                    writer = None
            except (OSError, EOFError, ValueError) as e:
                status, head = 0, {"x-version": repr(e)}
                if writer:
                    writer.close()
                writer = None
            self.seen.append(Seen(began, time.time(), path, status, head.get("x-version"),
                                  head.get("x-service"), user))
        if writer:
            writer.close()

    def choose(self):
        dice = random.random()
        if dice < 0.4:
            return "/checkout"
        return "/items" if dice < 0.6 else "/" if dice < 0.7 else f"/items/{random.randint(1, 8)}"

    async def exchange(self, reader, writer, path, user):
        method, more, body = "GET", "", ""
        if path == "/checkout":
            body = json.dumps({"items": random.choices(range(1, 9), k=2)})
            method = "POST"
            more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: shop.test\r\nX-User-Id: {user}\r\n"
                     f"{more}\r\n{body}".encode())
        raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)
        lines = raw.decode("latin-1").split("\r\n")
        head = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
        await asyncio.wait_for(reader.readexactly(int(head.get("content-length", 0))), 15)
        return int(lines[0].split(" ")[1]), head

    def between(self, start, end=None):
        """What began in that time."""
        end = end or time.time()
        return [s for s in list(self.seen) if start <= s.at < end]

    def stop(self):
        self.ending.set()
        self.thread.join(20)
