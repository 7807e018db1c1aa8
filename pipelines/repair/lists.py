"""Damaged lists of a generation: rejected, skipped, removed and relabelled images."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from pipelines.repair.damage import Damage, expected_digests
from pipelines.repair.dataset import DatasetToRepair
from pipelines.repair.listed import ListedFiles
from records.errors import CorruptDataError
from records.format import layout
from records.format.digest import FileDigest, digest_of
from records.format.index import Reject, read_index_file
from records.format.manifest import Generation
from records.format.rejects import encode_rejects
from records.storage import Storage
from records.text.keys import key_from_text


def remake_list(name: str, dataset: DatasetToRepair) -> bytes | None:
    """Return the content of a list; None if it cannot be made with its digest.

    Many lists are empty, and an edit copies the list of skipped files. Other lists follow from the
    indexes of their generation and from the source.

    Args:
        name: the name of the list.
        dataset: the dataset.

    Raises:
        InputNotFoundError: the source does not exist.
        StorageError: storage failed after retries.
    """
    expected = dataset.listed.lists[name]
    contents = _iter_contents(name, dataset)
    return next((content for content in contents if digest_of(content) == expected), None)


def _iter_contents(name: str, dataset: DatasetToRepair) -> Iterator[bytes]:
    storage, listed, damage, source, _ = dataset
    yield b""
    for other in _find_equal(listed.lists[name], listed, damage):
        yield storage.read(other)
    generation = _generation_of(name, listed)
    kind = posixpath.basename(name)
    if generation is None:
        return
    if kind == layout.REJECTS:
        rejects = dict(_iter_rejects(generation, storage, listed))
        yield _encode(rejects)
        yield _encode({each.key: each for each in source.listing.rejects} | rejects)
    elif kind == layout.SKIPPED:
        yield b"".join(msgspec.json.encode(file) + b"\n" for file in source.listing.left_out)


def _find_equal(digest: FileDigest, listed: ListedFiles, damage: Damage) -> Iterator[str]:
    for name, other in expected_digests(listed).items():
        if other == digest and name not in damage:
            yield name


def _generation_of(name: str, listed: ListedFiles) -> Generation | None:
    for manifest in listed.manifests.values():
        for generation in manifest.generations:
            if layout.generation_path(posixpath.basename(name), generation.number) == name:
                return generation
    return None


def _iter_rejects(
    generation: Generation, storage: Storage, listed: ListedFiles
) -> Iterator[tuple[str, Reject]]:
    """Yield the rejects in the indexes of a generation, by key."""
    for shard in listed.written_in(generation.number):
        with suppress(FileNotFoundError, CorruptDataError):
            summary = read_index_file(storage, layout.index_name(shard.info.name)).summary
            yield from ((reject.key, reject) for reject in summary.rejects)


def _encode(rejects: dict[str, Reject]) -> bytes:
    return encode_rejects(rejects[key] for key in sorted(rejects, key=key_from_text))
