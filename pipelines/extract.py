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
from pathlib import Path

from PIL import Image

from records.dataset import Record, open_dataset
from records.errors import DamagedError, TargetError
from records.images import decode_stored
from records.layout import SPLITS
from records.text import key_from_text, printable

_SUFFIXES = {"jpeg": (b".jpg", b".jpeg", b".jpe", b".jfif"), "png": (b".png",), "raw": (b".png",)}


def extract(dataset: str, out: str, on_image: Callable[[], None] = lambda: None) -> int:
    """Write every image of a dataset into class folders; the number written.

    Images are the stored bytes; raw ones become PNG. A name keeps its extension where that fits
    what is stored, else it gains one.

    Raises:
        NoInputError: there is no finished dataset.
        DamagedError: a record is damaged, or its name leads elsewhere.
        TargetError: `out` is there already, or cannot be written.
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
    if out.exists():
        raise TargetError(
            "this is there already", path=printable(str(out)), hint="name a folder that is not"
        )
    staged = out.with_name(f".{out.name}.{secrets.token_hex(8)}")
    try:
        staged.mkdir(parents=True)
        yield staged
        staged.rename(out)
    except OSError as error:
        raise TargetError(
            "cannot be written", path=printable(str(out)), got=os.strerror(error.errno or 0)
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _write(folder: Path, record: Record) -> None:
    path = folder / _relative_path(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        stream.write(_as_file(record))


def _relative_path(record: Record) -> Path:
    parts = _parts(record)
    suffixes = _SUFFIXES.get(record.format)
    if suffixes is None:
        raise DamagedError("a record has an unknown format", got=printable(record.format))
    if not parts[-1].lower().endswith(suffixes):
        parts[-1] += suffixes[0]
    return Path(*(os.fsdecode(part) for part in parts))


def _parts(record: Record) -> list[bytes]:
    """Class and file name, without the split's or the class's folder where the key has them."""
    parts = key_from_text(record.key).split(b"/")
    name = record.text.encode()
    if parts[0].decode("utf-8", "replace").lower() in {*SPLITS, "val", "valid"} and len(parts) > 1:
        parts = parts[1:]
    if parts[0] == name and len(parts) > 1:
        parts = parts[1:]
    parts = [name, *parts]
    if any(part in {b"", b".", b".."} or b"/" in part or b"\0" in part for part in parts):
        raise DamagedError("a record's name leads out of its folder", got=record.key)
    return parts


def _as_file(record: Record) -> bytes:
    if record.format != "raw":
        return record.image
    pixels = decode_stored(record.image, "raw", record.width, record.height, record.channels)
    content = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if record.channels == 1 else pixels).save(content, "PNG")
    return content.getvalue()
