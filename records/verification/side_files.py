"""Checks of label map, rejects, metadata and unexpected files."""

from __future__ import annotations

import posixpath
from collections import Counter
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from records.errors import CorruptDataError, StorageError
from records.format import layout
from records.format.digest import digest_of, digest_stream
from records.format.edits import RELABELLED, REMOVED, EditList
from records.format.label_map import format_labels
from records.format.manifest import shard_names
from records.format.rejects import read_rejects
from records.format.skipped import read_skipped, require_counts
from records.format.tfds_metadata import tfds_files
from records.integrity.findings import Finding, FindingKind, finding_from_error
from records.storage.ownership import is_own
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from records.format.digest import FileDigest
    from records.format.manifest import Generation, Manifest
    from records.storage import Storage

    _Check = Callable[[Storage, Generation], Iterator[Finding]]

LIST_KINDS: dict[str, FindingKind] = {
    layout.REJECTS: "rejects",
    layout.SKIPPED: "skipped",
    layout.REMOVED: "edits",
    layout.RELABELLED: "edits",
}
"""The kind of a finding about the content of a list, by the name of the list in its folder."""

_KINDS: dict[str, FindingKind] = {
    **LIST_KINDS,
    layout.LABELS: "labels",
    layout.CROISSANT: "croissant",
}


def check_side_files(
    storage: Storage,
    manifest: Manifest,
    known_shards: Collection[str] = (),
    *,
    is_present: bool = True,
    trusts_runs: bool = True,
) -> Iterator[Finding]:
    """Yield a finding for each unlisted file, and each side file that contradicts the manifest.

    A side file that is missing or unreadable is also a finding.

    Args:
        storage: the storage of the dataset.
        manifest: the manifest of the generation to check.
        known_shards: shards that are expected, with their indexes, although this manifest does not
            list them.
        is_present: whether this is the present generation. A later generation may have replaced the
            files whose content follows from the manifest: they are not read.
        trusts_runs: whether a file may differ that an unfinished run has recorded as its own. The
            record is a file in the dataset, so it does not prove who wrote the other one.
    """
    listed = shard_names(manifest).union(known_shards)
    yield from _check_names(storage, manifest, listed)
    implied = {name: digest_of(content) for name, content in _implied_files(manifest).items()}
    lists = _lists(manifest)
    for name in sorted(implied.keys() | lists.keys() | manifest.files.keys()):
        digest = manifest.files.get(name)
        if digest is None or implied.get(name, digest) != digest:
            yield Finding("manifest", layout.MANIFEST, f"wrong or no digest of {name}")
            continue
        if not is_present and (name in implied or name == layout.CROISSANT):
            continue
        findings = list(_check_digest(storage, name, digest, trusts_runs=trusts_runs))
        if not findings and name in lists:
            check, generation = lists[name]
            findings = list(check(storage, generation))
        yield from findings


def _lists(
    manifest: Manifest,
) -> dict[str, tuple[_Check, Generation]]:
    """Return the check of each list of files, and its generation, by name of the list."""
    checks: dict[str, _Check] = {layout.REJECTS: _check_rejects}
    if manifest.adopted is None:
        checks[layout.SKIPPED] = _check_skipped
    lists = {
        layout.generation_path(name, generation.number): (check, generation)
        for name, check in checks.items()
        for generation in manifest.generations
    }
    for generation in manifest.generations:
        for edits, count in ((REMOVED, generation.removed), (RELABELLED, generation.relabelled)):
            name = edits.path(generation.number)
            if count or name in manifest.files:
                lists[name] = (partial(_check_edits, edits, count), generation)
    return lists


def _implied_files(manifest: Manifest) -> dict[str, bytes]:
    """Return the contents of all files whose content follows from the manifest, by name."""
    files = {
        layout.generation_path(name, generation.number): content
        for generation in manifest.generations
        for name, content in tfds_files(
            manifest, folder=layout.generation_folder(generation.number)
        ).items()
    }
    if manifest.adopted is None or layout.LABELS not in manifest.adopted.preexisting:
        files[layout.LABELS] = format_labels(manifest.labels)
    return files


def _check_names(
    storage: Storage, manifest: Manifest, shards: Collection[str]
) -> Iterator[Finding]:
    """Yield a finding for each shard, index or hash file that belongs to none of these shards."""
    indexes = map(layout.index_name, shards)
    measurements = chain.from_iterable(map(layout.measurement_names, shards))
    expected = {*shards, *indexes, *measurements, layout.FINGERPRINTS}
    # The folder of an adopted dataset may contain TFRecord files that were not adopted.
    suffixes = (".tfrecord", ".parquet") if manifest.adopted is None else ()
    for name in storage.list():
        unexpected = name.endswith(suffixes) and name not in expected
        if unexpected and not name.startswith(f"{layout.WORK_FOLDER}/"):
            yield Finding("unexpected", name, f"{layout.MANIFEST} does not list this file")


def _check_digest(
    storage: Storage, name: str, expected: FileDigest, *, trusts_runs: bool
) -> Iterator[Finding]:
    try:
        with storage.open(name) as stream:
            found = digest_stream(stream)
        # A run that is not finished may have replaced the file.
        if found != expected and not (trusts_runs and is_own(storage, name)):
            kind = _KINDS.get(posixpath.basename(name), "tfds")
            yield Finding(kind, name, f"the content does not match {layout.MANIFEST}")
    except FileNotFoundError:
        yield Finding("missing", name, "file not found")
    except (CorruptDataError, StorageError) as error:
        yield Finding("unreadable", name, str(error))


def _check_rejects(storage: Storage, generation: Generation) -> Iterator[Finding]:
    name = layout.generation_path(layout.REJECTS, generation.number)
    expected = generation.counts.rejected
    try:
        rejects = read_rejects(storage, generation.number)
    except FileNotFoundError:
        yield Finding("missing", name, "file not found")
    except CorruptDataError as error:
        yield Finding("rejects", name, str(error.got or error.what))
    except StorageError as error:
        yield Finding("unreadable", name, str(error))
    else:
        if len(rejects) != expected:
            yield Finding(
                "rejects", name, f"expected {pluralize(expected, 'line')}, got {len(rejects)}"
            )


def _check_edits(
    edits: EditList[Any], expected: int, storage: Storage, generation: Generation
) -> Iterator[Finding]:
    name = edits.path(generation.number)
    try:
        edited = edits.read(storage, generation.number)
    except FileNotFoundError:
        yield Finding("missing", name, "file not found")
    except CorruptDataError as error:
        yield Finding("edits", name, str(error.got or error.what))
    except StorageError as error:
        yield Finding("unreadable", name, str(error))
    else:
        # A compacted dataset lists the records that were edited before.
        found = sum(each.is_edit for each in edited)
        if found != expected and generation.number > 1:
            detail = f"expected {pluralize(expected, 'line')}, got {found}"
            yield Finding("edits", name, detail)


def _check_skipped(storage: Storage, generation: Generation) -> Iterator[Finding]:
    name = layout.generation_path(layout.SKIPPED, generation.number)
    try:
        outcomes = Counter[str](file.outcome for file in read_skipped(storage, generation.number))
        require_counts(storage, generation, outcomes)
    except FileNotFoundError:
        yield Finding("missing", name, "file not found")
    except CorruptDataError as error:
        yield finding_from_error(error, "skipped", name)
    except StorageError as error:
        yield Finding("unreadable", name, str(error))
