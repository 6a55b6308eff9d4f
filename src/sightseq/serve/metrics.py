"""What a server measures, for Prometheus."""

from typing import Any

from sightseq.core.extras import require

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counts requests and batches of each model."""

    def __init__(self) -> None:
        client = require("prometheus_client", "serve")
        self._write = client.generate_latest
        self.content_type: str = client.CONTENT_TYPE_LATEST
        self._registry = client.CollectorRegistry()

        def make(kind: Any, name: str, text: str, labels: tuple[str, ...] = ("model",), **options: Any) -> Any:
            return kind(f"sightseq_{name}", text, labels, registry=self._registry, **options)

        self._requests = make(client.Counter, "requests", "requests by status", ("model", "status"))
        self._seconds = make(client.Histogram, "request_seconds", "from first byte to answer", buckets=SECONDS)
        self._sizes = make(client.Histogram, "batch_requests", "requests that are predicted together", buckets=SIZES)
        self._batch_seconds = make(client.Histogram, "batch_seconds", "time to predict a batch", buckets=SECONDS)
        self._running = make(client.Gauge, "requests_running", "requests that wait or are predicted", ())

    def request(self, model: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(model, status).inc()
        self._seconds.labels(model).observe(seconds)

    def batch(self, model: str, requests: int, seconds: float) -> None:
        """Count a predicted batch."""
        self._sizes.labels(model).observe(requests)
        self._batch_seconds.labels(model).observe(seconds)

    def running(self, count: int) -> None:
        """Set the number of requests that wait or are predicted."""
        self._running.set(count)

    def text(self) -> bytes:
        """Return all numbers in Prometheus' format."""
        text: bytes = self._write(self._registry)
        return text
