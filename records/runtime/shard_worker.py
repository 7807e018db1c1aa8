"""Workers that process shards, and the runner that calls them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class CancelledError(Exception):
    """The run was cancelled."""


LOCAL = "local"
"""The runner without a cluster: this process, or other processes on this machine."""

ProgressCallback = Callable[[int], None]
"""A function that a worker calls with the number of images processed since the previous call.

The function raises CancelledError when the run is cancelled; a worker must not catch it.
"""

OnProgress = Callable[[int, int], None]
"""A function that is called with the number of processed images and the number of all images."""

WorkerResult = dict[str, Any]
"""The result of a worker for a shard, with JSON values."""


class Worker(Protocol):
    """A callable that processes one shard; it is pickled and sent to other processes.

    After an error, a runner may call a worker again for the same shard. So a worker publishes its
    files completely or not at all, and returns early if the files exist.
    """

    def __call__(self, name: str, count: ProgressCallback, /) -> WorkerResult | None:
        """Process the shard `name` and return the result, if there is one."""


@dataclass(frozen=True)
class RunnerConfig:
    """The selected runner and its options.

    Attributes:
        name: the runner: `local`, an engine such as `flink`, or the name of a Beam runner.
        flags: the options for Beam.
        processes: the number of processes of the runner `local`.
    """

    name: str = LOCAL
    flags: tuple[str, ...] = ()
    processes: int = 1

    @property
    def needs_beam(self) -> bool:
        """Whether Beam has to be imported, which takes about 2 s."""
        return self.name != LOCAL or bool(self.flags)
