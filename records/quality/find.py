"""Search for images with quality issues."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import numpy as np

from records.arguments import Processes, check_arguments
from records.dataset import Dataset, open_dataset
from records.dedup.find import find_near_duplicates
from records.dedup.groups import group_near_duplicates
from records.dedup.hash_cache import PERCEPTUAL_HASHES, to_hashes
from records.format.index import label_lists
from records.format.layout import SPLITS
from records.measurements import DatasetMeasurer
from records.quality.duplicates import add_duplicates
from records.quality.measurement import PIXEL_SCORES
from records.quality.pixels import PixelScores
from records.quality.result import ImageFinding, IssueSummary, Quality
from records.quality.rules import RULES, apply_rule, size_measurements
from records.runtime.logging import log_line
from records.stats import read_index_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from records.dedup import NearDuplicates
    from records.quality.rules import Rule


@check_arguments
def quality(
    dataset: Dataset | str | os.PathLike[str],
    *,
    near: bool = False,
    processes: Processes | None = None,
    on_images: Callable[[int], object] = lambda _images: None,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Quality:
    """Find images that are dark, bright, blurry, enlarged, of odd size, duplicates and so on.

    The first call decodes every image, and saves the measurements in the folder of the dataset. If
    they cannot be saved, a warning is logged. Near-duplicates are searched if their perceptual
    hashes are saved already, or if `near` is true.

    Args:
        dataset: a path or URL, or an open dataset.
        near: whether to compute and save the perceptual hashes that are not saved yet.
        processes: the number of processes that measure images; by default, it follows from the
            usable CPUs and the number of images.
        on_images: a callback that receives the number of images in each batch that was measured or
            read; with `near`, each image is counted twice.
        on_progress: a callback that receives the number of finished parts of the search for
            near-duplicates, and the total number of parts.

    Raises:
        InputNotFoundError: the path contains no finished dataset.
        CorruptDataError: a shard or an index is damaged or missing.
        UsageError: `near` is true, and ImageHash is not installed.
    """
    if not isinstance(dataset, Dataset):
        dataset = open_dataset(dataset)
    rows = read_index_rows(dataset)
    # First: without ImageHash, an error follows immediately.
    if near:
        similar: NearDuplicates | None = find_near_duplicates(
            dataset, rows, processes=processes, on_images=on_images, on_progress=on_progress
        )
    else:
        similar = _group_saved(dataset, rows, on_progress)
    measurer = DatasetMeasurer(dataset, PIXEL_SCORES, on_images, processes)
    scores = measurer.run()
    if measurer.save_error is not None:
        message = f"the measurements cannot be saved: {measurer.save_error}"
        log_line(message, level=logging.WARNING)
    return add_duplicates(judge(dataset.labels, rows, scores), rows, similar)


def _group_saved(
    dataset: Dataset, rows: pa.Table, on_progress: Callable[[int, int], None]
) -> NearDuplicates | None:
    """Return the near-duplicates if all perceptual hashes are saved; otherwise None."""
    hashes = DatasetMeasurer(dataset, PERCEPTUAL_HASHES).read_all_saved()
    return None if hashes is None else group_near_duplicates(rows, to_hashes(hashes), on_progress)


def judge(labels: tuple[str, ...], rows: pa.Table, scores: pa.Table) -> Quality:
    """Return the issues of measured images, without duplicates.

    Args:
        labels: the class names, by label.
        rows: index rows, as `records.stats.read_index_rows` returns them.
        scores: the table of `PIXEL_SCORES` for the same images.
    """
    measured = {name: scores[name].to_numpy() for name in PixelScores._fields}
    measured |= size_measurements(rows["width"].to_numpy(), rows["height"].to_numpy())
    issues: dict[str, IssueSummary] = {}
    findings: list[ImageFinding] = []
    for rule in RULES:
        values = measured[rule.column]
        limit, found = apply_rule(rule, values)
        issues[rule.issue] = IssueSummary(rule.meaning, rule.column, limit, len(found))
        findings += _findings(rule, rows, found, values)
    undecodable = int(np.isnan(measured["dark"]).sum())
    return Quality(labels, len(rows), undecodable, issues, tuple(findings))


def _findings(
    rule: Rule, rows: pa.Table, found: NDArray[np.int64], values: NDArray[np.float32]
) -> list[ImageFinding]:
    names = [name for name in ("key", "label", "labels", "split") if name in rows.column_names]
    chosen = rows.select(names).take(found)
    columns = (chosen["key"].to_pylist(), label_lists(chosen), chosen["split"].to_pylist())
    return [
        ImageFinding(rule.issue, key, SPLITS[split], labels, float(values[row]), row)
        for key, labels, split, row in zip(*columns, found.tolist(), strict=True)
    ]
