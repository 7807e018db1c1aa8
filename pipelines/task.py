"""What is done with every shard, by a worker that knows nothing of Beam, and how each one ended.

Beam turns whatever went wrong into a bare RuntimeError. So what a retry cannot mend is kept in the
work folder for the driver to read, and raises nothing: a runner would only try again. What may pass
is raised, where the runner then does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from pipelines import work_folder
from pipelines.progress import CancelledError, progress_of
from pipelines.work_folder import Facts
from records.errors import ShardmillError, StorageError
from records.storage import open_storage

Count = Callable[[int], None]
"""Told now and then of images done, with how many since; raises where the run is to stop."""


class Worker(Protocol):
    """Does one shard, by its name. It goes to other processes, so it can be pickled.

    What it returns is kept for the driver; None where what it wrote says it all.
    """

    def __call__(self, name: str, count: Count, /) -> Facts | None:
        """Do the shard of that name, telling `count` of its images."""


class Task(msgspec.Struct, frozen=True):
    """A worker, and what all its shards have in common; sent to each process that works.

    Args:
        worker: what does a shard.
        folder: the folder, local or a URL, in whose work folder the driver looks.
        run_id: the run's name, of no meaning.
        is_retried: whether the runner tries again what raises.
    """

    worker: Worker
    folder: str
    run_id: str
    is_retried: bool


def perform_all(task: Task, names: Iterable[str]) -> None:
    """Have shards done here, one after another: what a runner does that has one worker."""
    count = progress_of(task.run_id).add
    for name in names:
        perform(task, name, count)


def perform(task: Task, name: str, count: Count) -> bool:
    """Have one shard done; whether it was. Raises StorageError where the runner tries again."""
    try:
        count(0)
        facts = task.worker(name, count)
    except CancelledError:
        return False  # whoever started the run has stopped it, and needs no word of it
    except ShardmillError as error:
        work_folder.write_failure(open_storage(task.folder), name, error)
        if isinstance(error, StorageError) and task.is_retried:
            raise
        # Shards that wait in this process would meet the same: a full disk stays full.
        progress_of(task.run_id).cancel()
        return False
    if facts is not None:
        work_folder.write_facts(open_storage(task.folder), name, facts)
    return True
