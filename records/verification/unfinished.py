"""Unfinished run that adds to a finished dataset."""

from __future__ import annotations

import msgspec

from records.format import layout
from records.format.manifest import read_manifest, shard_names
from records.storage import Storage
from records.strict_json import decode_json
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize


class UnfinishedRun(msgspec.Struct, frozen=True):
    """A run that is writing, or was interrupted: its files are not part of the dataset yet.

    Attributes:
        started: the time of the first start of the run, UTC, as ISO 8601; empty if it is unknown.
        shards: the number of shards that the run will add.
    """

    started: str
    shards: int

    def __str__(self) -> str:
        started = f", started {escape_for_display(self.started)}" if self.started else ""
        return (
            f"unfinished run{started}: {pluralize(self.shards, 'shard')} will be added to the"
            " dataset; the same command again finishes an interrupted run"
        )


class _Plan(msgspec.Struct, frozen=True):
    shards: tuple[str, ...]
    started: str = ""


def find_unfinished(storage: Storage) -> tuple[UnfinishedRun | None, frozenset[str]]:
    """Return the unfinished run of a dataset, and the names of the shards that it may write.

    A run may end while the dataset is verified: its shards are in the current manifest then, and in
    the names.
    """
    try:
        plan = decode_json(storage.read(layout.RUN_PLAN), _Plan)
    except (FileNotFoundError, msgspec.DecodeError):
        plan = None
    published = shard_names(read_manifest(storage))
    if plan is None:
        return None, frozenset(published)
    added = frozenset(plan.shards) - published
    run = UnfinishedRun(plan.started, len(added)) if added else None
    return run, added | published
