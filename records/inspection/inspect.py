"""What `inspect` shows of a target: a dataset by its manifest and its first shard, or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from records.dataset import Dataset, missing_as_corrupt, open_dataset
from records.dataset.resolve import resolve_path
from records.inspection import text
from records.inspection.file_summary import FileSummary, summarize_file
from records.pictures.contact_sheet import draw_dataset, draw_file
from records.pictures.thumbnails import main_split

if TYPE_CHECKING:
    import os

    from records.storage import Storage


class FileInspection(NamedTuple):
    """One TFRecord file of anybody's."""

    storage: Storage
    description: FileSummary

    def facts(self) -> Any:
        """What `--json` prints."""
        return self.description

    def lines(self) -> list[str]:
        """What people read."""
        return text.show_file(self.description)

    def draw_grid(self) -> bytes:
        """The contact sheet, a PNG. Raises as `grid.draw_file`."""
        return draw_file(self.storage, self.description.name)


class DatasetInspection(NamedTuple):
    """A dataset, and the shard whose features stand for all."""

    dataset: Dataset
    shard: FileSummary

    def facts(self) -> Any:
        """What `--json` prints."""
        return {"manifest": self.dataset.manifest, "shard": self.shard}

    def lines(self) -> list[str]:
        """What people read."""
        manifest = text.show_dataset(self.dataset.manifest, self.dataset.storage.url)
        return [*manifest, "", *text.show_file(self.shard)]

    def draw_grid(self) -> bytes:
        """The contact sheet, a PNG. Raises as `grid.draw_dataset`."""
        return draw_dataset(self.dataset)


def inspect(path: str | os.PathLike[str], *, limit: int) -> FileInspection | DatasetInspection:
    """Look at a dataset or a file, at no more than `limit` records.

    Raises:
        InputNotFoundError: there is neither.
        CorruptDataError: the manifest is damaged, or its first shard is missing.
    """
    storage, file = resolve_path(path)
    if file is not None:
        return FileInspection(storage, summarize_file(storage, file, limit=limit))
    dataset = open_dataset(path)
    name = next(shard.name for shard in main_split(dataset).info.shards)
    with missing_as_corrupt(storage, name):
        return DatasetInspection(dataset, summarize_file(storage, name, limit=limit))
