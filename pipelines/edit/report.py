"""The report of a command that edits the records of a dataset."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Literal

import msgspec

from pipelines.report import MOST_KEYS, SplitReport, report_splits
from records.format.edits import RemovedRecord
from records.format.layout import SplitName
from records.format.manifest import Manifest
from records.storage import Storage
from records.version import __version__

EditStatus = Literal["removed", "nothing-to-do", "planned"]


class EditReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an edit. It is not part of the dataset.

    Attributes:
        status: the effect of the run; `planned` in a dry run.
        output: the path or URL of the dataset; JSON calls it `target`.
        generation: the number of the newest generation, also of a planned one.
        removed: the number of records that the run removed.
        removed_before: the number of records with these keys that earlier runs removed.
        missing: the number of keys that the dataset does not have, and never had.
        removed_keys: the first keys of the removed records.
        splits: the numbers of images, shards and bytes of each split after the run.
        shards_written: the number of shards that the run wrote.
        old_shards: the shards of earlier generations that still contain the removed records.
        next: the commands that write a dataset without the removed bytes.
        seconds: the duration of the run.
        shardmill_version: the version of shardmill.
    """

    status: EditStatus
    output: str = msgspec.field(name="target")
    generation: int
    removed: int = 0
    removed_before: int = 0
    missing: int = 0
    removed_keys: tuple[str, ...] = ()
    splits: dict[SplitName, SplitReport]
    shards_written: int = 0
    old_shards: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    seconds: float = 0.0
    shardmill_version: str = __version__


def report_removal(
    output: Storage,
    manifest: Manifest,
    *,
    status: EditStatus,
    removed: list[RemovedRecord],
    removed_before: list[RemovedRecord],
    missing: int = 0,
) -> EditReport:
    """Return the report of a removal.

    Args:
        output: the storage of the dataset.
        manifest: the manifest after the run; in a dry run, the current one.
        status: the effect of the run.
        removed: the removed records.
        removed_before: the records that earlier runs removed, of those that were requested.
        missing: the number of keys that the dataset never had.
    """
    old_shards = _find_shards(output, (*removed, *removed_before))
    return EditReport(
        status=status,
        output=output.url,
        generation=manifest.generations[-1].number,
        removed=len(removed),
        removed_before=len(removed_before),
        missing=missing,
        removed_keys=tuple(record.key for record in removed[:MOST_KEYS]),
        splits=report_splits(manifest.splits),
        old_shards=old_shards,
        next=(_compact_command(output.url),) if old_shards else (),
    )


def _find_shards(output: Storage, records: Iterable[RemovedRecord]) -> tuple[str, ...]:
    """Return the existing shards that contain these records, sorted."""
    names = {name for record in records for name in record.shards}
    return tuple(name for name in sorted(names) if output.stat(name) is not None)


def _compact_command(url: str) -> str:
    return shlex.join(["shardmill", "compact", url, f"{url.rstrip('/')}-compacted"])
