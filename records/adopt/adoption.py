"""Adoption: look at the files, decide all, and write beside them what a dataset has, manifest last.

The files themselves are only read.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import msgspec

from records.adopt.infer_classes import GivenLabels, decide_classes
from records.adopt.infer_schema import choose_features
from records.adopt.infer_splits import SplitRule, choose_split
from records.adopt.plan import AdoptionPlan, plan_adoption
from records.adopt.report import AdoptReport, Status, report_on
from records.adopt.scan import describe, locate_files, read_file
from records.errors import InputNotFoundError, OutputError, TooManyRejectsError
from records.format import layout
from records.format.index import encode_index, new_row_table
from records.format.label_map import format_labels, parse_labels
from records.format.manifest import ExternalFormat, encode_manifest, read_manifest
from records.format.tfds_metadata import tfds_files
from records.runtime.cpu import available_cpus
from records.storage import open_storage, split_location, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from records.adopt.infer_classes import FirstLabel
    from records.format.schema import FeatureNames
    from records.storage import Storage

_REJECTS_ALWAYS_ALLOWED = 10
_REJECTS_ALLOWED_OF = 100
_PLAN = f"{layout.WORK_FOLDER}/plan.json"


@dataclass(frozen=True)
class AdoptOptions:
    """What an adoption is asked to do.

    Args:
        files: paths or URLs of TFRecord files below `target`.
        target: the folder that becomes a dataset.
        labels: a file with the label map; None looks for one, then into the records.
        splits: which files are of which split, before their names are asked.
        features: names of features, by role; what is not named is looked for.
        first_label: the number of the first class in the records; None finds out.
        max_rejects: how many records may be left out; None is 1 %, at least 10, never all.
        dry_run: write nothing.
    """

    files: tuple[str, ...]
    target: str
    labels: str | None = None
    splits: tuple[SplitRule, ...] = ()
    features: Mapping[str, str] = field(default_factory=dict)
    first_label: FirstLabel | None = None
    max_rejects: int | None = None
    dry_run: bool = False


def adopt(options: AdoptOptions, on_bytes: Callable[[int], object] = lambda _: None) -> AdoptReport:
    """Make a dataset of files that others wrote.

    Args:
        options: what to do.
        on_bytes: called with the bytes of each record that was read, from several threads.

    Raises:
        UsageError: the files cannot be of one dataset, and why.
        InputNotFoundError: a file is not there, or none has records.
        CorruptDataError: a file is damaged.
        TooManyRejectsError: more records would have to be left out than is allowed.
        OutputError: the folder has a dataset already, or cannot be written.
        LockedError: another process is writing there.
    """
    storage = open_storage(options.target)
    names = locate_files(options.files, options.target)
    splits = {name: choose_split(name, options.splits) for name in names}
    _check_free(storage)
    features = _find_features(storage, names, options)
    with ThreadPoolExecutor(available_cpus()) as threads:
        files = list(threads.map(lambda name: read_file(storage, name, features, on_bytes), names))
    found = {record.named for file in files for record in file.records}
    good = {named for named in found if named.label is None or named.label >= 0}
    given = _read_labels(storage, features, options.labels)
    classes = decide_classes(good, given, options.first_label, path=storage.url)
    plan = _keep_theirs(storage, plan_adoption(files, splits, features, classes))
    _check_rejects(plan, options)
    there = storage.stat(layout.MANIFEST) is not None
    if there:
        _check_same(storage, plan)
    elif not options.dry_run:
        _write(storage, plan)
    status: Status = "nothing-to-do" if there else "planned" if options.dry_run else "adopted"
    return report_on(plan, storage.url, status, classes.notes)


def _check_free(storage: Storage) -> None:
    """Refuse a folder that a conversion made or is making, before everything is read."""
    if storage.stat(_PLAN) is not None:
        raise OutputError(
            "a conversion into this folder has not ended",
            path=storage.url,
            hint="run it again, or `shardmill clean` the folder",
        )
    if storage.stat(layout.MANIFEST) is not None and read_manifest(storage).adopted is None:
        raise _taken(storage)


def _taken(storage: Storage) -> OutputError:
    return OutputError(
        "the folder has a dataset already, and it is another one",
        path=storage.display_name(layout.MANIFEST),
        hint=f"to adopt other files, or otherwise, move {layout.MANIFEST} and what was written "
        "beside the files away",
    )


def _find_features(storage: Storage, names: Sequence[str], options: AdoptOptions) -> FeatureNames:
    """By the first file that has records; all are looked at, for what cannot be adopted."""
    filled = [found for name in names if (found := describe(storage, name)).records]
    if not filled:
        raise InputNotFoundError("the files have no records", path=storage.url)
    path = storage.display_name(filled[0].name)
    return choose_features(filled[0].features, options.features, path=path)


def _read_labels(storage: Storage, features: FeatureNames, asked: str | None) -> GivenLabels | None:
    """The label map that was asked for, or the one that TF-Slim or TFDS left beside the files."""
    if asked is not None:
        folder, name = split_location(asked)
        return _read_label_file(open_storage(folder), name)
    for name in (layout.LABELS, f"{features.label}.labels.txt"):
        if "/" not in name and storage.stat(name) is not None:
            return _read_label_file(storage, name)
    return None


def _read_label_file(storage: Storage, name: str) -> GivenLabels:
    path = storage.display_name(name)
    try:
        content = storage.read(name)
    except FileNotFoundError as error:
        raise InputNotFoundError("there is no such file of labels", path=path) from error
    return GivenLabels(parse_labels(content, path=path), path, name.endswith(".pbtxt"))


def _check_rejects(plan: AdoptionPlan, options: AdoptOptions) -> None:
    counts = plan.manifest.generations[0].counts
    allowed = options.max_rejects
    if allowed is None:
        allowed = max(_REJECTS_ALWAYS_ALLOWED, counts.found // _REJECTS_ALLOWED_OF)
    if counts.rejected > allowed or not counts.stored:
        first = plan.rejects[0]
        raise TooManyRejectsError(
            f"{counts.rejected:,} of {counts.found:,} records cannot be of a dataset, the first is "
            f"{first.key}: {first.reason}, {first.detail}",
            expected=f"at most {allowed:,}, and not all",
            hint="--max-rejects allows more" if counts.stored else None,
        )


def _keep_theirs(storage: Storage, plan: AdoptionPlan) -> AdoptionPlan:
    """The plan without what would take the place of files that are there and say it otherwise."""
    ours = {layout.LABELS: format_labels(plan.manifest.labels), **tfds_files(plan.manifest)}
    theirs = tuple(
        name
        for name in (layout.LABELS, layout.TFDS_INFO, layout.TFDS_FEATURES)
        if storage.stat(name) is not None and storage.read(name) != ours.get(name)
    )
    adopted = msgspec.structs.replace(
        cast("ExternalFormat", plan.manifest.adopted), preexisting=theirs
    )
    return plan._replace(manifest=msgspec.structs.replace(plan.manifest, adopted=adopted))


def _check_same(storage: Storage, plan: AdoptionPlan) -> None:
    if storage.read(layout.MANIFEST) != encode_manifest(plan.manifest):
        raise _taken(storage)


def _write(storage: Storage, plan: AdoptionPlan) -> None:
    """Everything beside the files; what an earlier run wrote already is the same bytes."""
    contents = {
        layout.index_name(s.facts.name): encode_index(s.facts, new_row_table(s.rows))
        for s in plan.shards
    }
    contents[layout.REJECTS] = b"".join(msgspec.json.encode(r) + b"\n" for r in plan.rejects)
    theirs = cast("ExternalFormat", plan.manifest.adopted).preexisting
    if layout.LABELS not in theirs:
        contents[layout.LABELS] = format_labels(plan.manifest.labels)
    contents |= tfds_files(plan.manifest)
    with storage.lock() as hold:
        for name, content in contents.items():
            write_file(storage, name, content)
        hold.ensure_held()
        write_file(storage, layout.MANIFEST, encode_manifest(plan.manifest))
        storage.remove_folder(layout.WORK_FOLDER)
