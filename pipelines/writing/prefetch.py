"""The images of a shard read and checked, ahead on threads where that helps, handed out in order.

Work is handed to the threads in chunks: for small files a future for each image costs more than the
image does. At most a few chunks are under way, so memory stays flat however large the shard is.

Threads help where files are waited for, or where images are decoded, for which the interpreter is
not needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import xxhash

from pipelines.planning.plan import PlannedImage
from pipelines.sources.reader import SourceFiles, UnreadableError, read_file
from pipelines.writing.crash_isolation import StoreFunction
from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection
from records.runtime.parallel_map import parallel_map, parallel_map_if_blocking

_CHUNK_IMAGES = 32
_CHUNK_BYTES = 4 << 20


class PrefetchedImage(NamedTuple):
    """What became of an image: to be stored, or rejected; and the xxh3-128 of its source bytes."""

    image: PlannedImage
    outcome: NormalizedImage | Rejection
    source_xxh3_128: str


def prefetch_images(
    images: Iterable[PlannedImage],
    files: SourceFiles,
    options: ImageOptions,
    *,
    store: StoreFunction,
    threads: int,
    alone: bool,
) -> Iterator[list[PrefetchedImage]]:
    """Chunks of checked images, in the order of `images`.

    Args:
        images: of a shard.
        files: where they are.
        options: what is stored of them.
        store: does it.
        threads: how many read and check ahead.
        alone: without them as long as files are not waited for.
    """
    check = partial(_check_chunk, files=files, options=options, store=store)
    chunks = _chunks(images)
    map_chunks = parallel_map_if_blocking if alone else parallel_map
    yield from map_chunks(check, chunks, threads=threads)


def _chunks(images: Iterable[PlannedImage]) -> Iterator[list[PlannedImage]]:
    chunk: list[PlannedImage] = []
    chunk_bytes = 0
    for image in images:
        if chunk and chunk_bytes + image.size_bytes > _CHUNK_BYTES:
            yield chunk
            chunk, chunk_bytes = [], 0
        chunk.append(image)
        chunk_bytes += image.size_bytes
        if len(chunk) == _CHUNK_IMAGES:
            yield chunk
            chunk, chunk_bytes = [], 0
    if chunk:
        yield chunk


def _check_chunk(
    chunk: list[PlannedImage], files: SourceFiles, options: ImageOptions, store: StoreFunction
) -> list[PrefetchedImage]:
    return [_check(image, files, options, store) for image in chunk]


def _check(
    image: PlannedImage, files: SourceFiles, options: ImageOptions, store: StoreFunction
) -> PrefetchedImage:
    try:
        data = read_file(files, image.key, image.url)
    except UnreadableError as error:
        return PrefetchedImage(image, Rejection("unreadable", str(error)), "")
    digest = xxhash.xxh3_128_hexdigest(data)
    if len(data) != image.size_bytes:
        detail = f"it changed after it was listed: {image.size_bytes} bytes then, {len(data)} now"
        return PrefetchedImage(image, Rejection("unreadable", detail), digest)
    return PrefetchedImage(image, store(data, options), digest)
