"""Report of an export."""

from __future__ import annotations

from typing import Literal

import msgspec

ExportStatus = Literal["exported", "nothing-to-do", "planned"]


class ExportReport(msgspec.Struct, frozen=True):
    """The result of an export, and its JSON output.

    Attributes:
        status: `exported`; `nothing-to-do` if the export was complete; `planned` in a dry run.
        output: the path or URL of the output.
        format: the format of the files.
        generation: the number of the exported generation.
        images: the number of images in all files.
        files: the number of files with images.
        files_kept: the number of these files that an interrupted run had written.
        bytes: the size of these files; None before they are written, and if each image is a file.
        seconds: the duration.
        convert: the options with which `convert` reads the files again, with the same labels.
    """

    status: ExportStatus
    output: str
    format: str
    generation: int
    images: int
    files: int
    files_kept: int
    bytes: int | None
    seconds: float
    convert: tuple[str, ...]
