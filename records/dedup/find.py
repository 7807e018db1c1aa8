"""Search for the near-duplicates of a dataset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from records.dataset import Dataset, open_dataset
from records.dedup.groups import NearDuplicates, group_near_duplicates
from records.dedup.hash_cache import PERCEPTUAL_HASHES, to_hashes
from records.measurements import DatasetMeasurer
from records.runtime.logging import log_line
from records.stats import read_index_rows

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import pyarrow as pa


def find_near_duplicates(
    dataset: Dataset | str | os.PathLike[str],
    rows: pa.Table | None = None,
    *,
    processes: int | None = None,
    on_images: Callable[[int], object] = lambda _images: None,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> NearDuplicates:
    """Find images of the same picture, resized, re-encoded or slightly cropped.

    The first call decodes every image and saves the hashes in the folder of the dataset. If the
    hashes cannot be saved, a warning is logged.

    Args:
        dataset: a path or URL, or an open dataset.
        rows: the result of `records.stats.read_index_rows`; None reads the index rows.
        processes: the number of processes that compute hashes; by default, it follows from the
            usable CPUs and the number of images.
        on_images: a callback that receives the number of images in each batch whose hashes were
            computed or read.
        on_progress: a callback that receives the number of finished parts of the search, and the
            total number of parts.

    Raises:
        InputNotFoundError: the path contains no finished dataset.
        CorruptDataError: a shard or an index is damaged or missing.
        UsageError: ImageHash is not installed.
    """
    if not isinstance(dataset, Dataset):
        dataset = open_dataset(dataset)
    if rows is None:
        rows = read_index_rows(dataset)
    measurer = DatasetMeasurer(dataset, PERCEPTUAL_HASHES, on_images, processes)
    hashes = to_hashes(measurer.run())
    if measurer.save_error is not None:
        log_line(f"the hashes cannot be saved: {measurer.save_error}", level=logging.WARNING)
    return group_near_duplicates(rows, hashes, on_progress)
