"""The report of a run: `report.json`, and the output of `--json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from pipelines.notes import class_notes, group_notes
from pipelines.run import Run
from pipelines.source_differences import (
    Differences,
    RenamedClass,
    RenamedFile,
    difference_notes,
    list_differences,
)
from pipelines.sources import Sources
from records.errors import CorruptDataError
from records.format import layout
from records.format.index import Reject
from records.format.layout import SPLITS, SplitName
from records.format.manifest import Count, Counts, Manifest, SplitInfo
from records.format.rejects import read_unresolved_rejects
from records.format.skipped import SkippedFile
from records.storage import Storage
from records.strict_json import decode_json
from records.text.formatting import pluralize
from records.version import __version__

SHOWN_FILES = 5
"""Number of rejects, and of skipped files, that a report lists; two files list all."""

Status = Literal["converted", "nothing-to-do", "planned", "too-many-rejects"]


class SplitReport(msgspec.Struct, frozen=True):
    """The counts of a split; `bytes` is the size of its shards, 0 before they are written."""

    images: int
    shards: int
    bytes: int


class RunCounts(msgspec.Struct, frozen=True):
    """Numbers of the files that a run found in the source, by outcome.

    `found` is the sum of the others. Earlier runs stored, rejected or removed the `known` files.
    """

    found: Count
    stored: Count
    rejected: Count
    skipped: Count
    excluded: Count
    known: Count = 0

    @property
    def of_generation(self) -> Counts:
        """The counts of the generation that the run adds, without known files."""
        found = self.found - self.known
        return Counts(found, self.stored, self.rejected, self.skipped, self.excluded)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a conversion. It is not part of the dataset: `seconds` differs between runs.

    `counts` are those of the files that this run found in the source.
    `source_splits` are the splits that the folders or the list of the source specify, and
    `understood` describes the columns of the list and the paths of the images.
    `quarantined` is whether the run rejected more images than allowed, and publishes the others.
    `skipped_by_reason` and `first_skipped` include excluded files; `skipped_list` is the name of
    the list of these files in the output, None if none was written.
    `modified` and `deleted` are keys of stored files; JSON calls them `changed` and `gone`.
    `renamed` are stored files with a new key in the source.
    `relabelled` are keys of stored files with another class, group or split in the source.
    `removed` and `corrected` are the numbers of records that the run removes, because their files
    are missing, or to which it gives the class of the source.
    `class_renamed` are the classes that get a new name, with `rename_class`.
    `old_shards` are the existing shards that contain removed records, or may contain them, after a
    compaction in place, and `next` are the commands that remove those of earlier generations.
    """

    status: Status
    output: str = msgspec.field(name="target")
    counts: RunCounts
    splits: dict[SplitName, SplitReport]
    classes: int
    layout: str | None
    source_splits: tuple[SplitName, ...] = ()
    understood: str | None = None
    quarantined: bool = False
    rejects_by_reason: dict[str, int]
    first_rejects: tuple[Reject, ...] = ()
    skipped_by_reason: dict[str, int] = {}
    first_skipped: tuple[SkippedFile, ...] = ()
    skipped_list: str | None = None
    notes: tuple[str, ...]
    plan_digest: str
    generation: int = 1
    differences: Differences = Differences()
    modified: tuple[str, ...] = msgspec.field(name="changed", default=())
    deleted: tuple[str, ...] = msgspec.field(name="gone", default=())
    renamed: tuple[RenamedFile, ...] = ()
    relabelled: tuple[str, ...] = ()
    removed: int = 0
    corrected: int = 0
    class_renamed: tuple[RenamedClass, ...] = ()
    old_shards: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    shards_kept: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    shardmill_version: str = __version__


def report_plan(run: Run, *, status: Status) -> Report:
    """Return the report of a plan before the plan is executed; count all images as stored."""
    plan, sources = run.plan, run.sources
    shards = Counter(shard.split for shard in plan.shards)
    return Report(
        status=status,
        output=run.output.url,
        counts=count_files(sources, stored=plan.images, rejected=len(sources.rejects)),
        splits={
            split: SplitReport(images, shards[split], 0)
            for split, images in plan.split_images().items()
        },
        classes=len(plan.labels),
        layout=sources.layout,
        source_splits=tuple(split for split in SPLITS if split in sources.splits),
        understood=sources.understood,
        rejects_by_reason=count_reasons(sources.rejects),
        first_rejects=tuple(sources.rejects[:SHOWN_FILES]),
        skipped_by_reason=_by_count(sources.left_out.reasons),
        first_skipped=sources.left_out.first(SHOWN_FILES),
        skipped_list=layout.generation_path(layout.SKIPPED, plan.generation)
        if status != "planned"
        else None,
        notes=(*sources.notes, *class_notes(run), *group_notes(run), *difference_notes(run)),
        generation=plan.generation,
        plan_digest=plan.digest,
        **list_differences(run),
    )


def count_files(sources: Sources, *, stored: int, rejected: int, known: int = 0) -> RunCounts:
    """Return the counts of a run; `known` is the number of images and rejects it need not store."""
    left_out = sources.left_out.outcomes
    return RunCounts(
        sources.found,
        stored,
        rejected,
        left_out["skipped"],
        left_out["excluded"],
        sources.known + known,
    )


def report_finished(run: Run, manifest: Manifest) -> Report:
    """Return the report of a run that finds its dataset complete: all its files are known."""
    sources = run.sources
    known = len(sources.images) + len(sources.rejects)
    return Report(
        status="nothing-to-do",
        output=run.output.url,
        counts=count_files(sources, stored=0, rejected=0, known=known),
        splits=report_splits(manifest.splits),
        classes=len(manifest.labels),
        layout=None,
        understood=sources.understood,
        rejects_by_reason={},
        skipped_by_reason=_by_count(sources.left_out.reasons),
        notes=(*_note_known_rejects(run.output, manifest), *difference_notes(run)),
        generation=manifest.generations[-1].number,
        plan_digest=run.plan.digest,
        **list_differences(run),
    )


def _note_known_rejects(output: Storage, manifest: Manifest) -> Iterator[str]:
    """Yield a note on the files that earlier runs rejected, and that no later run has stored."""
    with suppress(CorruptDataError):  # `verify` reports the damage
        if rejects := read_unresolved_rejects(output, manifest):
            reasons = list_reasons(count_reasons(rejects))
            yield f"{pluralize(len(rejects), 'file')} rejected by earlier runs ({reasons})"


def _by_count(reasons: Mapping[str, int]) -> dict[str, int]:
    """Return counts by reason, the most frequent first, in the same order on any storage."""
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def report_splits(splits: Mapping[SplitName, SplitInfo]) -> dict[SplitName, SplitReport]:
    """Return the number of images, shards and bytes of each split."""
    return {
        split: SplitReport(facts.records, len(facts.shards), facts.bytes)
        for split, facts in splits.items()
    }


def encode_report(report: Report) -> bytes:
    """Return the content of `report.json`."""
    return msgspec.json.format(msgspec.json.encode(report)) + b"\n"


def read_report(output: Storage) -> Report | None:
    """Return the report of the last finished run; None if it is lost or damaged."""
    content = read_report_bytes(output)
    return None if content is None else decode_json(content, Report)


def read_report_bytes(output: Storage) -> bytes | None:
    """Return the content of `report.json`; None if it is lost or damaged."""
    try:
        content = output.read(layout.REPORT)
        decode_json(content, Report)
    except (FileNotFoundError, CorruptDataError, msgspec.DecodeError):
        return None
    return content


def list_reasons(counts: Mapping[str, int]) -> str:
    """Return the numbers of rejects by reason as text."""
    return ", ".join(f"{number:,} {reason}" for reason, number in counts.items())


def count_reasons(rejects: Sequence[Reject]) -> dict[str, int]:
    """Return the number of rejects by reason, the most frequent first."""
    return _by_count(Counter(reject.reason for reject in rejects))
