"""What a trainer asks of Beam, which it does not import: the command line's root brings it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Count = Callable[[int], None]
    """Told of images done, with how many since; what it raises must pass."""
    OnProgress = Callable[[int, int], None]
    """Told of images done, and of how many there are."""


@dataclass(frozen=True)
class Runner:
    """Where a pipeline runs: `local`, or a runner by Beam's name, and Beam's flags."""

    name: str = "local"
    flags: tuple[str, ...] = ()


class Worker(Protocol):
    """Does one shard, or what else has a name. It goes to other processes, so it can be pickled."""

    def __call__(self, name: str, count: Count, /) -> dict[str, Any]:
        """Do it; what comes back must fit into JSON."""


class ShardExecutor(Protocol):
    """What `pipelines` offers."""

    def check_runner(self, runner: Runner) -> None:
        """Refuse a runner or flags that Beam does not know. Raises UsageError."""

    def map_shards(
        self,
        worker: Worker,
        names: Sequence[str],
        folder: str,
        runner: Runner,
        *,
        images: int,
        on_progress: OnProgress,
    ) -> dict[str, dict[str, Any]]:
        """See `pipelines.runners.map_shards`."""
