"""Objects and counters that the parts of a server share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainers.serving.errors import busy

if TYPE_CHECKING:
    from trainers.serving.limits import Limits
    from trainers.serving.metrics import ServerMetrics
    from trainers.serving.served_model import ServedModel
    from trainers.serving.uploads import Uploads


@dataclass
class ServerState:
    """The model and the limits of a server.

    Attributes:
        model: the model.
        limits: the limits.
        uploads: the bodies of requests.
        metrics: the metrics.
        open_requests: the number of requests without an answer.
        is_stopping: whether the server accepts no further connections.
    """

    model: ServedModel
    limits: Limits
    uploads: Uploads
    metrics: ServerMetrics
    open_requests: int = 0
    is_stopping: bool = False

    def require_vacancy(self) -> None:
        """Check that an image is accepted now, before its upload. Raises RequestError."""
        if self.model.batcher.is_full:
            raise busy("too many images are waiting")
