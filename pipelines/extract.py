"""Export of the images of a dataset to folders: `OUT/SPLIT/CLASS/FILE`.

The folder is complete or absent. Keys are untrusted: a key that leads out of the folder raises an
error.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipelines.sources.class_layout import class_name
from records.dataset import Dataset, Record, open_dataset
from records.errors import CorruptDataError, OutputError
from records.format.layout import parse_split
from records.images import decode_record_image
from records.runtime.processes import divide_cpus, process_map
from records.runtime.shard_worker import ProgressCallback
from records.storage import is_in_memory
from records.storage.atomic import atomic_folder
from records.storage.errors import HINT_FIX, starts_over, translate_write_errors
from records.storage.exclusive import require_outside
from records.text.escaping import escape_for_display
from records.text.keys import key_from_text

_STAGING = ".staging"
_SUFFIXES = {"jpeg": (b".jpg", b".jpeg", b".jpe", b".jfif"), "png": (b".png",), "raw": (b".png",)}


# Approximate seconds of one CPU per record and per byte of a shard.
_SECONDS_PER_RECORD, _SECONDS_PER_BYTE = 150e-6, 2e-9


@starts_over()
def extract(
    dataset: str,
    out: str,
    on_images: Callable[[int], object] = lambda _images: None,
    *,
    processes: int | None = None,
) -> int:
    """Write every image of a dataset into class folders; return the number of images.

    Files contain the stored bytes, but raw images are written as PNG files. A file name without an
    extension of the stored format gets one.

    Args:
        dataset: the path or URL of a dataset.
        out: the path of the new folder.
        on_images: a callback that receives the number of images written since the previous call.
        processes: the number of processes that write files; by default, it follows from the usable
            CPUs and the work.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: `out` is inside the dataset, or an image may have several labels.
        CorruptDataError: a record is damaged, or its key leads out of the folder.
        OutputError: `out` already exists, or cannot be written.
    """
    opened = open_dataset(dataset)
    opened.require_one_label("extract")
    require_outside(out, dataset)
    written = 0
    with _new_folder(Path(out)) as folder:
        writer = _ShardWriter(opened, folder / _STAGING, escape_for_display(out))
        shards = opened.shards()
        written_paths = process_map(
            writer,
            [*shards],
            processes=_count_processes(opened, processes),
            on_progress=on_images,
        )
        for (split, number), paths in zip(shards.values(), written_paths, strict=True):
            with translate_write_errors(writer.out, hint=HINT_FIX):
                staged = writer.staged_folder(split, number)
                for record, path in enumerate(paths):
                    _move(staged / str(record), folder / split / path)
                staged.rmdir()
            written += len(paths)
        with translate_write_errors(writer.out, hint=HINT_FIX):
            writer.staging.rmdir()
    return written


def _count_processes(dataset: Dataset, processes: int | None) -> int:
    splits = [split.info for split in dataset.values()]
    seconds = sum(
        _SECONDS_PER_RECORD * split.records + _SECONDS_PER_BYTE * split.bytes for split in splits
    )
    shards = sum(len(split.shards) for split in splits)
    if is_in_memory(dataset.path):
        processes = 1
    return divide_cpus(shards, seconds, processes=processes).processes


@dataclass(frozen=True)
class _ShardWriter:
    """Writes the images of a shard, given by its name; it is sent to other processes.

    The files have numbers as names. Their final names depend on the images of earlier shards: two
    images may have the same name.

    Attributes:
        dataset: the dataset.
        staging: the folder of the files, which contains one folder per shard.
        out: the final folder, for messages.
    """

    dataset: Dataset
    staging: Path
    out: str

    def __call__(self, name: str, count: ProgressCallback) -> list[Path]:
        """Return the wanted path of each file, relative to the folder of its split.

        Raises:
            CorruptDataError: a record is damaged, or its key leads out of the folder.
            OutputError: a file cannot be written.
        """
        split, number = self.dataset.shards()[name]
        folder = self.staged_folder(split, number)
        # Another process may have written a part of this shard before it was killed.
        shutil.rmtree(folder, ignore_errors=True)
        with translate_write_errors(self.out, hint=HINT_FIX):
            folder.mkdir(parents=True)
        paths: list[Path] = []
        for record in self.dataset[split].iter_indexed_shard(number):
            content, path = _as_file(record), _relative_path(record)
            with translate_write_errors(self.out, hint=HINT_FIX):
                create_file(folder / str(len(paths)), content)
            paths.append(path)
            count(1)
        return paths

    def staged_folder(self, split: str, number: int) -> Path:
        """Return the folder of the files of a shard, which are named after their records."""
        return self.staging / f"{split}-{number}"


def create_file(path: Path, content: bytes) -> None:
    """Create a file. Raises OSError."""
    with path.open("xb") as stream:
        stream.write(content)


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


def _move(staged: Path, path: Path) -> None:
    """Move a file to a path; if the path exists, add `~2`, `~3` and so on to the stem of its name.

    For example, both images `a.gif` and `a.gif.png` would be written as `a.gif.png`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number = 2
    while os.path.lexists(path):
        path = path.with_stem(f"{path.stem.removesuffix(f'~{number - 1}')}~{number}")
        number += 1
    staged.rename(path)


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
