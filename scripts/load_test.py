"""Load test of `sightseq serve`: requests per second and latencies, a mix with malformed requests, and disconnects.

    sightseq serve ckpt=runs/digits port=8123
    python scripts/load_test.py http://127.0.0.1:8123/predict/digits runs/digits/RUN/checkpoints/best.ckpt

Sends images as JSON, over kept-alive connections. Compares all answers with those of the checkpoint in this process,
whose speed alone, in batches, is measured too. Needs no package besides those of sightseq.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from itertools import count
from urllib.parse import urlsplit

import numpy as np

import sightseq

BAD = [b"{", b'{"inputs": [[[256]]]}', b'{"inputs": []}', b'{"inputs": [[[1,2],[3]]]}', b'{"inputs": 1, "x": 2}']


class Connection:
    """A kept-alive HTTP connection that posts JSON."""

    def __init__(self, url: str) -> None:
        self.parts = urlsplit(url)

    async def __aenter__(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection(self.parts.hostname, self.parts.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def send(self, body: bytes) -> None:
        head = f"POST {self.parts.path} HTTP/1.1\r\nhost: {self.parts.netloc}\r\ncontent-type: application/json\r\n"
        self.writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    async def post(self, body: bytes) -> tuple[int, bytes]:
        self.send(body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)


async def load(url: str, bodies: list[bytes], clients: int) -> tuple[list[tuple[int, bytes]], np.ndarray, float]:
    """Send all bodies from so many clients; return the answers, the seconds of each, and the total seconds."""
    answers: list[tuple[int, bytes]] = [(0, b"")] * len(bodies)
    seconds, numbers = np.zeros(len(bodies)), count()

    async def client() -> None:
        async with Connection(url) as connection:
            while (number := next(numbers)) < len(bodies):
                begin = time.perf_counter()
                answers[number] = await connection.post(bodies[number])
                seconds[number] = time.perf_counter() - begin

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return answers, seconds, time.perf_counter() - begin


async def disconnect(url: str, bodies: list[bytes]) -> None:
    """Send each body on a connection of its own, and close it without reading the answer."""
    for body in bodies:
        async with Connection(url) as connection:
            connection.send(body)
            await connection.writer.drain()


def summary(name: str, seconds: np.ndarray, total: float) -> str:
    p50, p99 = 1e3 * np.percentile(seconds, [50, 99])
    return f"{name:<24}{len(seconds) / total:>10,.0f} requests/s{p50:>10.2f} ms p50{p99:>10.2f} ms p99"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("ckpt")
    parser.add_argument("--requests", type=int, default=10_000)
    arguments = parser.parse_args()
    predictor = sightseq.load(arguments.ckpt, "cpu")
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (8, 8)).astype(np.uint8) for _ in range(500)]
    rows = predictor.predict(images)
    bodies = [json.dumps({"inputs": [image.tolist()]}).encode() for image in images]

    for size in (1, 16, 64):
        begin = time.perf_counter()
        for start in range(0, len(images), size):
            predictor.predict(images[start : start + size], batch_size=size)
        print(f"network alone, batch {size:<3}{len(images) / (time.perf_counter() - begin):>10,.0f} images/s")
    asyncio.run(load(arguments.url, bodies, 4))  # warm up
    for clients in (1, 16, 64):
        amount = min(arguments.requests, 2000 if clients == 1 else 5000)
        _, seconds, total = asyncio.run(load(arguments.url, [bodies[n % 500] for n in range(amount)], clients))
        print(summary(f"{clients} clients", seconds, total))

    chosen = [random.integers(500) if random.random() >= 0.05 else -1 for _ in range(arguments.requests)]
    mixed = [bodies[n] if n >= 0 else BAD[random.integers(len(BAD))] for n in chosen]
    answers, seconds, total = asyncio.run(load(arguments.url, mixed, 16))
    print(summary("5 % malformed, 16", seconds, total))
    wrong = sum(
        status not in (400, 422) if n < 0 else status != 200 or not same(content, rows[n])
        for n, (status, content) in zip(chosen, answers, strict=True)
    )
    print(f"statuses {dict(Counter(status for status, _ in answers))}; lost or wrong: {wrong}")

    asyncio.run(disconnect(arguments.url, bodies))
    begin = time.perf_counter()
    answers, seconds, total = asyncio.run(load(arguments.url, bodies, 16))
    wrong = sum(status != 200 or not same(content, row) for row, (status, content) in zip(rows, answers, strict=True))
    print(summary("after 500 disconnects", seconds, total))
    print(f"lost or wrong: {wrong}")


def same(content: bytes, row: dict) -> bool:
    """Whether an answer has the label of the row, and its probabilities up to rounding."""
    ((found,),) = [result["rows"] for result in json.loads(content)["results"]]
    return found["label"] == row["label"] and abs(found["probability"] - row["probability"]) < 2e-6


if __name__ == "__main__":
    main()
