"""List of rejected images, `rejects.jsonl`, one file per generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from records.errors import CorruptDataError
from records.format import layout
from records.format.digest import digest_of
from records.format.edits import REMOVED
from records.format.index import Reject, read_shard_index
from records.format.shard import missing_as_corrupt
from records.strict_json import decode_json_lines
from records.text.keys import key_from_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from records.format.manifest import Generation, Manifest
    from records.storage import Storage


_EMPTY = digest_of(b"")


def encode_rejects(rejects: Iterable[Reject]) -> bytes:
    """Return the content of `rejects.jsonl`."""
    return b"".join(msgspec.json.encode(reject) + b"\n" for reject in rejects)


def read_rejects(storage: Storage, generation: int) -> list[Reject]:
    """Read the rejects of one generation.

    Raises:
        FileNotFoundError: the file is missing.
        CorruptDataError: the file is damaged.
    """
    name = layout.generation_path(layout.REJECTS, generation)
    try:
        return decode_json_lines(storage.read(name), Reject)
    except msgspec.DecodeError as error:
        raise CorruptDataError(
            "the list of rejects is damaged", path=storage.display_name(name), got=str(error)
        ) from error


def read_all_rejects(
    storage: Storage, manifest: Manifest
) -> Iterator[tuple[Generation, list[Reject]]]:
    """Yield each generation and its rejects; a list that is empty by its digest is not read.

    Raises:
        CorruptDataError: a file is missing or damaged.
    """
    for generation in manifest.generations:
        name = layout.generation_path(layout.REJECTS, generation.number)
        rejects: list[Reject] = []
        if manifest.files.get(name) != _EMPTY:
            with missing_as_corrupt(storage, name):
                rejects = read_rejects(storage, generation.number)
        yield generation, rejects


def read_newest_rejects(
    storage: Storage, manifest: Manifest
) -> dict[str, tuple[Generation, Reject]]:
    """Return the newest reject of each file, and its generation, by key.

    If a generation removed the record of a file, the rejects of earlier generations do not count: a
    generation in between stored the file. A reject of a file that is still stored counts.

    Raises:
        CorruptDataError: a list is missing or damaged.
    """
    newest: dict[str, tuple[Generation, Reject]] = {}
    for generation, rejects in read_all_rejects(storage, manifest):
        for removed in REMOVED.read_listed(storage, manifest, generation.number):
            newest.pop(removed.key, None)
        newest |= {reject.key: (generation, reject) for reject in rejects}
    return newest


def read_unresolved_rejects(storage: Storage, manifest: Manifest) -> list[Reject]:
    """Return the newest reject of each file that no later generation has stored, sorted by key.

    Raises:
        CorruptDataError: a list of rejects or an index is missing or damaged.
    """
    newest = read_newest_rejects(storage, manifest)
    rejects = {key: reject for key, (_, reject) in newest.items()}
    if rejects and len(manifest.generations) > 1:
        keys = pa.array(rejects, pa.string())
        for shard in (shard for split in manifest.splits.values() for shard in split.shards):
            stored = read_shard_index(storage, shard).table["key"].cast(pa.string())
            for key in keys.filter(pc.is_in(keys, value_set=stored)).to_pylist():
                rejects.pop(key, None)
    return sorted(rejects.values(), key=lambda reject: key_from_text(reject.key))
