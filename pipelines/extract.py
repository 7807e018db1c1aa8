"""A dataset's images back into folders: `OUT/SPLIT/CLASS/FILE`, whole or not at all.

The names in records are data of unknown origin: no part of one leads out of the folder.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from pipelines.sources.class_layout import SPLIT_NAMES, class_name
from records.dataset import Record, open_dataset
from records.errors import CorruptDataError, OutputError
from records.images import decode_record_image
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text

_SUFFIXES = {"jpeg": (b".jpg", b".jpeg", b".jpe", b".jfif"), "png": (b".png",), "raw": (b".png",)}


def extract(dataset: str, out: str, on_image: Callable[[], None] = lambda: None) -> int:
    """Write every image of a dataset into class folders; the number written.

    Images are the stored bytes; raw ones become PNG. A name keeps its extension where that fits
    what is stored, else it gains one.

    Raises:
        InputNotFoundError: there is no finished dataset.
        CorruptDataError: a record is damaged, or its name leads elsewhere.
        OutputError: `out` is there already, or cannot be written.
    """
    opened = open_dataset(dataset)
    written = 0
    with _whole_folder(Path(out)) as folder:
        for split, records in opened.items():
            for record in records:
                _write(folder / split, record)
                written += 1
                on_image()
    return written


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name when the block ends well, and goes when not."""
    if os.path.lexists(out):
        raise OutputError(
            "this is there already",
            path=escape_for_display(str(out)),
            hint="name a folder that is not",
        )
    staged = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
    try:
        with _writing(out):
            staged.mkdir(parents=True)
        yield staged
        with _writing(out):
            staged.rename(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            "cannot be written",
            path=escape_for_display(str(out)),
            got=os.strerror(error.errno or 0),
        ) from error


def _write(folder: Path, record: Record) -> None:
    content = _as_file(record)
    with _writing(folder.parent):
        path = folder / _relative_path(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open_free(path) as stream:
            stream.write(content)


def _open_free(path: Path) -> BinaryIO:
    """Open a new file; where the name is taken (`a.gif` beside `a.gif.png`) the next free one."""
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
    """Class and file name, without the split's or the class's folder where the key has them."""
    # A key is a path, or the URL that a list named: of that, what follows its protocol.
    parts = key_from_text(record.key).rpartition(b"://")[2].lstrip(b"/").split(b"/")
    is_split = parts[0].decode("utf-8", "replace").lower() in SPLIT_NAMES
    if is_split and len(parts) > 2 and class_name(parts[1]) == record.class_name:
        parts = parts[1:]
    if len(parts) > 1 and class_name(parts[0]) == record.class_name:
        parts = parts[1:]
    # A list may give any name to a class; a slash in it is no folder.
    parts = [record.class_name.replace("/", "%2F").encode(), *parts]
    if any(part in {b"", b".", b".."} or b"\0" in part for part in parts):
        raise CorruptDataError("a record's name leads out of its folder", got=record.key)
    return parts


def _as_file(record: Record) -> bytes:
    if record.format != "raw":
        return record.image
    pixels = decode_record_image(record.image, "raw", record.width, record.height, record.channels)
    content = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if record.channels == 1 else pixels).save(content, "PNG")
    return content.getvalue()
