"""Hashes of the listed files of a source, computed in several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import xxhash

from pipelines.options import ConvertOptions
from pipelines.sources.base import Sources
from pipelines.sources.containers import open_images, read_image
from pipelines.sources.containers.member import Container, decode_member, known_hash
from pipelines.sources.reader import UnreadableError
from records.runtime.cpu import available_cpus
from records.runtime.parallel_map import parallel_map
from records.runtime.row_table import iter_rows

HashFiles = Callable[[pa.Table], list[bytes]]
"""A function that returns the xxh3-128 of each file of a table, as in `Sources`.

The hash of an unreadable file is empty.
"""


def file_hasher(sources: Sources, options: ConvertOptions) -> HashFiles:
    """Return a function that reads and hashes files of a source."""
    follow_symlinks = options.follow_symlinks
    threads = options.workers or available_cpus()
    files = open_images(sources.location, sources.containers, follow_symlinks=follow_symlinks)

    def hash_file(key: bytes, url: str | None, size_bytes: int, member: bytes | None) -> bytes:
        if (known := known_hash(member)) is not None:
            return known
        try:
            data = read_image(files, key, url, size_bytes, member=member)
            return bytes(xxhash.xxh3_128_digest(data))
        except UnreadableError:
            return b""

    def hash_files(images: pa.Table) -> list[bytes]:
        places = [*iter_rows(images, "key", "url", "size_bytes", "member")]
        sequences = _divide(images["member"], sources.containers)

        def hash_sequence(rows: list[int]) -> list[bytes]:
            return [hash_file(*places[row]) for row in rows]

        hashes = [b""] * len(places)
        found = parallel_map(hash_sequence, sequences, threads=threads)
        for rows, digests in zip(sequences, found, strict=True):
            for row, digest in zip(rows, digests, strict=True):
                hashes[row] = digest
        return hashes

    return hash_files


def _divide(members: pa.ChunkedArray, containers: Sequence[Container]) -> list[list[int]]:
    """Divide files into sequences, each of which one thread reads.

    A file is a sequence. The members of an unpacked container are one, in the order of their
    offsets, because a member before the last one is only found from the start of the container.

    Args:
        members: the `member` of each file, as in `Sources`.
        containers: the containers of the source.

    Returns:
        The row numbers of each sequence.
    """
    sequences: list[list[int]] = []
    unpacked: dict[int, list[tuple[int, int]]] = {}
    for row, encoded in enumerate(members.to_pylist()):
        member = None if encoded is None else decode_member(encoded)
        if member is not None and containers[member.container].is_unpacked:
            unpacked.setdefault(member.container, []).append((member.offset, row))
        else:
            sequences.append([row])
    return [[row for _, row in sorted(rows)] for rows in unpacked.values()] + sequences
