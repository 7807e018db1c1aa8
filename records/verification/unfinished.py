"""Unfinished run that adds to a finished dataset."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from records.errors import CorruptDataError
from records.format import layout
from records.format.manifest import read_manifest, shard_names
from records.storage import Storage
from records.storage.work_folder import describe_command, unfinished_command
from records.strict_json import decode_json
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

_Content = TypeVar("_Content", bound=msgspec.Struct)
_REFUSED = "too-many-rejects"


class UnfinishedRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that is writing, or was interrupted: its files are not part of the dataset yet.

    Attributes:
        started: the time of the first start of the run, UTC, as ISO 8601; empty if it is unknown.
        shards: the number of shards that the run will add.
        command: the command of the run; absent if it is unknown.
        too_many_rejects: whether the run ended with exit code 65, and has not finished since;
            absent if not.
    """

    started: str
    shards: int
    command: str = ""
    too_many_rejects: bool = False

    def __str__(self) -> str:
        of = f" of `{describe_command(self.command)[0]}`" if self.command else ""
        started = f", started {escape_for_display(self.started)}" if self.started else ""
        if self.too_many_rejects:
            return (
                f"unfinished run{of}{started}: it rejected too many images (exit code 65), and"
                " added nothing to the dataset; the same command with a higher --max-rejects"
                " finishes it, and `shardmill clean` removes it"
            )
        return (
            f"unfinished run{of}{started}: {pluralize(self.shards, 'shard')} will be added to the"
            " dataset; the same command again finishes an interrupted run"
        )


class _Plan(msgspec.Struct, frozen=True):
    shards: tuple[str, ...]
    plan_digest: str = ""
    started: str = ""


class _Report(msgspec.Struct, frozen=True):
    status: str
    plan_digest: str = ""


def find_unfinished(storage: Storage) -> tuple[UnfinishedRun | None, frozenset[str]]:
    """Return the unfinished run of a dataset, and the names of the shards that it may write.

    A run may end while the dataset is verified: its shards are in the current manifest then, and in
    the names.
    """
    plan = _read(storage, layout.RUN_PLAN, _Plan)
    report = None if plan is None else _read(storage, layout.REPORT, _Report)
    published = shard_names(read_manifest(storage))
    if plan is None:
        return None, frozenset(published)
    added = frozenset(plan.shards) - published
    # The report may be that of an earlier run, which was removed.
    is_refused = report == _Report(_REFUSED, plan.plan_digest)
    if not added and not is_refused:
        return None, frozenset(published)
    command = unfinished_command(storage) or ""
    run = UnfinishedRun(plan.started, len(added), command, too_many_rejects=is_refused)
    return run, added | published


def _read(storage: Storage, name: str, kind: type[_Content]) -> _Content | None:
    """Return the content of a JSON file; None if it is missing or damaged."""
    try:
        return decode_json(storage.read(name), kind)
    except (FileNotFoundError, CorruptDataError, msgspec.DecodeError):
        return None
