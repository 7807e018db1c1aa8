"""Metrics of a server in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from records.runtime.extras import require_extra

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainers.serving.errors import Refused

_PREFIX = "shardmill_serve_"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32)


class ServerMetrics:
    """The counters of a server."""

    def __init__(self) -> None:
        self._client = client = require_extra("prometheus_client", "serve")
        self._registry = registry = client.CollectorRegistry()
        client.ProcessCollector(registry=registry)
        self._requests = client.Counter(
            f"{_PREFIX}requests",
            "Requests that were answered.",
            ["endpoint", "status"],
            registry=registry,
        )
        self._seconds = client.Histogram(
            f"{_PREFIX}request_seconds",
            "Time from the head of a request to the end of its answer.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._rejected = client.Counter(
            f"{_PREFIX}rejected_requests",
            "Requests that got no prediction.",
            ["reason"],
            registry=registry,
        )
        self._batches = client.Histogram(
            f"{_PREFIX}batch_images",
            "Images per batch of the model.",
            buckets=_IMAGES,
            registry=registry,
        )
        self._model_seconds = client.Counter(
            f"{_PREFIX}model_seconds", "Time that the model computed.", registry=registry
        )
        self._waiting = client.Gauge(
            f"{_PREFIX}queue_images", "Images without an answer.", registry=registry
        )

    @property
    def content_type(self) -> str:
        """Return the media type of `encode`."""
        return str(self._client.CONTENT_TYPE_LATEST)

    def encode(self) -> bytes:
        """Return all metrics as text."""
        text: bytes = self._client.generate_latest(self._registry)
        return text

    def watch_queue(self, count: Callable[[], int]) -> None:
        """Set the function that returns the number of images without an answer."""
        self._waiting.set_function(count)

    def count_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(endpoint, status).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def count_rejected(self, reason: Refused) -> None:
        """Count a request that got no prediction."""
        self._rejected.labels(reason).inc()

    def count_batch(self, images: int, seconds: float) -> None:
        """Count a batch of the model."""
        self._batches.observe(images)
        self._model_seconds.inc(seconds)
