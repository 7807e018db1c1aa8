"""Export of the images of a dataset to folders: `OUT/SPLIT/CLASS/FILE`.

If an image has any number of labels, there are no class folders. Then, and if the dataset keeps
columns, `OUT/SPLIT/metadata.jsonl` has the labels and the columns. The folder is complete or
absent. Keys are untrusted: a key that leads out of the folder raises an error.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.extract.metadata import MetadataWriter, WrittenImage, has_metadata
from pipelines.extract.paths import relative_path
from records.dataset import Dataset, Record, Split, open_dataset
from records.errors import OutputError, UsageError
from records.exchange.image_file import image_file
from records.format.layout import SplitName
from records.runtime.processes import divide_cpus, process_map
from records.runtime.shard_worker import ProgressCallback
from records.storage import is_in_memory, local_path, redact_url
from records.storage.atomic import atomic_folder
from records.storage.errors import HINT_FIX, starts_over, translate_write_errors
from records.storage.exclusive import require_outside
from records.text.escaping import escape_for_display

_STAGING = ".staging"


# Approximate seconds of one CPU per record and per byte of a shard.
_SECONDS_PER_RECORD, _SECONDS_PER_BYTE = 150e-6, 2e-9


@starts_over()
def extract(
    dataset: str,
    out: str,
    on_images: Callable[[int], object] = lambda _images: None,
    *,
    split: SplitName | None = None,
    processes: int | None = None,
) -> int:
    """Write every image of a dataset into folders; return the number of images.

    Files contain the stored bytes, but raw images are written as PNG files. A file name without an
    extension of the stored format gets one. `options_to_convert` returns the options with which
    `convert` reads the folder.

    Args:
        dataset: the path or URL of a dataset.
        out: the path or `file://` URL of the new folder.
        on_images: a callback that receives the number of images written since the previous call.
        split: the split whose images are written; by default, all splits.
        processes: the number of processes that write files; by default, it follows from the usable
            CPUs and the work.

    Raises:
        InputNotFoundError: there is no finished dataset.
        UsageError: `out` is inside the dataset or at another URL, or the dataset does not have the
            split.
        CorruptDataError: a record is damaged, or its key leads out of the folder.
        OutputError: `out` already exists, or cannot be written.
    """
    opened = open_dataset(dataset)
    out = require_local(out)
    require_outside(out, opened.location)
    splits = opened.values() if split is None else [opened[split]]
    wanted = {each.name for each in splits}
    shards = {shard: it for shard, it in opened.shards().items() if it[0] in wanted}
    written = 0
    with _new_folder(Path(out)) as folder:
        writer = _ShardWriter(opened, folder / _STAGING, escape_for_display(out))
        written_images = process_map(
            writer,
            [*shards],
            processes=_count_processes(opened, splits, processes),
            on_progress=on_images,
        )
        metadata = MetadataWriter(opened, folder) if has_metadata(opened) else None
        for (name, number), images in zip(shards.values(), written_images, strict=True):
            with translate_write_errors(writer.out, hint=HINT_FIX):
                staged = writer.staged_folder(name, number)
                paths = [
                    _move(staged / str(record), folder / name / image.path)
                    for record, image in enumerate(images)
                ]
                staged.rmdir()
                if metadata is not None:
                    metadata.write(name, paths, images)
            written += len(images)
        with translate_write_errors(writer.out, hint=HINT_FIX):
            writer.staging.rmdir()
    return written


def _count_processes(dataset: Dataset, splits: Collection[Split], processes: int | None) -> int:
    infos = [split.info for split in splits]
    seconds = sum(_SECONDS_PER_RECORD * it.records + _SECONDS_PER_BYTE * it.bytes for it in infos)
    shards = sum(len(info.shards) for info in infos)
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

    def __call__(self, name: str, count: ProgressCallback) -> list[WrittenImage]:
        """Return the images of a shard in order; the names of their files are their numbers.

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
        images: list[WrittenImage] = []
        for record in self.dataset[split].iter_indexed_shard(number):
            content, path = image_file(record).content, self._path(record)
            with translate_write_errors(self.out, hint=HINT_FIX):
                create_file(folder / str(len(images)), content)
            images.append(WrittenImage(path, record.class_names, record.columns))
            count(1)
        return images

    def _path(self, record: Record) -> Path:
        return relative_path(
            record,
            in_class_folder=not self.dataset.is_multi_label,
            as_text=has_metadata(self.dataset),
        )

    def staged_folder(self, split: str, number: int) -> Path:
        """Return the folder of the files of a shard, which are named after their records."""
        return self.staging / f"{split}-{number}"


def create_file(path: Path, content: bytes) -> None:
    """Create a file. Raises OSError."""
    with path.open("xb") as stream:
        stream.write(content)


def require_local(out: str) -> str:
    """Return the path of a local output. Raises UsageError for a URL that is not local."""
    path = local_path(out)
    if path is None:
        raise UsageError(
            "image files are written only to a local folder",
            got=escape_for_display(redact_url(out)),
            hint="choose a local folder, and upload it, or use `shardmill export-dataset`",
        )
    return path


def require_absent(out: Path) -> None:
    """Raise OutputError if the output exists."""
    if os.path.lexists(out):
        raise OutputError(
            "the folder already exists",
            path=escape_for_display(str(out)),
            hint="choose another name",
        )


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder that becomes `out` when the block succeeds. `out` must not exist."""
    require_absent(out)
    path = escape_for_display(str(out))
    with ExitStack() as stack:
        with translate_write_errors(path, hint=HINT_FIX):
            folder = stack.enter_context(atomic_folder(out))
        yield folder  # a read error in the block is not a write error
        with translate_write_errors(path, hint=HINT_FIX):
            stack.close()


def _move(staged: Path, path: Path) -> Path:
    """Move a file to a path, and return the path.

    If the path exists, `~2`, `~3` and so on is added to the stem of its name. For example, both
    images `a.gif` and `a.gif.png` would be written as `a.gif.png`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    number = 2
    while os.path.lexists(path):
        path = path.with_stem(f"{path.stem.removesuffix(f'~{number - 1}')}~{number}")
        number += 1
    staged.rename(path)
    return path
