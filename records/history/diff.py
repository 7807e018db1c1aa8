"""Differences between two datasets, or two generations of a dataset.

print(diff("data@3", "data@5"))
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.compute as pc

from records.arguments import check_arguments
from records.dataset import Dataset, open_dataset
from records.format.layout import SPLITS
from records.history.changes import KINDS, SEPARATOR, find_changes
from records.history.diff_text import format_diff
from records.history.distributions import (
    CategoryShift,
    Images,
    Shift,
    compare_categories,
    compare_numbers,
    read_images,
)
from records.text.csv_rows import encode_csv_row

if TYPE_CHECKING:
    import pyarrow as pa

MOST_KEYS = 5
"""The number of records of each kind that a summary lists."""
_CSV_COLUMNS = ("key", "split_a", "split_b", "class_a", "class_b")
_ROWS_PER_BATCH = 10_000


class ChangedRecord(msgspec.Struct, frozen=True):
    """A record that differs: its key, and its split and its classes in both datasets.

    A split is None, and there are no classes, if a dataset does not have the record.
    """

    key: str
    split_a: str | None
    split_b: str | None
    classes_a: tuple[str, ...]
    classes_b: tuple[str, ...]


class DiffSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The differences between the datasets a and b.

    Attributes:
        a: the path or URL of one dataset.
        b: the path or URL of the other dataset.
        records_a: the number of records of `a`.
        records_b: the number of records of `b`.
        changes: the number of records of each kind: `added` (only in `b`), `removed` (only in `a`),
            `relabelled` (with other classes), `moved` (in another split), `modified` (the source
            file has other content), and `updated` (a column that both datasets keep has another
            value). A record can be of several of the last four kinds.
        first: the first records of each kind, in the order of their keys.
        classes: the numbers of records in `a` and `b`, by split and class.
        class_shift: the shift of the shares of the classes.
        formats: the shift of the shares of the stored formats.
        width: the shift of the widths in pixels.
        height: the shift of the heights in pixels.
        bytes: the shift of the stored sizes in bytes.
    """

    a: str
    b: str
    records_a: int
    records_b: int
    changes: dict[str, int]
    first: dict[str, tuple[ChangedRecord, ...]]
    classes: dict[str, dict[str, tuple[int, int]]]
    class_shift: float | None
    formats: CategoryShift
    width: Shift
    height: Shift
    bytes: Shift


class DatasetDiff:
    """The differences between two datasets.

    Attributes:
        summary: the numbers of all differences, and the first of them.
        changes: an Arrow table of all records that differ; see `find_changes`.
        images: the sizes and formats of the images of both datasets.
    """

    def __init__(
        self, summary: DiffSummary, changes: pa.Table, images: tuple[Images, Images]
    ) -> None:
        self.summary = summary
        self.changes = changes
        self.images = images

    def lines(self) -> list[str]:
        """Return the differences as text, one string per line."""
        return format_diff(self.summary)

    def csv_rows(self) -> Iterator[bytes]:
        """Yield the rows of a CSV file with all records that differ, the header first.

        The first cell has the kinds of the difference, separated by spaces.
        """
        yield encode_csv_row(("change", *_CSV_COLUMNS))
        for batch in self.changes.to_batches(_ROWS_PER_BATCH):
            for row in batch.to_pylist():
                kinds = " ".join(kind for kind in KINDS if row[kind])
                cells = (row[name] for name in _CSV_COLUMNS)
                yield encode_csv_row(
                    (kinds, *(cell and cell.replace(SEPARATOR, "; ") for cell in cells))
                )

    def draw(self) -> bytes:
        """Return charts of the classes and the sizes of both datasets as PNG.

        Raises:
            UsageError: matplotlib is not installed.
        """
        from records.history.charts import draw_diff

        return draw_diff(self.summary, self.images)

    def __repr__(self) -> str:
        return "\n".join(self.lines())


@check_arguments
def diff(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> DatasetDiff:
    """Compare two datasets, or two generations of a dataset, record by record.

    Records are compared by their keys. Only the manifests and the indexes are read: of the shards
    that both have, the index of one.

        sm.diff("data@3", "data@5")

    Args:
        a: the path or URL of a dataset, or of a generation such as `data@3`.
        b: the path or URL of the dataset to compare with `a`.

    Raises:
        InputNotFoundError: there is no finished dataset, or a generation was pruned.
        CorruptDataError: a manifest or an index is damaged or missing.
        UsageError: a URL is invalid, or a dataset never had the generation.
        StorageError: storage failed after retries.
    """
    one, other = open_dataset(a), open_dataset(b)
    changes = find_changes(one, other)
    images = read_images(one, other)
    classes = [_count_classes(dataset) for dataset in (one, other)]
    totals = [_add_up(counts) for counts in classes]
    summary = DiffSummary(
        a=one.path,
        b=other.path,
        records_a=sum(len(split) for split in one.values()),
        records_b=sum(len(split) for split in other.values()),
        changes={kind: pc.sum(changes[kind]).as_py() or 0 for kind in KINDS},
        first={kind: _first(changes, kind) for kind in KINDS},
        classes={
            split: compare_categories(classes[0].get(split, {}), classes[1].get(split, {})).records
            for split in SPLITS
            if split in one or split in other
        },
        class_shift=compare_categories(*totals).psi,
        formats=compare_categories(images[0].formats, images[1].formats),
        **{
            name: compare_numbers(images[0].numbers[name], images[1].numbers[name])
            for name in ("width", "height", "bytes")
        },
    )
    return DatasetDiff(summary, changes, images)


def _count_classes(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Return the number of records of each class that has any, by split."""
    return {
        split: {
            name: count
            for name, count in zip(dataset.labels, records.info.class_records, strict=True)
            if count
        }
        for split, records in dataset.items()
    }


def _add_up(splits: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for counts in splits.values():
        for name, count in counts.items():
            totals[name] = totals.get(name, 0) + count
    return totals


def _first(changes: pa.Table, kind: str) -> tuple[ChangedRecord, ...]:
    first = changes.filter(changes[kind]).slice(0, MOST_KEYS)
    return tuple(map(_to_record, first.to_pylist()))


def _to_record(row: dict[str, Any]) -> ChangedRecord:
    classes = [
        tuple(text.split(SEPARATOR)) if text else () for text in (row["class_a"], row["class_b"])
    ]
    return ChangedRecord(row["key"], row["split_a"], row["split_b"], *classes)
