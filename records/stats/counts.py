"""Statistics of a dataset from its indexes: counts, sizes and duplicates.

No shard is read.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from records.arguments import check_arguments
from records.dataset import Dataset, open_dataset
from records.format.layout import SPLITS, SplitName
from records.format.rejects import read_unresolved_rejects
from records.stats.columns import ColumnStats, column_stats
from records.stats.duplicates import Duplicates, count_duplicates, find_groups
from records.stats.label_pairs import LabelPair, count_per_image, find_pairs
from records.stats.text import format_stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from records.dataset import Record
    from records.format.manifest import SplitInfo

_COLUMNS = [
    "key",
    "label",
    "stored_bytes",
    "format",
    "width",
    "height",
    "source_xxh3_128",
    "changes",
]


class MinMedianMax(msgspec.Struct, frozen=True):
    """A minimum, a median and a maximum."""

    min: int
    median: int
    max: int


class SplitStats(msgspec.Struct, frozen=True):
    """Statistics of one split.

    Attributes:
        records: the number of records.
        bytes: the size of the shards.
        shards: the number of shards.
        class_records: the number of records of each class, by label.
        imbalance: the imbalance of this split, defined as in `Stats`.
    """

    records: int
    bytes: int
    shards: int
    class_records: tuple[int, ...]
    imbalance: float | None


class Stats(msgspec.Struct, frozen=True):
    """Statistics of a dataset.

    Attributes:
        labels: the class names, by label.
        splits: the statistics of each split, by name.
        records: the number of records in all splits.
        bytes: the size of all shards.
        imbalance: the record count of the largest class divided by the record count of the smallest
            class that is not empty; None without records.
        width_px: the extremes and the median of the widths of the images; None without records.
        height_px: the extremes and the median of the heights of the images; None without records.
        image_bytes: the extremes and the median of the stored sizes; None without records.
        formats: the number of records of each stored format, the most frequent first.
        changes: the number of records with each change by the conversion, the most frequent first.
        rejects: the number of rejected images for each reason, the most frequent first; without
            images that a later generation has stored.
        duplicates: the counts of images with identical file content.
        columns: the statistics of each column that the dataset keeps, by name.
        labels_per_image: the number of records for each number of labels; empty if every image has
            one label.
        label_pairs: the pairs of labels that occur together, the most frequent first, at most 100;
            empty if every image has one label, and for more than 500 classes.
    """

    labels: tuple[str, ...]
    splits: dict[SplitName, SplitStats]
    records: int
    bytes: int
    imbalance: float | None
    width_px: MinMedianMax | None
    height_px: MinMedianMax | None
    image_bytes: MinMedianMax | None
    formats: dict[str, int]
    changes: dict[str, int]
    rejects: dict[str, int]
    duplicates: Duplicates
    columns: dict[str, ColumnStats] = {}
    labels_per_image: dict[int, int] = {}
    label_pairs: tuple[LabelPair, ...] = ()

    @property
    def class_totals(self) -> list[int]:
        """The number of records of each class in all splits, by label."""
        return _add_up(self.splits.values())

    def __repr__(self) -> str:
        return "\n".join(format_stats(self))


@check_arguments
def stats(dataset: Dataset | str | os.PathLike[str], rows: pa.Table | None = None) -> Stats:
    """Compute the statistics of a dataset.

    Args:
        dataset: a path or URL, or an open dataset.
        rows: the result of `read_index_rows`; None reads the index rows.

    Raises:
        InputNotFoundError: the path contains no finished dataset.
        CorruptDataError: an index or `rejects.jsonl` is damaged or missing.
    """
    if not isinstance(dataset, Dataset):
        dataset = open_dataset(dataset)
    if rows is None:
        rows = read_index_rows(dataset)
    splits = {name: _split_stats(dataset[name].info) for name in SPLITS if name in dataset}
    return Stats(
        labels=dataset.labels,
        splits=splits,
        records=len(rows),
        bytes=sum(split.bytes for split in splits.values()),
        imbalance=_imbalance(_add_up(splits.values())),
        width_px=_min_median_max(rows["width"]),
        height_px=_min_median_max(rows["height"]),
        image_bytes=_min_median_max(rows["stored_bytes"]),
        formats=_frequencies(rows["format"]),
        changes=_frequencies(pc.list_flatten(rows["changes"])),
        rejects=_count_rejects(dataset),
        duplicates=count_duplicates(find_groups(rows)),
        columns=column_stats(rows),
        labels_per_image=count_per_image(rows) if dataset.is_multi_label else {},
        label_pairs=find_pairs(rows, len(dataset.labels)) if dataset.is_multi_label else (),
    )


def read_index_rows(dataset: Dataset) -> pa.Table:
    """Return the index rows of all shards, with a column `split`: the position in `SPLITS`.

    Raises:
        CorruptDataError: an index is damaged or missing.
    """
    tables = [
        _read_columns(dataset, name, shard)
        for name in SPLITS
        if name in dataset
        for shard in range(len(dataset[name].info.shards))
    ]
    return pa.concat_tables(tables)


def read_record(dataset: Dataset, split: SplitName, row: int) -> Record:
    """Return the record of a row of `read_index_rows`, whose rows are numbered over all splits.

    Raises:
        CorruptDataError: an index or the record is damaged.
    """
    earlier = SPLITS[: SPLITS.index(split)]
    return dataset[split][row - sum(len(dataset[name]) for name in earlier if name in dataset)]


def _read_columns(dataset: Dataset, name: SplitName, shard: int) -> pa.Table:
    index = dataset[name].load_index(shard)
    extra = [name for name in ("labels", "columns") if name in index.table.column_names]
    table = index.table.select([*_COLUMNS, *extra])
    # Dictionaries from different files cannot be concatenated.
    table = table.set_column(3, "format", table["format"].cast(pa.string()))
    split = pa.repeat(pa.scalar(SPLITS.index(name), pa.int8()), len(table))
    return table.append_column("split", split)


def _add_up(splits: Iterable[SplitStats]) -> list[int]:
    return [sum(records) for records in zip(*(s.class_records for s in splits), strict=True)]


def _split_stats(facts: SplitInfo) -> SplitStats:
    return SplitStats(
        records=facts.records,
        bytes=facts.bytes,
        shards=len(facts.shards),
        class_records=facts.class_records,
        imbalance=_imbalance(facts.class_records),
    )


def _imbalance(class_records: Sequence[int]) -> float | None:
    present = [records for records in class_records if records]
    return round(max(present) / min(present), 2) if present else None


def _min_median_max(column: pa.ChunkedArray) -> MinMedianMax | None:
    if not len(column):
        return None
    quantiles = pc.quantile(column, q=[0, 0.5, 1], interpolation="lower").to_pylist()
    return MinMedianMax(*map(int, quantiles))


def _frequencies(column: pa.ChunkedArray) -> dict[str, int]:
    counted = pc.value_counts(column).to_pylist()
    return _most_first({item["values"]: item["counts"] for item in counted})


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _count_rejects(dataset: Dataset) -> dict[str, int]:
    rejects = read_unresolved_rejects(dataset.storage, dataset.manifest)
    return _most_first(Counter(reject.reason for reject in rejects))
