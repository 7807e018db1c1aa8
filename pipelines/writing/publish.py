"""Publication of a dataset: reject limit, files, and finally the manifest."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

from pipelines.notes import reject_notes
from pipelines.report import (
    SHOWN_FILES,
    Report,
    count_reasons,
    encode_report,
    read_report_bytes,
    report_plan,
    report_splits,
)
from pipelines.run import Run
from pipelines.writing.reject_limit import exceeds_limit, is_refused, too_many_rejects
from pipelines.writing.results import ConversionResult, make_manifest, merge_splits
from pipelines.writing.source_lists import make_lists
from records.errors import CorruptDataError, OutputError
from records.format import layout
from records.format.digest import digest_of
from records.format.label_map import format_labels
from records.format.layout import SplitName
from records.format.manifest import (
    Manifest,
    SplitInfo,
    decode_manifest,
    encode_manifest,
    shard_names,
)
from records.format.metadata.croissant import croissant_files
from records.format.tfds_metadata import tfds_files
from records.generations import (
    Provenance,
    encode_provenance,
    encode_saved,
    make_provenance,
    replace_manifest,
)
from records.runtime.telemetry import span
from records.storage import FolderLock, Storage, absolute_location, write_file
from records.storage.ownership import write_own_files
from records.text.formatting import pluralize
from records.text.keys import key_from_text

_WITH_SOURCE = {"convert", "convert --append", "compact"}
"""The commands that read a source other than the dataset to which they write."""


def check_reject_limit_early(run: Run, *, lock: FolderLock | None = None) -> None:
    """Check the reject limit before any shard is written, with the rejects of the listing.

    If `lock` is given and the limit is exceeded, the report and the rejects are written.

    Raises:
        TooManyRejectsError: more images were rejected than allowed.
    """
    report = report_plan(run, status="too-many-rejects")
    rejects = sorted(run.sources.rejects, key=lambda reject: key_from_text(reject.key))
    result = ConversionResult((), rejects, report.counts)
    if not is_refused(run, result.counts):
        return
    if lock is None:
        raise too_many_rejects(result, report)
    publish(run, result, report, lock=lock)


def report_dry_run(run: Run) -> Report:
    """Return the report of a dry run. Raises as `check_reject_limit_early`."""
    check_reject_limit_early(run)
    report = report_plan(run, status="planned")
    return msgspec.structs.replace(report, quarantined=exceeds_limit(run, report.counts))


def report_result(run: Run, result: ConversionResult, *, shards_kept: int) -> Report:
    """Return the report of a run whose shards are all written.

    Args:
        run: the run.
        result: the shards and rejects of the run.
        shards_kept: the number of shards that an interrupted run had finished.
    """
    planned = report_plan(run, status="converted")
    seconds = time.monotonic() - run.started_at
    splits = merge_splits(result.shards, len(run.plan.labels), {})
    refused = is_refused(run, result.counts)
    return msgspec.structs.replace(
        planned,
        status="too-many-rejects" if refused else "converted",
        counts=result.counts,
        quarantined=exceeds_limit(run, result.counts) and not refused,
        rejects_by_reason=count_reasons(result.rejects),
        first_rejects=tuple(result.rejects[:SHOWN_FILES]),
        notes=(
            *planned.notes,
            *_short_split_warnings(run, result),
            *reject_notes(_count_classes(run.plan.labels, splits), result.rejects),
        ),
        splits=report_splits(splits),
        shards_kept=shards_kept,
        seconds=round(seconds, 3),
        images_per_second=round(run.plan.images / seconds, 1),
    )


def _count_classes(labels: Sequence[str], splits: Mapping[SplitName, SplitInfo]) -> dict[str, int]:
    """Return the number of records of each class."""
    columns = zip(*(info.class_records for info in splits.values()), strict=True)
    return dict(zip(labels, map(sum, columns), strict=False))


@span("publish")
def publish(
    run: Run,
    result: ConversionResult,
    report: Report,
    *,
    lock: FolderLock,
    replaced: Mapping[str, bytes | None] | None = None,
) -> Manifest:
    """Write the files of a dataset other than shards and indexes; write the manifest last.

    Readers of the previous generation see no change until they open the dataset again: no file that
    the previous manifest names is changed. Only files that are known to be written by shardmill are
    replaced.

    Args:
        run: the run.
        result: the shards and rejects of the run.
        report: the report of the run; if its status is `too-many-rejects`, no manifest is written.
        lock: the lock of the output.
        replaced: the result of `replaced_files`, if it was read before.

    Returns:
        The manifest.

    Raises:
        TooManyRejectsError: more images were rejected than allowed; report and rejects are written.
        OutputError: the output cannot be written, or a file of the user has the name of one of
            these files.
        LockedError: another run has taken over the lock.
    """
    output = run.output
    lock.ensure_held()
    replaced = replaced_files(run) if replaced is None else replaced
    lists = make_lists(run, result)
    contents = {**lists.contents, layout.REPORT: encode_report(report)}
    if report.status == "too-many-rejects":
        write_own_files(output, contents, replaced)
        rejects = layout.generation_path(layout.REJECTS, run.plan.generation)
        raise too_many_rejects(result, report, listed_in=output.display_name(rejects))
    manifest = make_manifest(run, result, lists.digests)
    return _publish_manifest(run, manifest, contents, replaced, lock=lock)


@span("publish")
def publish_edits(run: Run, result: ConversionResult, *, lock: FolderLock) -> Manifest:
    """Write the files of a generation that edits earlier ones, and the manifest last; return it.

    The report of the last conversion is kept.

    Raises:
        OutputError: the output cannot be written, or a file of the user has the name of one of
            these files.
        LockedError: another run has taken over the lock.
    """
    lock.ensure_held()
    lists = make_lists(run, result)
    manifest = make_manifest(run, result, lists.digests)
    return _publish_manifest(run, manifest, lists.contents, replaced_files(run), lock=lock)


def _publish_manifest(
    run: Run,
    manifest: Manifest,
    contents: Mapping[str, bytes],
    replaced: Mapping[str, bytes | None],
    *,
    lock: FolderLock,
) -> Manifest:
    """Write the last files of a generation, those that follow from a manifest, and the manifest.

    Args:
        run: the run.
        manifest: the manifest, without the digests of the files that follow from it.
        contents: the content of other files to write, by name.
        replaced: the present content of the files to replace, by name; see `replaced_files`.
        lock: the lock of the output.

    Returns:
        The published manifest.
    """
    output, base, number = run.output, run.base, run.plan.generation
    if run.plan.all_shards:
        # A run that was killed may have renamed an index into place without syncing the folder.
        output.fsync_folder(layout.generation_path(layout.INDEX_FOLDER, number))
    provenance = encode_provenance(_make_provenance(run))
    derived = {**_tfds_files(manifest, base), **croissant_files(manifest)}
    if base is None or base.labels != manifest.labels:
        derived = {layout.LABELS: format_labels(manifest.labels), **derived}
    manifest = manifest.with_files(derived)
    contents = {**contents, **derived}
    contents[layout.generation_path(layout.PROVENANCE, number)] = provenance
    if base is not None:
        contents |= encode_saved(base)
    write_own_files(output, contents, replaced)
    lock.ensure_held()
    if base is None:
        write_file(output, layout.MANIFEST, encode_manifest(manifest))
    else:
        replace_manifest(output, base, manifest)
    return manifest


def _make_provenance(run: Run) -> Provenance:
    options, command = run.options, _full_command(run)
    return make_provenance(
        command,
        source=absolute_location(options.source) if command in _WITH_SOURCE else None,
        options={**options.given(), **run.arguments},
        message=options.message,
        seconds=time.monotonic() - run.started_at,
    )


def _full_command(run: Run) -> str:
    if run.options.append:
        return f"{run.command} --append"
    is_compaction = run.command == "compact" and run.base is not None
    return "compact --in-place" if is_compaction else run.command


def replaced_files(run: Run) -> Mapping[str, bytes | None]:
    """Return the files of the previous generations that a run replaces, and their known content.

    A file with other content belongs to the user. The content of the report is known if it is a
    report, and that of any other file if the manifest lists it; otherwise it is None.
    """
    if run.base is None:
        return {}
    return {layout.REPORT: read_report_bytes(run.output), **_derived_anew(run)}


def _derived_anew(run: Run) -> Mapping[str, bytes | None]:
    """Return the files that follow from the previous manifest, if some follow from it no more."""
    base = run.base
    if base is None:
        return {}
    is_derived_anew = base.labels != run.plan.labels or bool(run.plan.replaced)
    names = derived_files(base) if is_derived_anew else croissant_files(base)
    return {name: _read_listed(run.output, base, name) for name in names}


def _read_listed(output: Storage, base: Manifest, name: str) -> bytes | None:
    """Return the content of a file if a manifest lists it; None if it is missing or another file.

    An earlier version of shardmill may have derived other content from the manifest.
    """
    try:
        content = output.read(name)
    except (FileNotFoundError, CorruptDataError):  # a link that leads out of the folder
        return None
    return content if digest_of(content) == base.files.get(name) else None


def derived_files(manifest: Manifest) -> dict[str, bytes]:
    """Return the files whose content follows from the manifest of a converted dataset."""
    return {
        layout.LABELS: format_labels(manifest.labels),
        **_tfds_files(manifest, None),
        **croissant_files(manifest),
    }


def read_published(output: Storage) -> Manifest | None:
    """Return the manifest of the dataset in an output; None if there is none.

    Raises:
        OutputError: the manifest is damaged, or is a file of the user.
    """
    try:
        content = output.read(layout.MANIFEST)
        return decode_manifest(content, path=output.display_name(layout.MANIFEST))
    except FileNotFoundError:
        return None
    except CorruptDataError as error:
        raise OutputError(
            f"the output already contains a damaged dataset: {error.what}",
            path=error.path,
            got=error.got,
            hint=error.hint or f"restore {layout.MANIFEST} from a copy, or choose another output",
        ) from error


def _tfds_files(manifest: Manifest, base: Manifest | None) -> dict[str, bytes]:
    """Return the TFDS files of the newest generation, and of the generations that it changes.

    It changes a generation if this has other shards now, and all generations if it adds classes.
    """
    numbers = [generation.number for generation in manifest.generations]
    if base is not None and base.labels == manifest.labels:
        edited = {layout.parent(name) for name in shard_names(manifest) ^ shard_names(base)}
        kept = [number for number in numbers if layout.generation_folder(number) in edited]
        numbers = sorted({*kept, numbers[-1]})
    return {
        layout.generation_path(name, number): content
        for number in numbers
        for name, content in tfds_files(manifest, folder=layout.generation_folder(number)).items()
    }


def _short_split_warnings(run: Run, result: ConversionResult) -> list[str]:
    """Return a note for each split with fewer images than requested because of rejects."""
    if run.plan.generation > 1:
        return []  # a later generation may have no images for a split
    notes = []
    settings = run.plan.settings
    requested: dict[SplitName, object] = {"test": settings.test, "validation": settings.validation}
    for split, size in requested.items():
        stored = sum(s.summary.records for s in result.shards if s.summary.split == split)
        if isinstance(size, int) and stored < size:
            notes.append(
                f"{split} has {pluralize(stored, 'image')}, not {size}: the others were rejected"
            )
        elif size is not None and not stored:
            notes.append(f"{split} is empty: its images were rejected")
    return notes
