"""A thread that runs one model: it predicts the requests that wait for it in batches."""

import asyncio
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any

from sightseq.core.errors import InputWarning
from sightseq.core.predictor import Predictor, Row
from sightseq.serve.metrics import Metrics

Outcome = tuple[list[list[Row]], list[str]] | Exception
"""The rows of each item and the texts of warnings, or what was raised."""
_texts: ContextVar[list[str] | None] = ContextVar("texts", default=None)


@dataclass(eq=False)
class Job:
    """The items of one request, with its options and the future of its outcome."""

    items: Sequence[Any]
    options: Any
    future: asyncio.Future[Any]


class Worker:
    """Runs a model in its own thread; use it as a context manager.

    Requests with equal options are predicted together. While a batch is predicted, the next requests gather; after a
    batch of several requests the worker also waits a moment for as many, so a lone client never waits.

    Args:
        name: name of the model, for the metrics.
        predictor: the model.
        batch_size: number of items in a batch; a single request may have more.
        wait: most seconds to wait for more requests.
        metrics: counts the batches.
    """

    def __init__(self, name: str, predictor: Predictor, batch_size: int, wait: float, metrics: Metrics) -> None:
        self.name, self.predictor, self.wait, self.metrics = name, predictor, wait, metrics
        # Without a batch size, a model predicts one item at a time: others would only wait for each other.
        self.batch_size = batch_size if "batch_size" in predictor.Settings.model_fields else 1
        self._jobs: deque[Job] = deque()
        self._changed = Condition()
        self._stopped = False
        self._last = 1  # number of requests in the last batch
        self._thread = Thread(target=self._run, name=f"model {name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def __enter__(self) -> "Worker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Predict what waits, then end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    async def predict(self, items: Sequence[Any], options: Any) -> tuple[list[list[Row]], list[str]]:
        """Return the rows of each item, and the texts of warnings.

        If the caller is cancelled, the request leaves the queue. If it is being predicted already, this returns after
        that, so that the caller can then remove the files of the request.
        """
        job = Job(items, options, asyncio.get_running_loop().create_future())
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
        try:
            outcome = await asyncio.shield(job.future)
        except asyncio.CancelledError:
            with self._changed:
                waiting = job in self._jobs
                if waiting:
                    self._jobs.remove(job)
            if not waiting:
                await job.future
            raise
        if isinstance(outcome, Exception):
            raise outcome
        result: tuple[list[list[Row]], list[str]] = outcome
        return result

    def _run(self) -> None:
        while batch := self._take():
            start = time.perf_counter()
            outcomes = self._predict(batch)
            self.metrics.batch(self.name, len(batch), time.perf_counter() - start)
            batch[0].future.get_loop().call_soon_threadsafe(_resolve, batch, outcomes)

    def _take(self) -> list[Job]:
        """Wait for requests, and take those that are predicted together; none if the server ends."""
        with self._changed:
            while not self._jobs and not self._stopped:
                self._changed.wait()
            end = time.monotonic() + self.wait
            expected = min(self._last, self.batch_size)
            while len(self._jobs) < expected and not self._stopped and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            batch: list[Job] = []
            others: deque[Job] = deque()
            count = 0
            for job in self._jobs:
                fits = not batch or (count + len(job.items) <= self.batch_size and job.options == batch[0].options)
                (batch if fits else others).append(job)
                count += len(job.items) * fits
            self._jobs, self._last = others, len(batch)
            return batch

    def _predict(self, batch: Sequence[Job]) -> list[Outcome]:
        """Return the outcome of each request; if a batch fails, each of its requests is tried alone."""
        with collecting() as texts:
            try:
                rows = self.predictor.predict_read([item for job in batch for item in job.items], batch[0].options)
            except Exception as error:  # of any kind: the server goes on
                return [error] if len(batch) == 1 else [one for job in batch for one in self._predict([job])]
        parts = iter(rows)
        found = [[next(parts) for _ in job.items] for job in batch]
        return [(one, texts if len(batch) == 1 else []) for one in found]  # otherwise, whose warning is unknown


def _resolve(batch: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    for job, outcome in zip(batch, outcomes, strict=True):
        if not job.future.done():
            job.future.set_result(outcome)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Collect the texts of the input warnings of this thread; needs `showing`."""
    texts: list[str] = []
    token = _texts.set(texts)
    try:
        yield texts
    finally:
        _texts.reset(token)


@contextmanager
def showing() -> Iterator[None]:
    """Let `collecting` work in all threads: `warnings.catch_warnings` is not made for several of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        before = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *arguments: Any, **others: Any) -> None:
            texts = _texts.get()
            if issubclass(category, InputWarning) and texts is not None:
                texts.append(str(message))
            else:
                before(message, category, *arguments, **others)

        warnings.showwarning = show
        yield
