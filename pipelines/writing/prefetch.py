"""Images of a shard, read ahead and normalized on threads.

Threads work on chunks of images: for small files the overhead of a future per image is larger than
the work. A few chunks are in progress at any time, so memory does not grow with the shard.

Threads help if reads wait for files, or if images are decoded: decoders release Python's global
interpreter lock. A decoder that takes too long cannot be stopped in its thread: its chunk and the
rest of the shard are read again, and normalized in a subprocess.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import xxhash

from pipelines.sources.base import SourceImage
from pipelines.sources.containers import read_image
from pipelines.sources.reader import SourceFiles, UnreadableError
from pipelines.writing.crash_isolation import Normalize
from records.format.image_options import ImageOptions
from records.images import NormalizedImage, Rejection
from records.runtime.parallel_map import StuckError, parallel_map, parallel_map_if_blocking

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
    timeout_s: int,
    isolate: Callable[[], AbstractContextManager[Normalize]],
) -> Iterator[list[PrefetchedImage]]:
    """Yield chunks of normalized images, in the order of `images`.

    Args:
        images: the images of a shard.
        files: the source that contains them.
        options: the options of the normalization.
        normalize: the function that normalizes one image.
        threads: the number of threads that read and normalize.
        inline_until_blocked: whether to use threads only after a read had to wait for a file.
        timeout_s: the time in seconds after which an image takes too long; 0 for no limit. The
            chunk of the image and the chunks after it are normalized with the result of `isolate`.
        isolate: a function that returns a `normalize` which can reject an image that takes too
            long.
    """

    def read(chunk: _Chunk) -> list[PrefetchedImage]:
        return chunk.read(files, options, normalize)

    map_chunks = parallel_map_if_blocking if inline_until_blocked else parallel_map
    chunks = [_Chunk(part, timeout_s) for part in _split(images)]
    done = 0
    try:
        for prefetched in map_chunks(read, chunks, threads=threads, is_stuck=_Chunk.is_stuck):
            done += 1
            yield prefetched
    except StuckError:
        for chunk in chunks[done:]:
            chunk.is_abandoned = True
        with isolate() as normalize_isolated:
            for chunk in chunks[done:]:
                isolated = _Chunk(chunk.images, timeout_s)
                yield isolated.read(files, options, normalize_isolated)


class _Chunk:
    """Images that one call reads and normalizes.

    Attributes:
        is_abandoned: whether the result is no longer wanted.
    """

    def __init__(self, images: list[SourceImage], timeout_s: int) -> None:
        self.images = images
        self.is_abandoned = False
        self._timeout_s = timeout_s
        self._started: float | None = None

    def is_stuck(self) -> bool:
        """Return whether the normalization of an image takes longer than the limit."""
        started = self._started
        if started is None or not self._timeout_s:
            return False
        return time.monotonic() - started > self._timeout_s

    def read(
        self, files: SourceFiles, options: ImageOptions, normalize: Normalize
    ) -> list[PrefetchedImage]:
        """Read and normalize the images; none if the chunk is abandoned."""

        def timed(data: bytes, options: ImageOptions) -> NormalizedImage | Rejection:
            self._started = time.monotonic()
            try:
                return normalize(data, options)
            finally:
                self._started = None

        prefetched: list[PrefetchedImage] = []
        for image in self.images:
            if self.is_abandoned:
                return []
            prefetched.append(_read(image, files, options, timed))
        return prefetched


def _split(images: Iterable[SourceImage]) -> Iterator[list[SourceImage]]:
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


def _read(
    image: SourceImage, files: SourceFiles, options: ImageOptions, normalize: Normalize
) -> PrefetchedImage:
    try:
        data = read_image(
            files,
            image.key,
            image.url,
            image.size_bytes,
            linked=bool(image.linked),
            member=image.member,
        )
    except UnreadableError as error:
        return PrefetchedImage(image, error.rejection, "")
    digest = xxhash.xxh3_128_hexdigest(data)
    return PrefetchedImage(image, normalize(data, options), digest)
