"""The report of a run: `report.json`, and the output of `--json`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.notes import class_notes, group_notes
from pipelines.run import Run
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
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_to_text
from records.version import __version__

SHOWN_FILES = 5
"""Number of rejects, and of skipped files, that a report lists; two files list all."""

MOST_KEYS = 1000
"""Maximum number of keys in each list of a report; its `differences` count all files."""

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


class RenamedFile(msgspec.Struct, frozen=True):
    """A stored file with a new key: the key in the source, and the key of its record."""

    key: str
    stored_key: str


class RenamedClass(msgspec.Struct, frozen=True):
    """A class of the dataset with a new name.

    JSON calls the names `from` and `to`. `images` is the number of its records. If `merged` is
    true, the dataset had a class with the new name: its records now have the label of this class.
    """

    old: str = msgspec.field(name="from")
    new: str = msgspec.field(name="to")
    images: int
    merged: bool


class Differences(msgspec.Struct, frozen=True):
    """The numbers of stored files that differ from the source; a report lists the first of them."""

    changed: int = 0
    gone: int = 0
    renamed: int = 0
    relabelled: int = 0


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
    report = Report(
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
        notes=(*sources.notes, *class_notes(run), *group_notes(run)),
        generation=plan.generation,
        plan_digest=plan.digest,
    )
    return _with_diff(report, run)


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
    report = Report(
        status="nothing-to-do",
        output=run.output.url,
        counts=count_files(sources, stored=0, rejected=0, known=known),
        splits=report_splits(manifest.splits),
        classes=len(manifest.labels),
        layout=None,
        understood=sources.understood,
        rejects_by_reason={},
        skipped_by_reason=_by_count(sources.left_out.reasons),
        notes=tuple(_note_known_rejects(run.output, manifest)),
        generation=manifest.generations[-1].number,
        plan_digest=run.plan.digest,
    )
    return _with_diff(report, run)


def _note_known_rejects(output: Storage, manifest: Manifest) -> Iterator[str]:
    """Yield a note on the files that earlier runs rejected, and that no later run has stored."""
    with suppress(CorruptDataError):  # `verify` reports the damage
        if rejects := read_unresolved_rejects(output, manifest):
            reasons = list_reasons(count_reasons(rejects))
            yield f"{pluralize(len(rejects), 'file')} rejected by earlier runs ({reasons})"


def prune_command(url: str) -> str:
    """Return the command that removes all earlier generations of a dataset."""
    return shlex.join(["shardmill", "prune", url, "--older-than", "0"])


def _by_count(reasons: Mapping[str, int]) -> dict[str, int]:
    """Return counts by reason, the most frequent first, in the same order on any storage."""
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def _with_diff(report: Report, run: Run) -> Report:
    """Return a report that also lists the differences between the source and the dataset."""
    if run.diff is None:
        return report
    modified, deleted, relabelled = run.diff.modified, run.diff.deleted, run.diff.relabelled
    corrected = run.diff.corrected["key"].to_pylist()
    others = sorted({*relabelled} - {*corrected}) if corrected else relabelled
    keeps = "; the dataset keeps the stored images"
    erase = prune_command(run.output.url)
    removes = (
        "; the dataset removes the stored images, "
        f"and `{erase}` erases the bytes, with all earlier generations"
    )
    notes = [
        f"{pluralize(len(keys), 'file')} {what}; the first: "
        f"{escape_for_display(key_to_text(keys[0]))}"
        for keys, what in (
            (modified, f"modified in the source{keeps}"),
            (deleted, f"deleted from the source{removes if run.options.accept_gone else keeps}"),
            (corrected, "with another class in the source; their records get this class"),
            (others, f"with another group or split in the source{keeps}"),
        )
        if keys
    ]
    first = run.diff.renamed[:MOST_KEYS].to_pylist()
    renamed = tuple(
        RenamedFile(key_to_text(file["key"]), key_to_text(file["stored_key"])) for file in first
    )
    return msgspec.structs.replace(
        report,
        notes=(
            *report.notes,
            *run.diff.renames.notes,
            *_renamed_notes(run.diff.renamed),
            *notes,
            *_removed_notes(run.diff.removed),
        ),
        differences=Differences(
            len(modified), len(deleted), len(run.diff.renamed), len(relabelled)
        ),
        modified=tuple(map(key_to_text, modified[:MOST_KEYS])),
        deleted=tuple(map(key_to_text, deleted[:MOST_KEYS])),
        renamed=renamed,
        relabelled=tuple(map(key_to_text, relabelled[:MOST_KEYS])),
        removed=len(run.sources.removed),
        corrected=len(run.sources.relabelled),
        class_renamed=tuple(renamed_classes(run)),
    )


def renamed_classes(run: Run) -> Iterator[RenamedClass]:
    """Yield the classes of the dataset that get a new name, in the order of the options."""
    if run.base is None or run.diff is None:
        return
    for old, new in run.diff.renames.names.items():
        label = run.base.labels.index(old)
        images = sum(info.class_records[label] for info in run.base.splits.values())
        yield RenamedClass(old, new, images, merged=label in run.diff.renames.merged)


def _renamed_notes(renamed: pa.Table) -> Iterator[str]:
    """Yield a note on the renamed files, with the first of them; arguments as in `SourceDiff`."""
    if not len(renamed):
        return
    key, stored_key = (
        escape_for_display(key_to_text(renamed[name][0].as_py())) for name in ("key", "stored_key")
    )
    note = f"{pluralize(len(renamed), 'file')} renamed in the source; the dataset keeps the records"
    if relabelled := pc.sum(renamed["is_relabelled"]).as_py():
        note += f", {relabelled:,} of them with another class, group or split"
    yield f"{note}; the first: {key} (stored as {stored_key})"


def _removed_notes(removed: Sequence[bytes]) -> Iterator[str]:
    """Yield a note on the files that are not added, because `remove` has removed their records."""
    if removed:
        first = escape_for_display(key_to_text(removed[0]))
        yield (
            f"{pluralize(len(removed), 'file')} not added: removed from the dataset with"
            f" `shardmill remove`; the first: {first}"
        )


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
