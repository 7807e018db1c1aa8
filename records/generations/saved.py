"""Saved manifests: `generations/0003/dataset.json` is the manifest of generation 3.

A manifest is saved, byte for byte, before the manifest of the next generation replaces it. A
generation is exactly its manifest: later generations add files, and never change a shard or an
index. So an earlier generation can be read as long as its manifest and its files exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from records.errors import CorruptDataError, InputNotFoundError, UsageError
from records.format.layout import MANIFEST, parse_saved_manifest, saved_manifest_name
from records.format.manifest import (
    Manifest,
    decode_manifest,
    encode_manifest,
    file_names,
    read_manifest,
)
from records.generations.names import split_generation_folder
from records.storage import Storage, open_storage
from records.text.escaping import escape_for_display

_FOLDER = "generations"
_SHOWN_GENERATIONS = 20


def list_saved(storage: Storage) -> list[int]:
    """Return the numbers of the generations with a saved manifest, in ascending order.

    A run that was killed before it published may have saved the present manifest already.
    """
    numbers = map(parse_saved_manifest, storage.list(_FOLDER))
    return sorted(number for number in numbers if number is not None)


def read_saved(storage: Storage, generation: int) -> Manifest:
    """Read and validate a saved manifest.

    Raises:
        FileNotFoundError: no manifest is saved for this generation.
        CorruptDataError: the manifest is damaged, or belongs to another generation.
        StorageError: storage failed after retries.
    """
    name = saved_manifest_name(generation)
    path = storage.display_name(name)
    manifest = decode_manifest(storage.read(name), path=path)
    found = manifest.generations[-1].number
    if found != generation:
        raise CorruptDataError(
            "the saved manifest belongs to another generation",
            path=path,
            expected=generation,
            got=found,
        )
    return manifest


def read_generation(storage: Storage, generation: int | None) -> Manifest:
    """Read the manifest of a generation; the present one if `generation` is None.

    Raises:
        InputNotFoundError: there is no finished dataset, or the generation was pruned.
        CorruptDataError: the manifest is damaged.
        UsageError: the dataset never had this generation, or `storage` is the folder of one.
    """
    present = read_manifest(storage)
    dataset, number = split_generation_folder(storage.url)
    is_folder = number == present.generations[-1].number
    if is_folder and open_storage(dataset).stat(MANIFEST) is not None:
        raise UsageError(
            "this is the folder of a generation, not a dataset",
            path=storage.url,
            hint=f"name the generation: {escape_for_display(dataset)}@{number}",
        )
    newest = present.generations[-1].number
    if generation is None or generation == newest:
        return present
    if not 0 < generation < newest:
        raise UsageError(
            f"the dataset has no generation {generation}",
            path=storage.url,
            expected=_describe_known(storage, present),
            hint=f"list the generations with `shardmill log {escape_for_display(storage.url)}`",
        )
    try:
        return read_saved(storage, generation)
    except FileNotFoundError:
        raise InputNotFoundError(
            f"generation {generation} was pruned",
            path=storage.url,
            expected=_describe_known(storage, present),
        ) from None


def _describe_known(storage: Storage, present: Manifest) -> str:
    """Return the numbers of the generations that can be read, for messages."""
    newest = present.generations[-1].number
    first = [str(number) for number in list_saved(storage) if number < newest]
    if len(first) > _SHOWN_GENERATIONS:
        first = [first[0], "…", *first[-_SHOWN_GENERATIONS:]]
    return f"{', '.join(first)} or {newest}" if first else f"{newest}, the only one"


def iter_saved(storage: Storage) -> Iterator[Manifest]:
    """Yield the saved manifests, the oldest first, without damaged ones: `verify` reports these."""
    for generation in list_saved(storage):
        with suppress(FileNotFoundError, CorruptDataError):
            yield read_saved(storage, generation)


def saved_files(storage: Storage) -> set[str]:
    """Return the names of all files that the generations with a saved manifest may have.

    The files of a damaged manifest are unknown.
    """
    return set().union(*map(file_names, iter_saved(storage)))


def encode_saved(manifest: Manifest) -> dict[str, bytes]:
    """Return the name and the content of a saved manifest."""
    return {saved_manifest_name(manifest.generations[-1].number): encode_manifest(manifest)}


def replace_manifest(storage: Storage, base: Manifest, manifest: Manifest) -> None:
    """Replace the present manifest with that of a new generation.

    The caller holds the lock, has recorded its command in the work folder, and has saved the
    present manifest, see `encode_saved`. If the process is killed in between, the saved manifest is
    that of the present generation, and has no effect.

    Args:
        storage: the storage of the dataset.
        base: the present manifest, from which the new one was made.
        manifest: the new manifest.

    Raises:
        LockedError: another run has replaced the manifest.
        OutputError: the folder cannot be written to.
        StorageError: storage failed after retries.
    """
    storage.compare_and_swap(MANIFEST, encode_manifest(base), encode_manifest(manifest))
