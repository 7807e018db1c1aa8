"""Hashes of the listed files of a source, computed in several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import xxhash

from pipelines.options import ConvertOptions
from pipelines.sources.base import Sources
from pipelines.sources.containers import open_images, read_image
from pipelines.sources.containers.member import known_hash
from pipelines.sources.reader import UnreadableError
from records.runtime.cpu import available_cpus
from records.runtime.row_table import iter_rows

HashFiles = Callable[[pa.Table], list[bytes]]
"""A function that returns the xxh3-128 of each file of a table, as in `Sources`.

The hash of an unreadable file is empty.
"""


def file_hasher(sources: Sources, options: ConvertOptions) -> HashFiles:
    """Return a function that reads and hashes files of a source."""
    follow_symlinks = options.follow_symlinks
    # An unpacked container is read from its start for each member that is not after the last one.
    in_order = any(container.is_unpacked for container in sources.containers)
    threads = 1 if in_order else options.workers or available_cpus()
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
        if not len(images):
            return []
        places = iter_rows(images, "key", "url", "size_bytes", "member")
        with ThreadPoolExecutor(threads) as pool:
            return [*pool.map(lambda place: hash_file(*place), places)]

    return hash_files
