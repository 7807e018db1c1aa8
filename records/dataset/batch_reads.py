"""Records of a batch, also damaged ones, and requests for them.

A request to an object store takes about as long as the transfer of a megabyte. Records that are
near each other in a shard are therefore read with one request, and requests are sent in parallel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from records.errors import CorruptDataError
from records.format.shard import FrameLocation, ShardReader
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.storage.base import split_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from records.dataset.record import Record
    from records.dataset.record_places import Place
    from records.dataset.split import Split

_MAX_GAP_BYTES = 128 << 10
_MAX_REQUEST_BYTES = 8 << 20


class Window(NamedTuple):
    """A part of a shard in memory; see `records.storage.base.RangeReader`."""

    offset: int
    content: bytes

    def read(self, offset: int, size_bytes: int) -> bytes:
        """See `RangeReader.read`."""
        begin = offset - self.offset
        return self.content[begin : begin + size_bytes]

    def read_parts(self, offset: int, sizes_bytes: Sequence[int]) -> list[bytes]:
        """See `RangeReader.read_parts`."""
        return split_parts(self.read(offset, sum(sizes_bytes)), sizes_bytes)


def fetch_frames(
    frames: dict[Place, FrameLocation], read: Callable[[int, int, int], bytes]
) -> dict[Place, ShardReader]:
    """Read the frames of some records.

    Args:
        frames: the location of the frame of each record.
        read: a function that any thread may call with the number of a shard, an offset in the shard
            and a size, both in bytes; it returns that part of the shard.

    Returns:
        A reader for each record. The readers have all bytes in memory.
    """

    def fetch(group: list[tuple[Place, FrameLocation]]) -> tuple[list[Place], ShardReader]:
        (first, (begin, _)), *_ = group
        content = read(first.shard, begin, max(map(_end, group)) - begin)
        return [place for place, _ in group], ShardReader(Window(begin, content))

    groups = _group_near(sorted(frames.items(), key=lambda frame: (frame[0].shard, frame[1])))
    fetched = parallel_map(fetch, groups, threads=IO_THREADS)
    return {place: reader for places, reader in fetched for place in places}


def read_each(split: Split, numbers: Sequence[int]) -> list[Record | CorruptDataError]:
    """Return the record of each number, or the error of a damaged one."""
    try:
        return [*split.__getitems__(numbers)]  # of a remote dataset, in parallel
    except CorruptDataError:
        return [_read_one(split, number) for number in numbers]


def _read_one(split: Split, number: int) -> Record | CorruptDataError:
    try:
        return split[number]
    except CorruptDataError as error:
        return error


def _group_near(
    frames: Iterable[tuple[Place, FrameLocation]],
) -> Iterator[list[tuple[Place, FrameLocation]]]:
    """Yield the frames that one request reads; the frames are sorted by shard and offset."""
    group: list[tuple[Place, FrameLocation]] = []
    for place, location in frames:
        if group:
            (first, (begin, _)), last = group[0], group[-1]
            is_near = (
                place.shard == first.shard
                and location.offset - _end(last) <= _MAX_GAP_BYTES
                and location.offset + location.length - begin <= _MAX_REQUEST_BYTES
            )
            if not is_near:
                yield group
                group = []
        group.append((place, location))
    if group:
        yield group


def _end(frame: tuple[Place, FrameLocation]) -> int:
    _, location = frame
    return location.offset + location.length
