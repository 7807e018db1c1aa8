"""Workers that process shards, and the runner that calls them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

LOCAL = "local"
"""The runner that needs no cluster: this process, or other processes of this machine."""

ProgressCallback = Callable[[int], None]
"""Called by a worker with the number of images done since its last call.

It raises when the run is cancelled; a worker lets that exception pass.
"""

OnProgress = Callable[[int, int], None]
"""Called with the number of images done, and the number of all images."""

WorkerResult = dict[str, Any]
"""What a worker returns for a shard; its values are JSON values."""


class Worker(Protocol):
    """Processes one shard. It is pickled and sent to other processes.

    A runner may call it again for the same shard after an error, so a worker publishes its files
    completely or not at all, and returns early if they exist.
    """

    def __call__(self, name: str, count: ProgressCallback, /) -> WorkerResult | None:
        """Process the shard of that name, and return its result, if it has one."""


@dataclass(frozen=True)
class RunnerConfig:
    """The chosen runner, and its options.

    Attributes:
        name: `local`, an engine such as `flink`, or the name of a Beam runner.
        flags: options for Beam.
    """

    name: str = LOCAL
    flags: tuple[str, ...] = ()

    @property
    def needs_beam(self) -> bool:
        """Whether Beam has to be imported, which takes about 2 s."""
        return self.name != LOCAL or bool(self.flags)
