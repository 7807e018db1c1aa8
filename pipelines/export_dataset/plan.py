"""Plan of an export: its files, and the records of each.

The plan is a pure function of the manifest and the options. So an interrupted export resumes with
the same files, and every runner writes the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import xxhash

from records.errors import UsageError
from records.exchange import FORMATS
from records.exchange.described import ExportedFile, describe_files
from records.format.label_map import format_labels
from records.format.layout import LABELS, SPLITS, SplitName
from records.format.manifest import Manifest, encode_manifest

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.exchange import ExportFormat

EXPORT_MANIFEST = "export.json"
"""The file that lists the others; it is written last."""
FORMAT_VERSION = 1
DEFAULT_FILE_MB = 256
_BYTES_PER_MB = 1_000_000


class PlannedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file to write.

    Attributes:
        name: its path in the output.
        split: the split of its records.
        first: the number of the first one in the split.
        records: the number of records.
    """

    name: str
    split: SplitName
    first: int
    records: int


class FileSize(msgspec.Struct, frozen=True):
    """The size of the files, in megabytes of records or in images; see `export_dataset`."""

    file_mb: int | None = None
    images_per_file: int | None = None

    def count_files(self, records: int, size_bytes: int) -> int:
        """Return the number of files of a split; 0 if it has no records."""
        if not records:
            return 0
        if self.images_per_file is not None:
            return -(-records // self.images_per_file)
        file_bytes = (self.file_mb or DEFAULT_FILE_MB) * _BYTES_PER_MB
        return min(records, -(-size_bytes // file_bytes))

    def validate(self) -> None:
        """Raise UsageError if both sizes are given."""
        if self.file_mb is not None and self.images_per_file is not None:
            raise UsageError(
                "--file-mb and --images-per-file exclude each other", hint="pass one of them"
            )


@dataclass(frozen=True)
class ExportPlan:
    """The files of an export.

    Attributes:
        manifest: the manifest of the exported generation.
        format_name: the format, a name in `records.exchange.FORMATS`.
        files: the files, in the order of the splits and the records.
    """

    manifest: Manifest
    format_name: str
    files: tuple[PlannedFile, ...]

    @property
    def format(self) -> ExportFormat:
        """The format."""
        return FORMATS[self.format_name]

    @property
    def images(self) -> int:
        """The number of images in all files."""
        return sum(file.records for file in self.files)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all files except the manifest of the export."""
        expected = [ExportedFile(file.name, file.split, file.records, 0, "") for file in self.files]
        return (*(file.name for file in self.files), *self.side_files(expected))

    @property
    def key(self) -> str:
        """The hash of everything that determines the files."""
        content = (FORMAT_VERSION, self.format_name, self.files, encode_manifest(self.manifest))
        return xxhash.xxh3_128_hexdigest(msgspec.msgpack.encode(content))

    def side_files(self, written: Sequence[ExportedFile]) -> dict[str, bytes]:
        """Return the files that describe the written ones, by name."""
        described = describe_files(self.manifest, written)
        labels = format_labels(self.manifest.labels)
        return {LABELS: labels, **self.format.load().side_files(described)}


class ExportManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `export.json`.

    Attributes:
        format_version: the version of this file.
        key: the hash of everything that determines the files.
        format: the format of the files.
        generation: the number of the exported generation.
        files: the files with images, in the order of the splits and the records.
    """

    format_version: int
    key: str
    format: str
    generation: int
    files: tuple[ExportedFile, ...]


def plan_export(
    dataset: Dataset, format_name: str, split: SplitName | None, size: FileSize
) -> ExportPlan:
    """Return the plan of an export.

    Args:
        dataset: the dataset.
        format_name: the format, a name in `records.exchange.FORMATS`.
        split: the split to export; None for all splits.
        size: the size of the files.

    Raises:
        UsageError: the dataset does not have the split, or both sizes are given.
    """
    size.validate()
    names = [it for it in SPLITS if it in dataset] if split is None else [dataset[split].name]
    files = tuple(file for name in names for file in _divide(dataset, format_name, name, size))
    return ExportPlan(dataset.manifest, format_name, files)


def _divide(
    dataset: Dataset, format_name: str, split: SplitName, size: FileSize
) -> Iterator[PlannedFile]:
    """Yield the files of a split, whose numbers of records differ by at most one."""
    info = dataset[split].info
    count = size.count_files(info.records, info.bytes)
    for number in range(count):
        first, end = (info.records * it // count for it in (number, number + 1))
        name = FORMATS[format_name].file_name(split, number, count)
        yield PlannedFile(name, split, first, end - first)
