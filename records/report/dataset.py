"""Sections of a report that describe a dataset."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from records.dedup.groups import group_near_duplicates
from records.dedup.hash_cache import PERCEPTUAL_HASHES, to_hashes
from records.measurements import DatasetMeasurer
from records.quality.find import judge
from records.quality.measurement import PIXEL_SCORES
from records.report.duplicates import duplicates_section
from records.report.files import files_section
from records.report.generations import generations_section
from records.report.issues import quality_section
from records.report.overview import classes_section, overview_section, provenance_section
from records.report.sizes import samples_section, sizes_section
from records.runtime.logging import log_line
from records.stats import find_groups, stats

if TYPE_CHECKING:
    import pyarrow as pa

    from records.dataset import Dataset
    from records.measurements import Measurement
    from records.report.images import ImageSet
    from records.report.parts import Section


def dataset_sections(
    dataset: Dataset,
    rows: pa.Table,
    images: ImageSet,
    *,
    location: str,
    measure: bool = False,
    on_images: Callable[[int], object] = lambda _images: None,
) -> Sequence[Section]:
    """Return the sections that describe a dataset.

    Near-duplicates and quality issues need measurements of all images. Those that earlier commands
    have saved are used; without them, the section names the command that computes them.

    Args:
        dataset: an open dataset.
        rows: its index rows, as `records.stats.read_index_rows` returns them.
        images: the images of the page; those that the sections show are added.
        location: the path or URL with which the dataset was opened.
        measure: whether to compute and save the measurements that are not saved yet. This decodes
            every image.
        on_images: a callback that receives the number of images in each batch that was measured.

    Raises:
        CorruptDataError: an index or a list of files is damaged or missing; with `measure`, a
            shard.
        UsageError: matplotlib, or with `measure` ImageHash, is not installed.
    """
    computed, groups = stats(dataset, rows), find_groups(rows)
    hashes = _measurements(dataset, PERCEPTUAL_HASHES, on_images, measure=measure)
    scores = _measurements(dataset, PIXEL_SCORES, on_images, measure=measure)
    near = None if hashes is None else group_near_duplicates(rows, to_hashes(hashes))
    quality = None if scores is None else judge(dataset.labels, rows, scores)
    return (
        overview_section(dataset, computed),
        provenance_section(dataset),
        classes_section(computed),
        samples_section(rows, images),
        sizes_section(computed, rows),
        files_section(dataset, images),
        duplicates_section(dataset, computed, groups, near, images),
        quality_section(dataset, quality, scores, images),
        generations_section(dataset, location),
    )


def _measurements(
    dataset: Dataset,
    measurement: Measurement,
    on_images: Callable[[int], object],
    *,
    measure: bool,
) -> pa.Table | None:
    """Return a measurement of all images; None if it is neither saved nor to be computed."""
    measurer = DatasetMeasurer(dataset, measurement, on_images)
    if not measure:
        return measurer.read_all_saved()
    measured = measurer.run()
    if measurer.save_error is not None:
        message = f"the measurements cannot be saved: {measurer.save_error}"
        log_line(message, level=logging.WARNING)
    return measured
