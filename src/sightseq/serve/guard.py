"""Limits of a server: how many requests at a time, of what size, for how long."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightseq.serve.metrics import Metrics

GONE = 499  # the status that nginx logs for a client that has disconnected


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        requests: number of requests that may wait or be predicted at a time.
        size: largest body, in bytes.
        seconds: longest time from the first byte of a request to its answer.
    """

    requests: int
    size: int
    seconds: float


class Guard:
    """ASGI middleware that applies the limits to each POST, and drops a request whose client has disconnected.

    Args:
        app: the application.
        limits: the limits.
        metrics: counts the requests.
        models: paths of the routes, with the name of the model of each.
    """

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, models: dict[str, str]) -> None:
        self.app, self.limits, self.metrics, self.models = app, limits, metrics, models
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        name = self.models.get(scope.get("path", ""))
        if scope["type"] != "http" or scope["method"] != "POST" or name is None:
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = await self._answer(scope, receive, send)
        self.metrics.request(name, status, time.perf_counter() - start)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer one request; return the status."""
        limits = self.limits
        if self._running >= limits.requests:
            text = f"{limits.requests} requests are waiting already; try again in a second"
            return await _refuse(send, 503, text, {"Retry-After": "1"})
        size = next((value for key, value in scope["headers"] if key == b"content-length"), b"0")
        if size.isdigit() and int(size) > limits.size:
            return await _refuse(send, 413, self._too_large())
        exchange = _Exchange(receive, send, limits.size, self._too_large())
        self._count(1)
        task = asyncio.ensure_future(self.app(scope, exchange.receive, exchange.send))
        task.add_done_callback(self._done)
        gone = asyncio.ensure_future(exchange.disconnected())
        try:
            await asyncio.wait({task, gone}, timeout=limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
                return exchange.status or GONE
            exchange.closed = True
            if gone.done():
                return GONE
            if exchange.status:  # the answer is on its way
                return exchange.status
            if exchange.complete.is_set():
                return await _refuse(send, 504, f"there was no answer within {limits.seconds:g} s")
            return await _refuse(send, 408, f"the request was not complete within {limits.seconds:g} s")
        finally:
            gone.cancel()
            task.cancel()  # it is not awaited: a batch that is being predicted ends first

    def _too_large(self) -> str:
        return f"the body is larger than {self.limits.size / 1e6:g} MB"

    def _count(self, change: int) -> None:
        self._running += change
        self.metrics.running(self._running)

    def _done(self, task: "asyncio.Future[Any]") -> None:
        self._count(-1)
        if not task.cancelled():
            task.exception()  # mark as seen


class _Exchange:
    """The messages of one request and its answer."""

    def __init__(self, receive: Receive, send: Send, size: int, too_large: str) -> None:
        self._receive, self._send, self._left, self._too_large = receive, send, size, too_large
        self.complete = asyncio.Event()  # the body has been read
        self.closed = False
        self.status = 0  # of the answer, if it has begun

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise HTTPException(413, self._too_large)
            if not message.get("more_body"):
                self.complete.set()
        return message

    async def send(self, message: Message) -> None:
        if self.closed:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def disconnected(self) -> None:
        """Return when the client has disconnected, after its body has been read."""
        await self.complete.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _refuse(send: Send, status: int, text: str, headers: dict[str, str] | None = None) -> int:
    body = json.dumps({"detail": text}).encode()
    named = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
    return status
