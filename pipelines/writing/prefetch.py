"""Images of a shard, read ahead and normalized on threads.

Threads work on chunks of images: for small files the overhead of a future per image is larger than
the work. A few chunks are in progress at any time, so memory does not grow with the shard.

Threads help if reads wait for files, or if images are decoded: decoders release Python's global
interpreter lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

import xxhash

from pipelines.sources.base import SourceImage
from pipelines.sources.reader import SourceFiles, UnreadableError, read_file
from pipelines.writing.crash_isolation import Normalize
from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection
from records.runtime.parallel_map import parallel_map, parallel_map_if_blocking

CHUNK_IMAGES = 32
_CHUNK_BYTES = 4 << 20


class PrefetchedImage(NamedTuple):
    """An image, normalized or rejected, and the xxh3-128 of its source file."""

    image: SourceImage
    normalized: NormalizedImage | Rejection
    source_xxh3_128: str


def prefetch_images(
    images: Iterable[SourceImage],
    files: SourceFiles,
    options: ImageOptions,
    *,
    normalize: Normalize,
    threads: int,
    inline_until_blocked: bool,
) -> Iterator[list[PrefetchedImage]]:
    """Yield chunks of normalized images, in the order of `images`.

    Args:
        images: the images of a shard.
        files: the source that contains them.
        options: the options of the normalization.
        normalize: the function that normalizes one image.
        threads: the number of threads that read and normalize.
        inline_until_blocked: whether to use threads only after a read had to wait for a file.
    """
    read = partial(_read_chunk, files=files, options=options, normalize=normalize)
    map_chunks = parallel_map_if_blocking if inline_until_blocked else parallel_map
    yield from map_chunks(read, _chunks(images), threads=threads)


def _chunks(images: Iterable[SourceImage]) -> Iterator[list[SourceImage]]:
    chunk: list[SourceImage] = []
    chunk_bytes = 0
    for image in images:
        if chunk and chunk_bytes + image.size_bytes > _CHUNK_BYTES:
            yield chunk
            chunk, chunk_bytes = [], 0
        chunk.append(image)
        chunk_bytes += image.size_bytes
        if len(chunk) == CHUNK_IMAGES:
            yield chunk
            chunk, chunk_bytes = [], 0
    if chunk:
        yield chunk


def _read_chunk(
    chunk: list[SourceImage], files: SourceFiles, options: ImageOptions, normalize: Normalize
) -> list[PrefetchedImage]:
    return [_read(image, files, options, normalize) for image in chunk]


def _read(
    image: SourceImage, files: SourceFiles, options: ImageOptions, normalize: Normalize
) -> PrefetchedImage:
    try:
        linked = bool(image.linked)
        data = read_file(files, image.key, image.url, image.size_bytes, linked=linked)
    except UnreadableError as error:
        return PrefetchedImage(image, Rejection("unreadable", str(error)), "")
    digest = xxhash.xxh3_128_hexdigest(data)
    return PrefetchedImage(image, normalize(data, options), digest)
