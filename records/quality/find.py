"""Search for images with quality issues."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from records.arguments import Processes, check_arguments
from records.dataset import Dataset, open_dataset
from records.errors import UsageError
from records.format.index import label_lists
from records.format.layout import SPLITS, SplitName
from records.measurements import DatasetMeasurer
from records.quality.measurement import PIXEL_SCORES
from records.quality.pixels import PixelScores
from records.quality.rules import RULES, apply_rule, size_measurements
from records.quality.text import format_quality
from records.runtime.logging import log_line
from records.stats import read_index_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from records.quality.rules import Rule


_ISSUES = tuple(rule.issue for rule in RULES)


class IssueSummary(msgspec.Struct, frozen=True):
    """One kind of issue.

    Attributes:
        meaning: a description of such images.
        measurement: the name of the measurement.
        limit: the limit beyond which an image has the issue; if the fixed limit does not fit the
            dataset, computed from the dataset.
        images: the number of images with the issue.
    """

    meaning: str
    measurement: str
    limit: float
    images: int


class ImageFinding(msgspec.Struct, frozen=True):
    """An issue of an image.

    Attributes:
        issue: the name of the issue.
        key: the key of the image.
        split: the split of the image.
        labels: the labels of the image.
        value: the measurement that is beyond the limit.
        row: the number of the index row of the image, from 0, over all splits.
    """

    issue: str
    key: str
    split: SplitName
    labels: tuple[int, ...]
    value: float
    row: int


class Quality(msgspec.Struct, frozen=True):
    """Images of a dataset with quality issues.

    Attributes:
        labels: the class names, by label.
        images: the number of images in the dataset.
        undecodable: the number of images that cannot be decoded, so that no pixels were measured.
        issues: every kind of issue, by name.
        findings: the issues of the images: by kind, and the worst first in each kind. An image may
            have several.
    """

    labels: tuple[str, ...]
    images: int
    undecodable: int
    issues: dict[str, IssueSummary]
    findings: tuple[ImageFinding, ...]

    def only(self, issues: Sequence[str]) -> Quality:
        """Return the issues with these names, such as `["dark", "blurry"]`.

        Raises:
            UsageError: a name is not that of an issue.
        """
        for name in issues:
            if name not in _ISSUES:
                raise UsageError("unknown issue", expected=", ".join(_ISSUES), got=name)
        kept = {name: issue for name, issue in self.issues.items() if name in issues}
        findings = tuple(found for found in self.findings if found.issue in kept)
        return msgspec.structs.replace(self, issues=kept, findings=findings)

    def keys(self) -> list[str]:
        """Return the sorted keys of the images with an issue."""
        return sorted({found.key for found in self.findings})

    def __repr__(self) -> str:
        return "\n".join(format_quality(self))


@check_arguments
def quality(
    dataset: Dataset | str | os.PathLike[str],
    *,
    processes: Processes | None = None,
    on_images: Callable[[int], object] = lambda _images: None,
) -> Quality:
    """Find images that are dark, bright, blurry, enlarged, of odd size and so on.

    The first call decodes every image, and saves the measurements in the folder of the dataset. If
    they cannot be saved, a warning is logged.

    Args:
        dataset: a path or URL, or an open dataset.
        processes: the number of processes that measure images; by default, it follows from the
            usable CPUs and the number of images.
        on_images: a callback that receives the number of images in each batch that was measured or
            read.

    Raises:
        InputNotFoundError: the path contains no finished dataset.
        CorruptDataError: a shard or an index is damaged or missing.
    """
    if not isinstance(dataset, Dataset):
        dataset = open_dataset(dataset)
    measurer = DatasetMeasurer(dataset, PIXEL_SCORES, on_images, processes)
    scores = measurer.run()
    if measurer.save_error is not None:
        message = f"the measurements cannot be saved: {measurer.save_error}"
        log_line(message, level=logging.WARNING)
    return judge(dataset.labels, read_index_rows(dataset), scores)


def judge(labels: tuple[str, ...], rows: pa.Table, scores: pa.Table) -> Quality:
    """Return the issues of measured images.

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
