"""Inspection of a dataset or of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from records.arguments import Positive, check_arguments
from records.dataset import Dataset, missing_as_corrupt, open_dataset
from records.dataset.resolve import resolve_path
from records.inspection.file_summary import DEFAULT_LIMIT, FileSummary, summarize_file
from records.inspection.text import format_file, format_manifest
from records.pictures.contact_sheet import draw_dataset, draw_file
from records.pictures.thumbnails import main_split

if TYPE_CHECKING:
    import os

    from records.storage import Storage


@dataclass(frozen=True, repr=False)
class FileInspection:
    """The result of inspecting one TFRecord file.

    Attributes:
        storage: the folder of the file.
        summary: the size, payloads and features of the file.
    """

    storage: Storage
    summary: FileSummary

    def to_json(self) -> Any:
        """Return the output of `inspect --json`."""
        return self.summary

    def lines(self) -> list[str]:
        """Return the output of `inspect`, one string per line."""
        return format_file(self.summary)

    def draw_grid(self) -> bytes:
        """Return the contact sheet as PNG. Raises the errors of `draw_file`."""
        return draw_file(self.storage, self.summary.name)

    def __repr__(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True, repr=False)
class DatasetInspection:
    """The result of inspecting a dataset.

    Attributes:
        dataset: the open dataset.
        shard: the summary of one shard; all shards have the same features.
    """

    dataset: Dataset
    shard: FileSummary

    def to_json(self) -> Any:
        """Return the output of `inspect --json`."""
        return {"manifest": self.dataset.manifest, "shard": self.shard}

    def lines(self) -> list[str]:
        """Return the output of `inspect`, one string per line."""
        manifest = format_manifest(self.dataset.manifest, self.dataset.path)
        return [*manifest, "", *format_file(self.shard)]

    def draw_grid(self) -> bytes:
        """Return the contact sheet as PNG. Raises the errors of `draw_dataset`."""
        return draw_dataset(self.dataset)

    def __repr__(self) -> str:
        return "\n".join(self.lines())


@check_arguments
def inspect(
    path: str | os.PathLike[str], *, limit: Positive = DEFAULT_LIMIT
) -> FileInspection | DatasetInspection:
    """Summarize a dataset or any TFRecord file.

    Args:
        path: a path or URL.
        limit: the maximum number of records to read from the file, or from one shard of the
            dataset.

    Raises:
        InputNotFoundError: the path is neither a dataset nor a file.
        CorruptDataError: the manifest is damaged, or the shard to read is missing.
    """
    storage, file, _ = resolve_path(path)
    if file is not None:
        return FileInspection(storage, summarize_file(storage, file, limit=limit))
    dataset = open_dataset(path)
    name = next(shard.name for shard in main_split(dataset).info.shards)
    with missing_as_corrupt(storage, name):
        return DatasetInspection(dataset, summarize_file(storage, name, limit=limit))
