"""Opening a list: its format, and the folder of its images."""

from __future__ import annotations

import os
import posixpath

from pipelines.options import ConvertOptions
from pipelines.sources.lists.columns import named_columns
from pipelines.sources.lists.delimited_table import read_delimited_table
from pipelines.sources.lists.json_table import is_json, read_json_table
from pipelines.sources.lists.parquet_table import MAGIC, read_parquet_table
from pipelines.sources.lists.table import ListTable
from pipelines.sources.reader import read_text_file
from records.errors import InputNotFoundError, UsageError
from records.storage import is_url, local_path
from records.text.escaping import escape_for_display
from records.user_text import decode_text

_JSON_LINES = (".jsonl", ".ndjson")


def open_list(path: str, options: ConvertOptions) -> ListTable:
    """Return the table of a list at a path or URL. Raises InputNotFoundError, UsageError."""
    return parse_list(read_text_file(path), path, options)


def parse_list(content: bytes, path: str, options: ConvertOptions) -> ListTable:
    """Return the table of a list; its content decides on the format. Raises UsageError."""
    if content.startswith(MAGIC):
        return read_parquet_table(content, path)
    text = decode_text(content, path=path, expected="a list in CSV, TSV, JSON or Parquet")
    is_lines = path.lower().endswith(_JSON_LINES)
    if is_lines or is_json(text):
        return read_json_table(text, path, is_lines=is_lines)
    return read_delimited_table(text, path, columns=named_columns(options))


def image_folder(options: ConvertOptions) -> str:
    """Return the folder of `--image-folder` below the source; empty for the source itself.

    Raises:
        InputNotFoundError: the source is a local folder, and this folder does not exist.
        UsageError: the folder is not below the source.
    """
    given = options.image_folder
    if given is None:
        return ""
    # A folder in a store or in a container is only a part of the keys.
    if is_url(options.source) or not os.path.isdir(local_path(options.source) or options.source):  # noqa: PTH112
        folder = given.removeprefix(options.source.rstrip("/") + "/")
    else:
        source = os.path.abspath(local_path(options.source) or options.source)  # noqa: PTH100
        inside = posixpath.join(source, local_path(given) or given)
        outside = os.path.abspath(local_path(given) or given)  # noqa: PTH100
        # A shell completes the path from the working folder.
        found = inside if os.path.isdir(inside) else outside  # noqa: PTH112
        if not os.path.isdir(found):  # noqa: PTH112
            raise InputNotFoundError("the folder of --image-folder does not exist", path=given)
        folder = posixpath.relpath(found, source)
    folder = posixpath.normpath(folder)
    if folder == ".." or folder.startswith(("../", "/")) or "://" in folder:
        raise UsageError(
            "--image-folder is not below the source",
            path=escape_for_display(given),
            expected=f"a folder in {escape_for_display(options.source)}",
            hint="pass the folder that contains all images as the source",
        )
    return "" if folder == "." else folder
