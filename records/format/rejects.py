"""List of rejected images, `rejects.jsonl`, one file per generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from records.errors import CorruptDataError
from records.format import layout
from records.format.index import Reject
from records.format.shard import missing_as_corrupt
from records.strict_json import decode_json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records.format.manifest import Manifest
    from records.storage import Storage


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


def read_all_rejects(storage: Storage, manifest: Manifest) -> list[Reject]:
    """Read the rejects of all generations.

    Raises:
        CorruptDataError: a file is missing or damaged.
    """
    rejects = []
    for generation in manifest.generations:
        name = layout.generation_path(layout.REJECTS, generation.number)
        with missing_as_corrupt(storage, name):
            rejects += read_rejects(storage, generation.number)
    return rejects
