"""The report of a command that edits the records of a dataset."""

from __future__ import annotations

import time
from typing import Literal

import msgspec

from pipelines.edit.plan import has_edits
from pipelines.report import SplitReport, report_splits
from pipelines.run import Run
from pipelines.source_differences import MOST_KEYS
from records.format.layout import SplitName
from records.format.manifest import Manifest
from records.version import __version__

EditStatus = Literal["removed", "relabelled", "nothing-to-do", "planned"]


class EditReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an edit. It is not part of the dataset.

    Attributes:
        status: the effect of the run; `planned` in a dry run.
        output: the path or URL of the dataset; JSON calls it `target`.
        generation: the number of the generation that the run wrote or, in a dry run, would write;
            of the present one if there is nothing to do.
        removed: the number of records that the run removed.
        relabelled: the number of records whose classes the run changed.
        removed_before: the number of records with these keys that earlier runs removed.
        kept_out: the number of those that `--accept-gone` removed, and that later runs no longer
            add again if their files return.
        missing: the number of keys that the dataset does not have, and never had.
        removed_keys: the first keys of the removed records.
        relabelled_keys: the first keys of the relabelled records.
        new_classes: the classes that the run added to the label map.
        splits: the numbers of images, shards and bytes of each split after the run; in a dry run,
            before it.
        shards_written: the number of shards that the run wrote.
        old_shards: the existing shards that contain, or may contain, the removed records; the
            present generation lists none of them.
        next: the commands that remove those of earlier generations. A shard that no generation
            lists can only be removed by hand.
        seconds: the duration of the run.
        shardmill_version: the version of shardmill.
    """

    status: EditStatus
    output: str = msgspec.field(name="target")
    generation: int
    removed: int = 0
    relabelled: int = 0
    removed_before: int = 0
    kept_out: int = 0
    missing: int = 0
    removed_keys: tuple[str, ...] = ()
    relabelled_keys: tuple[str, ...] = ()
    new_classes: tuple[str, ...] = ()
    splits: dict[SplitName, SplitReport]
    shards_written: int = 0
    old_shards: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    seconds: float = 0.0
    shardmill_version: str = __version__


def report_edits(run: Run, manifest: Manifest, *, status: EditStatus, dry_run: bool) -> EditReport:
    """Return the report of a run that has ended or, in a dry run, of its plan.

    Args:
        run: the run.
        manifest: the manifest of the dataset after the run; in a dry run, the present one.
        status: the effect of the run if it has edits.
        dry_run: whether nothing was written.
    """
    assert run.base is not None  # an edit needs a dataset
    sources, is_done = run.sources, has_edits(run) and not dry_run
    removed = [record.key for record in sources.removed if record.is_edit]
    if not has_edits(run):
        status = "nothing-to-do"
    elif dry_run:
        status = "planned"
    return EditReport(
        status=status,
        output=run.output.url,
        generation=run.plan.generation if has_edits(run) else manifest.generations[-1].number,
        removed=len(removed),
        relabelled=len(sources.relabelled),
        removed_keys=tuple(removed[:MOST_KEYS]),
        relabelled_keys=tuple(record.key for record in sources.relabelled[:MOST_KEYS]),
        kept_out=len(sources.removed) - len(removed),
        new_classes=run.plan.labels[len(run.base.labels) :],
        splits=report_splits(manifest.splits),
        shards_written=len(run.plan.copies) if is_done else 0,
        seconds=round(time.monotonic() - run.started_at, 3) if is_done else 0.0,
    )
