"""Export of the images of a dataset to folders: `OUT/SPLIT/CLASS/FILE`.

The folder is complete or absent. Keys are untrusted: a key that leads out of the folder raises an
error.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from pipelines.sources.class_layout import class_name
from records.dataset import Record, open_dataset
from records.errors import CorruptDataError, OutputError
from records.format.layout import parse_split
from records.images import decode_record_image
from records.storage.atomic import atomic_folder
from records.storage.errors import HINT_FIX, starts_over, translate_write_errors
from records.storage.exclusive import require_outside
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text

_SUFFIXES = {"jpeg": (b".jpg", b".jpeg", b".jpe", b".jfif"), "png": (b".png",), "raw": (b".png",)}


@starts_over()
def extract(dataset: str, out: str, on_image: Callable[[], None] = lambda: None) -> int:
    """Write every image of a dataset into class folders; return the number of images.

    Files contain the stored bytes, but raw images are written as PNG files. A file name without an
    extension of the stored format gets one.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: `out` is inside the dataset.
        CorruptDataError: a record is damaged, or its key leads out of the folder.
        OutputError: `out` already exists, or cannot be written.
    """
    opened = open_dataset(dataset)
    require_outside(out, dataset)
    written = 0
    with _new_folder(Path(out)) as folder:
        for split, records in opened.items():
            for record in records:
                with translate_write_errors(escape_for_display(out), hint=HINT_FIX):
                    _write(folder / split, record)
                written += 1
                on_image()
    return written


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder that becomes `out` when the block succeeds. `out` must not exist."""
    path = escape_for_display(str(out))
    if os.path.lexists(out):
        raise OutputError("the folder already exists", path=path, hint="choose another name")
    with ExitStack() as stack:
        with translate_write_errors(path, hint=HINT_FIX):
            folder = stack.enter_context(atomic_folder(out))
        yield folder  # a read error in the block is not a write error
        with translate_write_errors(path, hint=HINT_FIX):
            stack.close()


def _write(folder: Path, record: Record) -> None:
    content = _as_file(record)
    path = folder / _relative_path(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_new_file(path) as stream:
        stream.write(content)


def open_new_file(path: Path) -> BinaryIO:
    """Create a file; if it exists, add `~2`, `~3` and so on to the stem of its name.

    For example, both images `a.gif` and `a.gif.png` would be written as `a.gif.png`.
    """
    for number in count(2):
        try:
            return path.open("xb")
        except FileExistsError:
            path = path.with_stem(f"{path.stem.removesuffix(f'~{number - 1}')}~{number}")
    raise AssertionError("unreachable")


def _relative_path(record: Record) -> Path:
    parts = _parts(record)
    suffixes = _SUFFIXES.get(record.format)
    if suffixes is None:
        raise CorruptDataError(
            "a record has an unknown format", got=escape_for_display(record.format)
        )
    if not parts[-1].lower().endswith(suffixes):
        parts[-1] += suffixes[0]
    return Path(*(os.fsdecode(part) for part in parts))


def _parts(record: Record) -> list[bytes]:
    """Return the class, and the parts of the key below its split and class folders."""
    # A key is a path or a URL; the protocol of a URL is removed.
    parts = key_from_text(record.key).rpartition(b"://")[2].lstrip(b"/").split(b"/")
    if parse_split(parts[0]) and len(parts) > 2 and class_name(parts[1]) == record.class_name:
        parts = parts[1:]
    if len(parts) > 1 and class_name(parts[0]) == record.class_name:
        parts = parts[1:]
    # A class of an image list may have any name; a slash in the name does not separate folders.
    parts = [record.class_name.replace("/", "%2F").encode(), *parts]
    if any(part in {b"", b".", b".."} or b"\0" in part for part in parts):
        raise CorruptDataError("a record key leads out of the class folder", got=record.key)
    return parts


def _as_file(record: Record) -> bytes:
    if record.format != "raw":
        return record.image
    pixels = decode_record_image(record.image, "raw", record.width, record.height, record.channels)
    content = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if record.channels == 1 else pixels).save(content, "PNG")
    return content.getvalue()
