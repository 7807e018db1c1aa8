"""Lists next to the images: `metadata.csv` of Hugging Face, `_classes.csv` of Roboflow."""

from __future__ import annotations

import posixpath
from collections.abc import Collection

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.options import ConvertOptions
from pipelines.sources.base import SourceFilter, Sources
from pipelines.sources.column_names import is_same_name
from pipelines.sources.lists.image_list import ListPart, collect_rows, read_part
from pipelines.sources.lists.open import parse_list
from pipelines.sources.lists.rows import ListRow
from pipelines.sources.reader import SourceFiles, UnreadableError
from pipelines.sources.walk import ListedFile, Listing
from records.errors import UsageError
from records.format.layout import parse_split
from records.text.keys import key_to_text

_NAMES = (b"metadata.csv", b"metadata.jsonl", b"metadata.parquet", b"_classes.csv")
_PATH_COLUMN = "file_name"


def find_metadata(listing: Listing) -> list[ListedFile]:
    """Return the metadata file of the source and of each top folder, if there is one."""
    folders = [b"", *(folder + b"/" for folder in listing.folders if b"/" not in folder)]
    candidates = [folder + name for folder in folders for name in _NAMES]
    table = listing.files.to_table()
    found = table.filter(pc.is_in(table["key"], pa.array(candidates, pa.large_binary())))
    files = {row["key"]: ListedFile(**row) for row in found.to_pylist()}
    first = [
        next((files[folder + name] for name in _NAMES if folder + name in files), None)
        for folder in sorted(folders)
    ]
    return [file for file in first if file is not None]


def list_metadata(
    found: list[ListedFile],
    options: ConvertOptions,
    source_filter: SourceFilter,
    files: SourceFiles,
    folders: Collection[bytes],
) -> Sources | None:
    """List the images of metadata files; None if no file has a column `file_name`.

    Rows without a split are in the split of the top folder of the image, if it has one's name.

    Args:
        found: the metadata files.
        options: the options; columns that the user names count for each file.
        source_filter: the selection of the images.
        files: the source.
        folders: the folders of the source, to the second level.

    Raises:
        UsageError: a file is invalid, or no column is known to be the label.
        InputNotFoundError: a file has no rows.
    """
    parts = [
        _with_inner_folder(part, folders)
        for file in found
        if (part := _read(file, options, files)) is not None
    ]
    return collect_rows(parts, options, source_filter, files) if parts else None


def _read(file: ListedFile, options: ConvertOptions, files: SourceFiles) -> ListPart | None:
    path = posixpath.join(options.source, key_to_text(file.key))
    try:
        content = files.read(file.key, file.size_bytes, linked=file.linked)
    except UnreadableError as error:
        raise UsageError(
            "the list next to the images cannot be read",
            path=path,
            got=error.rejection.detail,
        ) from error
    table = parse_list(content, path, options)
    column = options.path_column or _PATH_COLUMN
    if not any(is_same_name(name, column) for name in table.columns):
        return None
    folder = file.key.rpartition(b"/")[0].decode("utf-8", "surrogateescape")
    part = read_part(table, msgspec.structs.replace(options, path_column=column), folder)
    return part._replace(rows=[_with_split(row) for row in part.rows])


def _with_inner_folder(part: ListPart, folders: Collection[bytes]) -> ListPart:
    """Return a list whose paths may begin with a folder that has the name of the list's folder.

    Otherwise, `train/1.png` in the list of the folder `train` is a file in this folder.
    """
    folder = part.folder.encode("utf-8", "surrogateescape")
    if not folder or folder + b"/" + folder not in folders:
        return part
    rows = [
        msgspec.structs.replace(row, spellings=(*row.spellings, folder + b"/" + row.key))
        for row in part.rows
    ]
    return part._replace(rows=rows)


def _with_split(row: ListRow) -> ListRow:
    top, separator, _ = row.key.partition(b"/")
    split = parse_split(top) if separator and row.split is None else None
    return row if split is None else msgspec.structs.replace(row, split=split)
