"""Checks of the files that only earlier generations need.

`DATASET@3` and `repair` read these files. Their sizes and hashes are checked, as those of side
files; their records are not decoded.
"""

from __future__ import annotations

import posixpath
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from records.errors import CorruptDataError, StorageError
from records.format import layout
from records.format.digest import digest_stream
from records.format.manifest import ShardInfo
from records.format.shard import hash_file
from records.generations import list_saved, read_saved
from records.integrity.findings import FileCheck, Finding, FindingKind, finding_from_error
from records.runtime.cpu import available_cpus
from records.text.formatting import pluralize
from records.verification.side_files import LIST_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from records.format.digest import FileDigest
    from records.format.manifest import Manifest
    from records.storage import Storage


class SavedFile(NamedTuple):
    """A file that a saved manifest lists.

    Attributes:
        name: the name of the file.
        expected: its size and hash.
        generation: the newest earlier generation that needs it.
        kind: the kind of a finding about its content.
    """

    name: str
    expected: ShardInfo | FileDigest
    generation: int
    kind: FindingKind


def read_saved_files(storage: Storage) -> tuple[dict[str, SavedFile], list[Finding]]:
    """Return the files of all saved manifests by name, and a finding for each damaged manifest."""
    files: dict[str, SavedFile] = {}
    findings: list[Finding] = []
    for generation in list_saved(storage):
        name = layout.saved_manifest_name(generation)
        try:
            files |= {file.name: file for file in _files(read_saved(storage, generation))}
        except CorruptDataError as error:
            findings.append(finding_from_error(error, "manifest", name))
        except StorageError as error:
            findings.append(Finding("unreadable", name, str(error)))
        except FileNotFoundError:
            pass  # `prune` has removed it since the listing
    return files, findings


def saved_shards(files: Mapping[str, SavedFile]) -> set[str]:
    """Return the names of the shards among the files of saved manifests."""
    return {name for name, file in files.items() if isinstance(file.expected, ShardInfo)}


def check_earlier_files(
    storage: Storage, present: Manifest, files: Mapping[str, SavedFile]
) -> Iterator[FileCheck]:
    """Yield the result of checking each file that only earlier generations need.

    The file of a result is the manifest: reports count the files of one generation.

    A generation that `prune` is removing needs no file, also if this run was killed.

    Args:
        storage: the storage of the dataset.
        present: the manifest of the present generation.
        files: the files of all saved manifests by name.
    """
    checked = {file.name for file in _files(present)}
    marks = {*storage.list("generations")}
    earlier = [
        file
        for name, file in sorted(files.items())
        if name not in checked and layout.pruned_name(file.generation) not in marks
    ]
    with ThreadPoolExecutor(available_cpus()) as threads:
        yield from threads.map(partial(_check, storage), earlier)


def _files(manifest: Manifest) -> Iterator[SavedFile]:
    """Yield the files of a generation whose content does not follow from its manifest."""
    number = manifest.generations[-1].number
    for split in manifest.splits.values():
        for shard in split.shards:
            yield SavedFile(shard.name, shard, number, "checksum")
            yield SavedFile(layout.index_name(shard.name), shard.index, number, "index")
    for name, digest in manifest.files.items():
        if (kind := LIST_KINDS.get(posixpath.basename(name))) is not None:
            yield SavedFile(name, digest, number, kind)


def _check(storage: Storage, file: SavedFile) -> FileCheck:
    checked = FileCheck(layout.MANIFEST)
    try:
        found = _compare(storage, file)
        checked.size_bytes = file.expected.bytes
    except FileNotFoundError:
        if storage.stat(layout.saved_manifest_name(file.generation)) is None:
            return checked  # `prune` has removed the generation since its manifest was read
        found = "missing", "file not found"
    except (CorruptDataError, StorageError) as error:
        found = "unreadable", str(error)
    if found is not None:
        kind, problem = found
        detail = f"{problem}; generation {file.generation} needs this file"
        checked.findings.append(Finding(kind, file.name, detail))
    return checked


def _compare(storage: Storage, file: SavedFile) -> tuple[FindingKind, str] | None:
    """Return the kind and the text of a difference between a file and its manifest, if any.

    Raises FileNotFoundError, CorruptDataError or StorageError if the file cannot be read.
    """
    expected, stat = file.expected, storage.stat(file.name)
    if stat is None:
        raise FileNotFoundError(file.name)
    is_equal = stat.size_bytes == expected.bytes  # otherwise, the file need not be read
    if not is_equal and isinstance(expected, ShardInfo):
        size = pluralize(expected.bytes, "byte")
        return "size", f"expected {size} as in the manifest, got {stat.size_bytes:,}"
    if isinstance(expected, ShardInfo):
        is_equal = hash_file(storage, file.name) == expected.xxh3_128
    elif is_equal:
        with storage.open(file.name) as stream:
            is_equal = digest_stream(stream) == expected
    return None if is_equal else (file.kind, "the content does not match the manifest")
