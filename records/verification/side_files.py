"""Checks of label map, rejects, TFDS metadata and unexpected files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from records.errors import CorruptDataError, StorageError
from records.format import layout
from records.format.label_map import format_labels
from records.format.manifest import shard_names
from records.format.rejects import read_rejects
from records.format.skipped import read_skipped, require_counts
from records.format.tfds_metadata import tfds_files
from records.integrity.findings import Finding, FindingKind, finding_from_error
from records.text.formatting import pluralize

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from records.format.manifest import Generation, Manifest
    from records.storage import Storage


def check_side_files(
    storage: Storage, manifest: Manifest, known_shards: Collection[str] = ()
) -> Iterator[Finding]:
    """Yield a finding for each unlisted file, and each side file that contradicts the manifest.

    A side file that is missing or unreadable is also a finding. The shards in `known_shards`, and
    their indexes, are expected although the manifest does not list them.
    """
    yield from _check_names(storage, manifest, known_shards)
    if manifest.adopted is None or layout.LABELS not in manifest.adopted.preexisting:
        yield from _check_content(storage, layout.LABELS, format_labels(manifest.labels), "labels")
    for generation in manifest.generations:
        folder = layout.generation_folder(generation.number)
        for name, content in tfds_files(manifest, folder=folder).items():
            place = layout.generation_path(name, generation.number)
            yield from _check_content(storage, place, content, "tfds")
        yield from _check_rejects(storage, generation)
        yield from _check_skipped(storage, generation)


def _check_names(
    storage: Storage, manifest: Manifest, known_shards: Collection[str]
) -> Iterator[Finding]:
    """Yield a finding for each shard, index or hash file that the manifest does not list."""
    shards = shard_names(manifest) | set(known_shards)
    indexes, hashes = map(layout.index_name, shards), map(layout.phash_name, shards)
    expected = {*shards, *indexes, *hashes, layout.MTIMES}
    # The folder of an adopted dataset may contain TFRecord files that were not adopted.
    suffixes = (".tfrecord", ".parquet") if manifest.adopted is None else ()
    for name in storage.list():
        unexpected = name.endswith(suffixes) and name not in expected
        if unexpected and not name.startswith(f"{layout.WORK_FOLDER}/"):
            yield Finding("unexpected", name, f"{layout.MANIFEST} does not list this file")


def _check_content(
    storage: Storage, name: str, expected: bytes, kind: FindingKind
) -> Iterator[Finding]:
    try:
        if storage.read(name) != expected:
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


def _check_skipped(storage: Storage, generation: Generation) -> Iterator[Finding]:
    name = layout.generation_path(layout.SKIPPED, generation.number)
    try:
        outcomes = Counter[str](file.outcome for file in read_skipped(storage, generation.number))
        require_counts(storage, generation, outcomes)
    except FileNotFoundError:
        pass  # earlier versions wrote no list
    except CorruptDataError as error:
        yield finding_from_error(error, "skipped", name)
    except StorageError as error:
        yield Finding("unreadable", name, str(error))
