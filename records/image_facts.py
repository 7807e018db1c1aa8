"""What every record of a shard says of its image, from the index, without reading the shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa


class ImageFacts(NamedTuple):
    """A record but for its image: its key as text, its label, and what the image is (pixels)."""

    key: str
    label: int
    format: str
    width: int
    height: int
    channels: int


class ShardImageFacts:
    """The facts of each of a shard's records, by its number.

    Args:
        table: of the shard's index.
    """

    def __init__(self, table: pa.Table) -> None:
        formats = table["format"].combine_chunks()
        self._formats = formats.dictionary.to_pylist()
        self._keys = table["key"].combine_chunks()
        # Memoryviews give Python's integers, in a fifth of the time that arrays take.
        self._format_numbers = formats.indices.to_numpy().data
        self._labels, self._widths, self._heights, self._channels = (
            table[name].to_numpy().data for name in ("label", "width", "height", "channels")
        )

    def __getitem__(self, record: int) -> ImageFacts:
        return ImageFacts(
            self._keys[record].as_py(),
            self._labels[record],
            self._formats[self._format_numbers[record]],
            self._widths[record],
            self._heights[record],
            self._channels[record],
        )
