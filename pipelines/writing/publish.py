"""The end of a conversion: too many rejects are refused, else all is published, manifest last."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipelines.options import ConvertOptions
from pipelines.planning.plan import Plan
from pipelines.report import (
    Report,
    count_reasons,
    encode_report,
    report_plan,
    report_splits,
)
from pipelines.sources.base import Sources
from pipelines.writing.results import ConversionResult, make_manifest, merge_splits
from records.errors import TooManyRejectsError
from records.format import layout
from records.format.index import ShardSummary
from records.format.label_map import format_labels
from records.format.layout import SplitName
from records.format.manifest import Manifest, decode_manifest, encode_manifest
from records.format.rejects import encode_rejects
from records.format.tfds_metadata import tfds_files
from records.storage import FolderLock, Storage, write_file
from records.storage.conditional import replaced_by_other_run
from records.text.keys import key_from_text

DATASET_FILES = (
    layout.LABELS,
    layout.REJECTS,
    layout.REPORT,
    layout.TFDS_INFO,
    layout.TFDS_FEATURES,
)
"""What a dataset's folder holds beside shards, indexes and the manifest."""


def check_reject_limit_early(
    output: Storage,
    plan: Plan,
    sources: Sources,
    options: ConvertOptions,
    *,
    hold: FolderLock | None = None,
) -> None:
    """Refuse now what listing alone rejects too much of: no shard need be written for it.

    Where the output is held, its report says so.

    Raises:
        TooManyRejectsError: the same as after a whole run; in a dry run nothing is written.
    """
    planned = report_plan(plan, sources, status="too-many-rejects", output=output.url)
    rejects = sorted(sources.rejects, key=lambda reject: key_from_text(reject.key))
    outcome = ConversionResult((), rejects, planned.counts)
    if not _is_too_many(outcome, options, plan.generation):
        return
    if hold is None:
        raise _too_many(outcome, planned)
    publish(output, plan, outcome, planned, hold=hold)


def _is_too_many(outcome: ConversionResult, options: ConvertOptions, generation: int) -> bool:
    images = outcome.counts.stored + outcome.counts.rejected
    return outcome.counts.rejected > options.allowed_rejects(images, generation=generation)


def make_report(
    plan: Plan, sources: Sources, outcome: ConversionResult, *, options: ConvertOptions, output: str
) -> Report:
    """The report of a run whose shards are all written."""
    planned = report_plan(plan, sources, status="converted", output=output)
    is_too_many = _is_too_many(outcome, options, plan.generation)
    return msgspec.structs.replace(
        planned,
        status="too-many-rejects" if is_too_many else "converted",
        counts=outcome.counts,
        rejects_by_reason=count_reasons(outcome.rejects),
        notes=(*planned.notes, *_short_split_warnings(plan, outcome.facts)),
        splits=report_splits(merge_splits(outcome.facts, len(plan.labels), {})),
    )


def publish(
    output: Storage,
    plan: Plan,
    outcome: ConversionResult,
    report: Report,
    *,
    hold: FolderLock,
    base: Manifest | None = None,
) -> None:
    """Write what lies beside the shards, and the manifest last, as long as the output is held.

    Args:
        output: where to.
        plan: what was decided.
        outcome: what came of it.
        report: of the run.
        hold: of the output.
        base: the manifest of the dataset that this is a generation more of. Its readers go on with
            it until they open the dataset anew: nothing that it names is touched.

    Raises:
        TooManyRejectsError: the report says so; rejects and report are written, no manifest.
        OutputError: the output cannot be written.
        LockedError: another run took the output over.
    """
    hold.ensure_held()
    rejects = layout.generation_path(layout.REJECTS, plan.generation)
    output.replace(rejects, encode_rejects(outcome.rejects))
    output.replace(layout.REPORT, encode_report(report))
    if report.status == "too-many-rejects":
        raise _too_many(outcome, report, listed_in=output.display_name(rejects))
    # A run that was killed may have given an index its name and not come to this.
    output.fsync_folder(layout.generation_path(layout.INDEX_FOLDER, plan.generation))
    manifest = make_manifest(plan, outcome, base)
    if base is None or base.labels != manifest.labels:
        output.replace(layout.LABELS, format_labels(plan.labels))
    for name, content in _tfds_files(manifest, base).items():
        output.replace(name, content)
    hold.ensure_held()
    if base is None:
        write_file(output, layout.MANIFEST, encode_manifest(manifest))
    else:
        _replace_manifest(output, base, manifest)


def _replace_manifest(output: Storage, base: Manifest, manifest: Manifest) -> None:
    """Publish a manifest in the place of the one that it was made from. Raises LockedError."""
    present = output.read(layout.MANIFEST)
    if decode_manifest(present, path=output.display_name(layout.MANIFEST)) != base:
        raise replaced_by_other_run(output.display_name(layout.MANIFEST))
    output.compare_and_swap(layout.MANIFEST, present, encode_manifest(manifest))


def _tfds_files(manifest: Manifest, base: Manifest | None) -> dict[str, bytes]:
    """Those of the newest generation; where there are new classes, all of them name those."""
    is_same = base is not None and base.labels == manifest.labels
    newest = manifest.generations[-1:]
    return {
        layout.generation_path(name, generation.number): content
        for generation in (newest if is_same else manifest.generations)
        for name, content in tfds_files(
            manifest, folder=layout.generation_folder(generation.number)
        ).items()
    }


def _short_split_warnings(plan: Plan, facts: Sequence[ShardSummary]) -> list[str]:
    """Say where rejects left a split with fewer images than were asked for by number."""
    if plan.generation > 1:
        return []  # a night may well have nothing for a split
    notes = []
    asked: dict[SplitName, object] = {
        "test": plan.settings.test,
        "validation": plan.settings.validation,
    }
    for split, amount in asked.items():
        stored = sum(shard.records for shard in facts if shard.split == split)
        if isinstance(amount, int) and stored < amount:
            notes.append(f"{split} has {stored} images, not {amount}: the others were rejected")
        elif amount is not None and not stored:
            notes.append(f"{split} is empty: its images were rejected")
    return notes


def _too_many(
    outcome: ConversionResult, report: Report, *, listed_in: str | None = None
) -> TooManyRejectsError:
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.rejects_by_reason.items())
    first = outcome.rejects[0]
    images = outcome.counts.stored + outcome.counts.rejected
    advice = (
        "put each class's images in a folder of its own, or name them with --list"
        if all(reject.reason == "no-class" for reject in outcome.rejects)
        else "allow more with --max-rejects (what is written is kept), or mend or --exclude them "
        "after `shardmill clean`"
    )
    return TooManyRejectsError(
        f"{outcome.counts.rejected} of {images} images were rejected ({reasons}), the first: "
        f"{first.key}: {first.detail}",
        hint=f"{listed_in} lists them; {advice}" if listed_in else advice,
    )
