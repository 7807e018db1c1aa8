"""Hashes of source files in indexes, compared with those of a plan."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.sources import SourceImage
from pipelines.sources.containers.member import known_hash
from records.format.index import Index
from records.text.keys import key_to_text


def stored_hashes(index: Index) -> dict[str, str]:
    """Return the hashes of the files of a shard that were read, stored or rejected, by key."""
    columns = (index.table[column].to_pylist() for column in ("key", "source_xxh3_128"))
    rejected = {reject.key: reject.xxh3_128 for reject in index.summary.rejects}
    return {key: hash_ for key, hash_ in rejected.items() if hash_} | dict(
        zip(*columns, strict=True)
    )


def has_planned_files(index: Index, images: Iterable[SourceImage]) -> bool:
    """Return whether a shard has the files of a plan, as far as the plan has their hashes.

    Plans have equal digests if keys and sizes are equal. Only hashes show that a worker of another
    run has written the shard from other files.
    """
    planned = {
        key_to_text(image.key): known.hex()
        for image in images
        if (known := known_hash(image.member)) is not None
    }
    if not planned:
        return True
    stored = stored_hashes(index)
    return all(stored.get(key, known) == known for key, known in planned.items())
