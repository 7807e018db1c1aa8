"""Export of a dataset to image files, as `extract` writes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.export_dataset.report import ExportReport
from pipelines.extract import extract, options_to_convert, require_absent, require_local
from records.errors import UsageError
from records.exchange.formats import FOLDER
from records.runtime.shard_worker import LOCAL, OnProgress, RunnerConfig
from records.storage import local_path, open_storage

if TYPE_CHECKING:
    from pipelines.export_dataset.plan import FileSize
    from records.dataset import Dataset
    from records.format.layout import SplitName


def require_folder_options(output: str, runner: RunnerConfig, size: FileSize) -> None:
    """Raise UsageError for an option that does not apply if each image is a file."""
    wrong = {
        "--file-mb": size.file_mb is not None,
        "--images-per-file": size.images_per_file is not None,
        "--runner": runner.name != LOCAL or runner.flags,
        "a URL as OUTPUT": local_path(output) is None,
    }
    for option, is_given in wrong.items():
        if is_given:
            raise UsageError(
                f"the format folder does not support {option}",
                expected="a new local folder, which one machine writes",
                hint="choose another format, such as --format webdataset",
            )


def export_folder(
    opened: Dataset,
    dataset: str,
    output: str,
    *,
    split: SplitName | None,
    processes: int | None,
    on_progress: OnProgress | None,
    dry_run: bool,
) -> ExportReport:
    """Write the images of a dataset, or of one split, to image files; see `export_dataset`."""
    started_at = time.monotonic()
    splits = opened.values() if split is None else [opened[split]]
    images = sum(each.info.records for each in splits)
    if dry_run:
        require_absent(Path(require_local(output)))
    else:
        extract(dataset, output, _counter(images, on_progress), split=split, processes=processes)
    return ExportReport(
        status="planned" if dry_run else "exported",
        output=open_storage(output).url,
        format=FOLDER,
        generation=opened.manifest.generations[-1].number,
        images=images,
        files=images,
        files_kept=0,
        bytes=None,
        seconds=0.0 if dry_run else round(time.monotonic() - started_at, 3),
        convert=tuple(options_to_convert(opened, splits)),
    )


def _counter(total: int, on_progress: OnProgress | None) -> Callable[[int], None]:
    done = 0

    def count(images: int) -> None:
        nonlocal done
        done += images
        if on_progress is not None:
            on_progress(done, total)

    return count
