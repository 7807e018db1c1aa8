"""Adoption of third-party TFRecord files: scan, plan, write index and manifest.

The TFRecord files are only read; of compressed files, uncompressed copies are written. The manifest
is written last.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec

from records.adopt.infer_classes import GivenLabels, decide_classes
from records.adopt.infer_schema import choose_features
from records.adopt.infer_splits import choose_split
from records.adopt.plan import AdoptionPlan, plan_adoption
from records.adopt.report import AdoptReport, Status, make_report
from records.adopt.scan import (
    locate_files,
    read_file,
    require_own_indexes,
    summarize_adoptable,
)
from records.adopt.unpack import describe_unpacked, find_shard, write_unpacked
from records.arguments import NotNegative, check_arguments
from records.errors import InputNotFoundError, OutputError, TooManyRejectsError
from records.format import layout
from records.format.label_map import format_labels, parse_labels
from records.format.manifest import ExternalFormat, encode_manifest, read_manifest
from records.format.metadata.card_file import update_card
from records.format.metadata.croissant import croissant_files
from records.format.metadata.description import read_description
from records.format.rejects import encode_rejects
from records.format.tfds_metadata import tfds_files
from records.generations import make_provenance, write_provenance
from records.runtime.cpu import available_cpus
from records.storage import absolute_location, open_storage, read_named_file, write_file
from records.storage.errors import starts_over
from records.storage.ownership import require_own
from records.storage.work_folder import (
    list_own_files,
    record_command,
    remove_own_files,
    run_of_other_command,
    unfinished_command,
)
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from records.adopt.infer_classes import FirstLabel
    from records.adopt.unpack import FileToAdopt
    from records.format.layout import SplitName
    from records.format.metadata.description import Description
    from records.format.schema import FeatureNames
    from records.generations import Provenance
    from records.inspection.file_summary import FileSummary
    from records.storage import Storage

_REJECTS_ALWAYS_ALLOWED = 10
_REJECTS_ALLOWED_OF = 100


@check_arguments
@starts_over()
def adopt(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    splits: Mapping[str, SplitName] | None = None,
    features: Mapping[str, str] | None = None,
    first_label: FirstLabel | None = None,
    max_rejects: NotNegative | None = None,
    dry_run: bool = False,
    describe: str | os.PathLike[str] | None = None,
    message: str | None = None,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> AdoptReport:
    """Make a dataset of TFRecord files that shardmill did not write, without copying them.

    Only files that are compressed with GZIP are copied: the copy is uncompressed, and its name has
    no `.gz`.

        adopt(["old/train-0.tfrecord", "old/test-0.tfrecord"], "old")

    Args:
        files: TFRecord files below `output`; they are only read.
        output: the folder of the files. `adopt` adds indexes, label map and manifest to it.
        labels: the path of a label map; None uses a label map next to the files, and derives one
            from the records if there is none.
        splits: splits by file pattern, such as {"old/val*": "validation"}. The first match applies.
            Without a match, a word in the path determines the split.
        features: feature names by role (image, label, text, key). The features of missing roles are
            detected.
        first_label: the number of the first class in the records; None detects the number.
        max_rejects: the maximum number of excluded records; None allows 1 % of the records, or 10
            if that is more. To exclude all records is always an error.
        dry_run: whether to write nothing.
        describe: the path of a TOML file with name, licence, citation and so on of the dataset.
        message: the reason for the dataset; see `sm.log`.
        on_bytes: a callback that receives the size of each record that was read, in bytes. Several
            threads call it.

    Raises:
        UsageError: the files cannot form one dataset.
        InputNotFoundError: a file does not exist, or no file has records.
        CorruptDataError: a file is damaged.
        TooManyRejectsError: more than `max_rejects` records, or all records, would be excluded.
        OutputError: the folder contains an unfinished run of another command, a dataset that was
            not made of these files with these options, or a different file with the name of an
            uncompressed copy; or the folder cannot be written to.
        LockedError: another process is writing to the folder.
    """
    path_of_description = None if describe is None else os.fspath(describe)
    arguments = {
        "labels": None if labels is None else os.fspath(labels),
        "splits": splits,
        "features": features,
        "first_label": first_label,
        "max_rejects": max_rejects,
        "describe": path_of_description,
    }
    description = read_description(path_of_description)
    folder = os.fspath(output)
    provenance = make_provenance(
        "adopt",
        source=absolute_location(folder),
        options={name: value for name, value in arguments.items() if value is not None},
        message=message,
    )
    storage = open_storage(folder)
    paths = [files] if isinstance(files, str | os.PathLike) else files
    names = locate_files([os.fspath(path) for path in paths], folder)
    split_of_source = {name: choose_split(name, splits or {}) for name in names}
    _require_adoptable(storage)
    summaries = [summarize_adoptable(storage, name) for name in names]
    found = [find_shard(summary, storage.display_name(summary.name)) for summary in summaries]
    require_own_indexes(found, folder)
    chosen = _find_features(storage, summaries, features or {})
    with ThreadPoolExecutor(available_cpus()) as threads:
        scanned = list(threads.map(lambda file: read_file(storage, file, chosen, on_bytes), found))
    split_of = {file.shard: split_of_source[file.source] for file in found}
    references = {record.reference for file in scanned for record in file.records}
    valid = {it for it in references if it.label is None or it.label >= 0}
    given = _read_labels(storage, chosen, None if labels is None else os.fspath(labels))
    classes = decide_classes(valid, given, first_label, path=storage.url)
    plan = plan_adoption(scanned, split_of, chosen, classes)
    plan = _plan_files(storage, plan, description)
    _check_rejects(plan, max_rejects)
    is_adopted = storage.stat(layout.MANIFEST) is not None
    if is_adopted:
        _require_same(storage, plan)
        if not dry_run and list_own_files(storage):  # of a run that was killed at its end
            with suppress(OutputError), storage.lock():
                update_card(storage, plan.manifest)
                remove_own_files(storage)
    elif not dry_run:
        unpacked = [
            (file, scan.sha256)
            for file, scan in zip(found, scanned, strict=True)
            if file.is_unpacked
        ]
        _write(storage, plan, unpacked, provenance)
    status: Status = "nothing-to-do" if is_adopted else "planned" if dry_run else "adopted"
    notes = (*classes.notes, *describe_unpacked(found))
    return make_report(plan, storage.url, status, notes)


def _require_adoptable(storage: Storage) -> None:
    """Raise OutputError if the folder is the output of another command, finished or not.

    No TFRecord file is read.
    """
    if (command := unfinished_command(storage)) not in {None, "adopt"}:
        raise run_of_other_command(storage, str(command))
    if storage.stat(layout.MANIFEST) is not None and read_manifest(storage).adopted is None:
        raise _another_dataset(storage)


def _another_dataset(storage: Storage) -> OutputError:
    return OutputError(
        "the folder already contains a dataset that was not made of these files with these options",
        path=storage.display_name(layout.MANIFEST),
        hint="adopt a copy of the files in a separate folder",
    )


def _find_features(
    storage: Storage, summaries: Sequence[FileSummary], requested: Mapping[str, str]
) -> FeatureNames:
    """Return the features of the first file with records."""
    filled = [found for found in summaries if found.records]
    if not filled:
        raise InputNotFoundError("the files have no records", path=storage.url)
    path = storage.display_name(filled[0].name)
    return choose_features(filled[0].features, requested, path=path)


def _read_labels(storage: Storage, features: FeatureNames, path: str | None) -> GivenLabels | None:
    """Return the requested label map, or the one next to the files, as TF-Slim and TFDS write it.

    If there is no label map, return None.
    """
    if path is not None:
        return _parse_label_file(path, partial(read_named_file, path))
    for name in (layout.LABELS, f"{features.label}.labels.txt"):
        if "/" not in name and storage.stat(name) is not None:
            path = storage.display_name(name)
            return _parse_label_file(path, partial(storage.read, name))
    return None


def _parse_label_file(path: str, read: Callable[[], bytes]) -> GivenLabels:
    try:
        content = read()
    except FileNotFoundError as error:
        raise InputNotFoundError("label map not found", path=path) from error
    return GivenLabels(parse_labels(content, path=path), path, path.endswith(".pbtxt"))


def _check_rejects(plan: AdoptionPlan, allowed: int | None) -> None:
    counts = plan.manifest.generations[0].counts
    if allowed is None:
        allowed = max(_REJECTS_ALWAYS_ALLOWED, counts.found // _REJECTS_ALLOWED_OF)
    if counts.rejected > allowed or not counts.stored:
        first = plan.rejects[0]
        raise TooManyRejectsError(
            f"{counts.rejected:,} of {pluralize(counts.found, 'record')} cannot be adopted; the "
            f"first is {first.key}: {first.reason}, {first.detail}",
            expected=f"at most {allowed:,}, and never all records",
            hint=f"to exclude these records, add --max-rejects {counts.rejected}"
            if counts.stored
            else None,
        )


def _plan_files(
    storage: Storage, plan: AdoptionPlan, description: Description | msgspec.UnsetType
) -> AdoptionPlan:
    """Return the plan with the side files; an existing one with another content is kept."""
    described = msgspec.structs.replace(plan.manifest, description=description)
    planned = {
        layout.LABELS: format_labels(described.labels),
        **tfds_files(described),
        **croissant_files(described),
    }
    kept = tuple(
        name
        for name in (layout.LABELS, layout.TFDS_INFO, layout.TFDS_FEATURES, layout.CROISSANT)
        if storage.stat(name) is not None and storage.read(name) != planned.get(name)
    )
    adopted = msgspec.structs.replace(cast("ExternalFormat", described.adopted), preexisting=kept)
    manifest = msgspec.structs.replace(described, adopted=adopted)
    files = {
        layout.REJECTS: encode_rejects(plan.rejects),
        **tfds_files(manifest),
        **croissant_files(manifest),
    }
    if layout.LABELS not in kept:
        files[layout.LABELS] = format_labels(manifest.labels)
    return plan._replace(manifest=manifest.with_files(files), files=files)


def _require_same(storage: Storage, plan: AdoptionPlan) -> None:
    if storage.read(layout.MANIFEST) != encode_manifest(plan.manifest):
        raise _another_dataset(storage)


def _write(
    storage: Storage,
    plan: AdoptionPlan,
    unpacked: Sequence[tuple[FileToAdopt, str]],
    provenance: Provenance,
) -> None:
    """Write the uncompressed copies, with these SHA-256, then all side files, the manifest last.

    Files that an interrupted run wrote have the same bytes.
    """
    contents = {layout.index_name(shard.summary.name): shard.encoded_index for shard in plan.shards}
    contents |= plan.files
    with storage.lock() as hold:
        record_command(storage, "adopt")
        require_own(storage, layout.PROVENANCE)
        for file, sha256 in unpacked:
            write_unpacked(storage, file, sha256)
        for name, content in contents.items():
            write_file(storage, name, content)
        hold.ensure_held()
        write_provenance(storage, 1, provenance)
        write_file(storage, layout.MANIFEST, encode_manifest(plan.manifest))
        update_card(storage, plan.manifest)
        remove_own_files(storage)
