"""What tests give to trainers in place of Beam."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records.runtime.shard_worker import RunnerConfig, Worker


class Here:
    """Does every shard in this process, one after another, in place of Beam."""

    def check_runner(self, runner: RunnerConfig) -> None:
        """Any will do."""

    def map_shards(
        self, worker: Worker, names: Sequence[str], *_: Any, **__: Any
    ) -> dict[str, Any]:
        worker = pickle.loads(pickle.dumps(worker))
        return {name: worker(name, lambda _: None) for name in names}
