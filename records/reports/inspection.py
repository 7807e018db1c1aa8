"""What `inspect` shows of a target: a dataset by its manifest and its first shard, or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from records.dataset import Dataset, expecting, open_dataset
from records.reports import describe_text
from records.reports.describe import FileDescription, describe_file
from records.reports.grid import draw_dataset, draw_file
from records.reports.sample import main_split
from records.reports.target import open_target

if TYPE_CHECKING:
    import os

    from records.storage import Storage


class FileInspection(NamedTuple):
    """One TFRecord file of anybody's."""

    storage: Storage
    description: FileDescription

    def facts(self) -> Any:
        """What `--json` prints."""
        return self.description

    def lines(self) -> list[str]:
        """What people read."""
        return describe_text.show_file(self.description)

    def draw_grid(self) -> bytes:
        """The contact sheet, a PNG. Raises as `grid.draw_file`."""
        return draw_file(self.storage, self.description.name)


class DatasetInspection(NamedTuple):
    """A dataset, and the shard whose features stand for all."""

    dataset: Dataset
    shard: FileDescription

    def facts(self) -> Any:
        """What `--json` prints."""
        return {"manifest": self.dataset.manifest, "shard": self.shard}

    def lines(self) -> list[str]:
        """What people read."""
        manifest = describe_text.show_dataset(self.dataset.manifest, self.dataset.storage.url)
        return [*manifest, "", *describe_text.show_file(self.shard)]

    def draw_grid(self) -> bytes:
        """The contact sheet, a PNG. Raises as `grid.draw_dataset`."""
        return draw_dataset(self.dataset)


def inspect(path: str | os.PathLike[str], *, limit: int) -> FileInspection | DatasetInspection:
    """Look at a dataset or a file, at no more than `limit` records.

    Raises:
        NoInputError: there is neither.
        DamagedError: the manifest is damaged, or its first shard is missing.
    """
    storage, file = open_target(path)
    if file is not None:
        return FileInspection(storage, describe_file(storage, file, limit=limit))
    dataset = open_dataset(path)
    name = next(shard.name for shard in main_split(dataset).facts.shards)
    with expecting(storage, name):
        return DatasetInspection(dataset, describe_file(storage, name, limit=limit))
