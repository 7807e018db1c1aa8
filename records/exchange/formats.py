"""Table of the formats to which datasets are exported."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast

from records.runtime.extras import check_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO

    from records.dataset import Record
    from records.format.layout import SplitName
    from records.format.manifest import Manifest

FormatName = Literal["parquet", "webdataset", "tfds", "arrayrecord", "mds", "folder"]


class FormatModule(Protocol):
    """The functions of the module of a format."""

    def write(self, file: BinaryIO, records: Iterable[Record], manifest: Manifest, /) -> None:
        """Write the records of one file.

        Args:
            file: the file, which is written from its beginning to its end.
            records: the records, in the order of the file.
            manifest: the manifest of the dataset.

        Raises the errors of `records`, and those of writing to `file`.
        """

    def side_files(self, manifest: Manifest, /) -> dict[str, bytes]:
        """Return the files that describe the others, by name.

        Args:
            manifest: the manifest of the dataset, with the written files as its shards; see
                `records.exchange.described`.
        """


class ExportFormat(NamedTuple):
    """A format.

    Attributes:
        file: what one of its files is, for messages.
        pattern: the pattern of the name of a file, with its split, its number from 0, and the
            number of files of the split.
        module: the name of its module in this folder.
        package: the package that writes the files; empty if shardmill writes them.
        extra: the extra that installs the package.
    """

    file: str
    pattern: str
    module: str
    package: str = ""
    extra: str = ""

    def file_name(self, split: SplitName, number: int, count: int) -> str:
        """Return the name of a file, relative to the folder of the export."""
        return self.pattern.format(split=split, number=number, count=count)

    def check(self) -> None:
        """Raise UsageError, with the command that installs it, if the package is missing."""
        if self.package:
            check_extra(self.package, self.extra)

    def load(self) -> FormatModule:
        """Import the module of the format."""
        return cast("FormatModule", importlib.import_module(f"{__package__}.{self.module}"))


FORMATS: Mapping[str, ExportFormat] = {
    "parquet": ExportFormat(
        "Parquet file", "data/{split}-{number:05d}-of-{count:05d}.parquet", "parquet"
    ),
    "webdataset": ExportFormat("TAR file", "{split}-{number:06d}.tar", "webdataset"),
    "tfds": ExportFormat("TFRecord file", "{split}-{number:05d}-of-{count:05d}.tfrecord", "tfds"),
    "arrayrecord": ExportFormat(
        "ArrayRecord file",
        "{split}-{number:05d}-of-{count:05d}.array_record",
        "arrayrecord",
        package="array_record",
        extra="arrayrecord",
    ),
    "mds": ExportFormat("MDS file", "{split}/shard.{number:05d}.mds", "mds"),
}
"""The formats with files of many images, by the values of `--format`."""
FOLDER = "folder"
"""The format with one file per image, which `extract` writes."""
