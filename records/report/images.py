"""Images in a report, with small pictures.

Each image is in the page once, although several sections may show it.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from records.dataset.batch_reads import read_each
from records.errors import CorruptDataError
from records.format.index import label_lists
from records.format.layout import SPLITS
from records.report.parts import show_name
from records.text.keys import key_to_single_line

if TYPE_CHECKING:
    from PIL import Image

    from records.dataset import Dataset, Record

    Draw = Callable[[Image.Image], Image.Image]

MAX_PICTURE_BYTES = 6_500_000
"""The maximum size of all pictures in a page, in base64; images beyond it have no picture."""
MAX_KEY_CHARACTERS = 1_000_000
"""The maximum length of all keys that are too long to be shown; others cannot be selected."""

# Many pictures are smaller: (number of pictures, side in pixels).
_SIDES_PX = ((300, 256), (700, 200))
_SMALLEST_SIDE_PX = 144
_TINY_PX = 64
_JPEG_QUALITY = 68
_RECORDS_PER_READ = 32


class Overlay(msgspec.Struct):
    """A second picture of an image, which the page shows instead of the first one on request.

    Attributes:
        text: the content of the picture, for screen readers.
        picture: a URL of the type `data:`.
    """

    text: str
    picture: str


class ImageEntry(msgspec.Struct, omit_defaults=True):
    """An image, or a file that has no record, in a page.

    Attributes:
        key: the key for display.
        line: the key on one line, if it differs from `key`, for lists of keys; "" if the image
            cannot be selected.
        split: the split; "" without a record.
        classes: the names of the classes for display.
        size: width and height in pixels, for display.
        format: the stored format.
        bytes: the stored size in bytes.
        changes: the changes by the conversion.
        picture: a URL of the type `data:`; None if the image has no picture.
        error: the reason why the image has no picture, if it is damaged.
        overlays: the overlays by their names.
        suggested: the label of the class that the image should perhaps have; None if there is none.
    """

    key: str
    line: str | None = None
    split: str = ""
    classes: str = ""
    size: str = ""
    format: str = ""
    bytes: int | None = None
    changes: str = ""
    picture: str | None = None
    error: str = ""
    overlays: dict[str, Overlay] = {}
    suggested: int | None = None


class _WantedOverlay(NamedTuple):
    """An overlay that is drawn when the picture of the image is loaded."""

    name: str
    text: str
    draw: Draw


class ImageSet:
    """The images of a page; each has a number.

    Args:
        dataset: an open dataset.
        rows: the index rows, as `records.stats.read_index_rows` returns them.
    """

    def __init__(self, dataset: Dataset, rows: pa.Table) -> None:
        self._dataset = dataset
        self._rows = rows
        self._numbers: dict[int | str, int] = {}
        self._wanted: dict[int, int] = {}
        self._overlays: dict[int, list[_WantedOverlay]] = {}
        self._left_bytes = MAX_PICTURE_BYTES
        self._key_characters = 0
        self.entries: list[ImageEntry] = []

    def add(self, rows: Iterable[int], *, pictures: int | None = None) -> tuple[int, ...]:
        """Return the numbers of images, which are added if they are not in the set.

        Args:
            rows: the numbers of their index rows.
            pictures: the number of images, from the first, that get a picture; None for all.
        """
        given = list(rows)
        new = [row for row in dict.fromkeys(given) if row not in self._numbers]
        for row, entry in zip(new, self._describe(new), strict=True):
            self._numbers[row] = len(self.entries)
            self.entries.append(entry)
        for row in islice(given, pictures):
            self._wanted.setdefault(row, self._numbers[row])
        return tuple(self._numbers[row] for row in given)

    def add_file(self, key: str) -> int:
        """Return the number of a file without a record, such as a reject; it has no picture."""
        if key not in self._numbers:
            self._numbers[key] = len(self.entries)
            self.entries.append(self._name_entry(key))
        return self._numbers[key]

    def find_rows(self, keys: Sequence[str]) -> list[int | None]:
        """Return the number of the index row of each key; None if no record has the key."""
        wanted = pa.array(keys, pa.string())
        found: list[int | None] = pc.index_in(
            wanted, value_set=self._rows["key"].combine_chunks()
        ).to_pylist()
        return found

    def _describe(self, rows: list[int]) -> Iterator[ImageEntry]:
        table = self._rows.take(pa.array(rows, pa.int64()))
        columns = (
            table[name].to_pylist()
            for name in ("key", "split", "width", "height", "format", "stored_bytes", "changes")
        )
        for key, split, width, height, kind, size_bytes, changes, labels in zip(
            *columns, label_lists(table), strict=True
        ):
            entry = self._name_entry(key)
            entry.split = SPLITS[split]
            entry.classes = ", ".join(show_name(self._dataset.labels[label]) for label in labels)
            entry.size = f"{width}×{height}"
            entry.format, entry.bytes = kind, size_bytes
            entry.changes = ", ".join(changes)
            yield entry

    def _name_entry(self, key: str) -> ImageEntry:
        shown, line = show_name(key), key_to_single_line(key)
        if line == shown:
            return ImageEntry(shown)
        self._key_characters += len(line)
        return ImageEntry(shown, line if self._key_characters <= MAX_KEY_CHARACTERS else "")

    def suggest(self, row: int, label: int) -> None:
        """Suggest a class for an image of the set, which the page offers as its correction.

        Args:
            row: the number of its index row.
            label: the label of the class.
        """
        self.entries[self._numbers[row]].suggested = label

    def add_overlay(self, row: int, name: str, text: str, draw: Draw) -> None:
        """Add an overlay to an image that gets a picture.

        Args:
            row: the number of the index row of the image.
            name: the name of the overlay, which the rows of tables also have; new for this image.
            text: the content of the picture, for screen readers.
            draw: a function that returns the overlay, of the same size as the given picture (RGB).
        """
        self._overlays.setdefault(row, []).append(_WantedOverlay(name, text, draw))

    def load_pictures(self) -> None:
        """Read the images that get a picture, in the order in which they were added.

        A damaged image gets none. If the pictures would take more than `MAX_PICTURE_BYTES`, the
        last ones get none.
        """
        pictures = len(self._wanted) + sum(map(len, self._overlays.values()))
        side_px = next((side for most, side in _SIDES_PX if pictures <= most), _SMALLEST_SIDE_PX)
        self._left_bytes = MAX_PICTURE_BYTES
        places = list(self._wanted.items())
        for first in range(0, len(places), _RECORDS_PER_READ):
            part = places[first : first + _RECORDS_PER_READ]
            read = self._read([row for row, _ in part])
            for (row, number), found in zip(part, read, strict=True):
                image = found if isinstance(found, CorruptDataError) else _shrink(found, side_px)
                if isinstance(image, CorruptDataError):
                    self.entries[number].error = show_name(str(image))
                else:
                    self._draw(row, self.entries[number], image)

    def _draw(self, row: int, entry: ImageEntry, image: Image.Image) -> None:
        """Add the picture of an image and its overlays to an entry, if there is space for them."""
        entry.picture = self._encode(image)
        for name, text, draw in self._overlays.get(row, ()):
            picture = None if entry.picture is None else self._encode(draw(image.convert("RGB")))
            if picture is not None:
                entry.overlays[name] = Overlay(text, picture)

    def _encode(self, image: Image.Image) -> str | None:
        """Return a picture as a URL; None if the page has no space for it."""
        kind = "png" if max(image.size) <= _TINY_PX else "jpeg"
        content = io.BytesIO()
        options = {"quality": _JPEG_QUALITY} if kind == "jpeg" else {}
        image.save(content, kind, optimize=True, **options)
        url = f"data:image/{kind};base64,{b64encode(content.getvalue()).decode()}"
        if len(url) > self._left_bytes:
            return None
        self._left_bytes -= len(url)
        return url

    def _read(self, rows: list[int]) -> list[Record | CorruptDataError]:
        """Return the record of each row, or the error of a damaged one."""
        found: dict[int, Record | CorruptDataError] = {}
        first = 0
        for name in SPLITS:
            if name in self._dataset:
                end = first + len(self._dataset[name])
                own = [row for row in rows if first <= row < end]
                read = read_each(self._dataset[name], [row - first for row in own])
                found |= zip(own, read, strict=True)
                first = end
        return [found[row] for row in rows]


def _shrink(record: Record, side_px: int) -> Image.Image | CorruptDataError:
    """Return the image of a record in a square; the error if the image is damaged."""

    def shrink(image: Image.Image) -> Image.Image:
        image.thumbnail((side_px, side_px))
        return image

    try:
        return record.decode_reduced(side_px, shrink)
    except CorruptDataError as error:
        return error
