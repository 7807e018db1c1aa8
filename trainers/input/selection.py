"""Selections of records for training, validation and evaluation.

Training and validation never use the test split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import accumulate
from typing import TYPE_CHECKING, cast

import numpy as np
import xxhash

from records.dataset.worker_slice import ALL_RECORDS
from records.errors import CorruptDataError, UsageError
from records.format.index import RowForm, read_shard_index
from records.format.layout import SPLITS
from records.runtime.parallel_map import IO_THREADS, parallel_map
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_from_text
from trainers.folds.dataset import read_folds
from trainers.options import Fold
from trainers.tasks.target import read_targets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from records.dataset import Dataset
    from records.dataset.worker_slice import WorkerSlice
    from records.format.layout import SplitName
    from records.format.manifest import ShardInfo
    from records.storage import Storage

# Different from the seed with which `convert` hashes keys to choose their splits and shards.
_HOLDOUT_SEED = 0x7E57ED
_HOLDOUT_BOUND = 2**64 // 10
_MIN_SIMILARITY = 0.4  # the similarity of `val` and `validation` is 0.46


@dataclass(frozen=True, eq=False)
class Selection:
    """Some records of one split, by shard.

    Args:
        purpose: the split that the records serve as: a part of `train` may serve as `validation`.
        split: the split that contains the records.
        shards: the shards, in the order of the manifest.
        mask: the selected records of each shard, bool (records,); None means all records.
    """

    purpose: SplitName
    split: SplitName
    shards: tuple[ShardInfo, ...]
    mask: tuple[NDArray[np.bool_], ...] | None = None

    @property
    def records(self) -> int:
        """The number of records."""
        if self.mask is None:
            return sum(shard.records for shard in self.shards)
        return sum(int(chosen.sum()) for chosen in self.mask)

    def excluding(self, damaged: Collection[tuple[str, int]]) -> Selection:
        """Return the selection without damaged records, given as (shard name, record number)."""
        if not damaged:
            return self
        chosen = tuple(mask.copy() for mask in self.shard_masks)
        for place, shard in enumerate(self.shards):
            for name, number in damaged:
                if name == shard.name:
                    chosen[place][number] = False
        return replace(self, mask=chosen)

    def without(self, left_out: Sequence[NDArray[np.bool_]]) -> Selection:
        """Return the selection without some records of each shard, bool (records,)."""
        pairs = zip(self.shard_masks, left_out, strict=True)
        return replace(self, mask=tuple(chosen & ~out for chosen, out in pairs))

    def with_rest(self) -> tuple[Selection, Selection]:
        """Return the selection, and the other records of its shards."""
        return self, replace(self, mask=tuple(~chosen for chosen in self.shard_masks))

    def followed_by(self, other: Selection) -> Selection:
        """Return the records of this selection, and then those of another one."""
        masks = (*self.shard_masks, *other.shard_masks)
        return replace(self, shards=(*self.shards, *other.shards), mask=masks)

    def part(self, part: WorkerSlice) -> Selection:
        """Return the records of one worker, with only the shards that contain these records."""
        if part == ALL_RECORDS:
            return self
        places = part.record_range(self.records)
        chosen = []
        for mask, before in zip(self.shard_masks, self._records_before(), strict=True):
            numbers = before + np.cumsum(mask) - 1
            chosen.append(mask & (places.start <= numbers) & (numbers < places.stop))
        kept = [place for place, mask in enumerate(chosen) if mask.any()]
        return replace(
            self,
            shards=tuple(self.shards[place] for place in kept),
            mask=tuple(chosen[place] for place in kept),
        )

    def _records_before(self) -> list[int]:
        """Return the number of selected records before each shard."""
        counts = [int(mask.sum()) for mask in self.shard_masks]
        return list(accumulate(counts[:-1], initial=0)) if counts else []

    @property
    def shard_masks(self) -> tuple[NDArray[np.bool_], ...]:
        """The selected records of each shard, bool (records,)."""
        if self.mask is not None:
            return self.mask
        return tuple(np.ones(shard.records, bool) for shard in self.shards)


def select_split(dataset: Dataset, name: str) -> Selection:
    """Return all records of a split. Raises UsageError if it is missing or empty."""
    records = dataset[cast("SplitName", name)] if name in dataset else None
    if not records:
        raise _split_not_found(dataset, name)
    return Selection(records.name, records.name, records.info.shards)


def _split_not_found(dataset: Dataset, name: str) -> UsageError:
    available = [split for split in dataset if len(dataset[split])]
    hint = "name a split with --split" if name == "test" else None
    if name not in SPLITS:
        alike = get_close_matches(str(name).lower(), available, 1, _MIN_SIMILARITY)
        hint = f"did you mean {alike[0]}?" if alike else None
    return UsageError(
        f"the dataset has no split {escape_for_display(str(name))}",
        path=dataset.storage.url,
        got=", ".join(available) or "no images",
        hint=hint,
    )


def select_for_training(
    dataset: Dataset, validation: str | None, fold: str | None = None
) -> tuple[Selection, Selection]:
    """Return the records to train on, and the records to validate on.

    The records to validate on are those of the requested split. By default they are those of the
    split `validation` or, if this split is missing, the hold-out: a tenth of `train`. A record is
    held out if the hash of its group, or of its key if it is in no group, is in the lowest tenth of
    all possible hashes. The hold-out therefore keeps its records in every run, even after the
    dataset has grown, and divides no group.

    With a fold, the records to validate on are this part of `train`; see `read_folds`.

    Args:
        dataset: the dataset.
        validation: the requested split; None means the default.
        fold: the text form of a `Fold`; None means no fold.

    Raises:
        UsageError: a split is missing, `validation` is `test` or `train`, or `train` has too few
            images for a hold-out or for this number of folds.
    """
    if validation in {"test", "train"}:
        raise UsageError(
            f"a model cannot be validated on {validation}",
            expected="a split that is used neither for training nor for testing",
            hint="omit --validation-split",
        )
    train = select_split(dataset, "train")
    if fold is not None:
        number, folds = Fold.parse(fold)
        found = read_folds(dataset, train.shards, folds)
        return _divide(train, [of_record == number for of_record in found])
    if validation is not None or _has(dataset, "validation"):
        return train, select_split(dataset, validation or "validation")
    return _hold_out(dataset, train)


def select_known(dataset: Dataset, selection: Selection, target: str) -> Selection:
    """Return the selected records that have a value of a column of numbers.

    Raises:
        UsageError: no selected record has a value.
    """
    missing = [np.isnan(read_targets(dataset, shard, target)) for shard in selection.shards]
    known = selection.without(missing) if any(map(np.any, missing)) else selection
    if not known.records:
        raise UsageError(
            f"no image of {selection.purpose} has a value of {escape_for_display(target)}",
            path=dataset.storage.url,
            got=f"{pluralize(selection.records, 'image')} without a value",
        )
    return known


def count_classes(dataset: Dataset, selection: Selection) -> NDArray[np.int64]:
    """Return the number of selected records with each label, int64 (classes,)."""
    counts = np.zeros(len(dataset.labels), np.int64)
    for shard, chosen in zip(selection.shards, selection.shard_masks, strict=True):
        form = RowForm.of(dataset.manifest)
        table = read_shard_index(dataset.storage, shard, form).table.filter(chosen)
        labels = (
            table["labels"].combine_chunks().flatten() if dataset.is_multi_label else table["label"]
        )
        counts += np.bincount(labels.to_numpy(), minlength=len(counts))
    return counts


def select_for_evaluation(
    dataset: Dataset, split: str | None, fold: str | None = None
) -> Selection:
    """Return the requested split; by default `test`.

    If `validation` is requested, or if no split is requested and the dataset has no `test`, return
    the records that training validates on by default or, with a fold, this part of `train`.

    Raises:
        UsageError: the split is missing.
    """
    if split == "validation" or (split is None and not _has(dataset, "test")):
        return select_for_training(dataset, None, fold)[1]
    return select_split(dataset, split or "test")


def _has(dataset: Dataset, split: SplitName) -> bool:
    return split in dataset and len(dataset[split]) > 0


def _hold_out(dataset: Dataset, train: Selection) -> tuple[Selection, Selection]:
    hashes = [_hash_groups(dataset, shard) for shard in train.shards]
    # A small dataset may have no hash below the bound; then the lowest hash is held out.
    lowest = min(int(shard_hashes.min()) for shard_hashes in hashes if len(shard_hashes))
    bound = max(_HOLDOUT_BOUND, lowest + 1)
    parts = _divide(train, [shard_hashes < bound for shard_hashes in hashes])
    if not all(part.records for part in parts):
        raise UsageError(
            "too few images, or too few groups, to hold out a tenth for validation",
            path=dataset.storage.url,
            got=f"{train.records} in train",
            hint="add images, or convert with --validation-count",
        )
    return parts


def _divide(train: Selection, held_out: Sequence[NDArray[np.bool_]]) -> tuple[Selection, Selection]:
    """Return the records to train on, and those to validate on, which are held out."""
    return (
        replace(train, mask=tuple(~chosen for chosen in held_out)),
        replace(train, purpose="validation", mask=tuple(held_out)),
    )


def _hash_groups(dataset: Dataset, shard: ShardInfo) -> NDArray[np.uint64]:
    """Return a hash of the group of each record, or of its key if it is in no group, (records,)."""
    table = read_shard_index(dataset.storage, shard).table
    hashes = _hash(map(key_from_text, table["key"].to_pylist()), len(table), _HOLDOUT_SEED)
    groups = table["group"].to_numpy()
    is_grouped = groups != 0
    if is_grouped.any():
        # Hashed again: the hash of a group has decided that the group is not in the test split.
        different, places = np.unique(groups[is_grouped], return_inverse=True)
        encoded = (group.tobytes() for group in different.astype("<u8"))
        hashes[is_grouped] = _hash(encoded, len(different), _HOLDOUT_SEED)[places]
    return hashes


def hash_images(dataset: Dataset, selection: Selection) -> list[NDArray[np.uint64]]:
    """Return a hash of the source file of each record of each shard, (records,).

    The hash does not depend on the key and the split of an image.
    """
    tables = (read_shard_index(dataset.storage, shard).table for shard in selection.shards)
    columns = (table["source_xxh3_128"].to_pylist() for table in tables)
    return [_hash(map(str.encode, column), len(column), 0) for column in columns]


def _hash(values: Iterable[bytes], count: int, seed: int) -> NDArray[np.uint64]:
    hashes = (xxhash.xxh3_64_intdigest(value, seed) for value in values)
    return np.fromiter(hashes, np.uint64, count=count)


def check_shards(dataset: Dataset, *selections: Selection, sizes: bool = True) -> None:
    """Check that all shards exist, have the records of their indexes and, if `sizes`, their size.

    Raises:
        CorruptDataError: a shard is missing, has another size, is a link to another folder, or
            contains the records of another shard.
    """

    def check(shard: ShardInfo) -> None:
        size_bytes = _check_file(dataset.storage, shard, sizes=sizes)
        if size_bytes == shard.bytes:  # else records may be damaged, and have moved
            split, number = places[shard]
            dataset[split].check_first_record(number)

    places = _all_shards(dataset, selections)
    for _ in parallel_map(check, places, threads=0 if dataset.storage.is_local else IO_THREADS):
        pass


def _check_file(storage: Storage, shard: ShardInfo, *, sizes: bool) -> int:
    """Return the size of the file of a shard. Raises CorruptDataError as `check_shards`."""
    facts = storage.stat(shard.name)
    if facts is not None and storage.is_local:
        storage.open(shard.name).close()  # TensorFlow opens the path, and follows links
    if facts is None or (sizes and facts.size_bytes != shard.bytes):
        raise CorruptDataError(
            "a shard is missing"
            if facts is None
            else "the size of a shard differs from the manifest",
            path=storage.display_name(shard.name),
            expected=pluralize(shard.bytes, "byte"),
            got=None if facts is None else pluralize(facts.size_bytes, "byte"),
            hint="`shardmill verify` lists all damage",
        )
    return facts.size_bytes


def resized_shards(dataset: Dataset, *selections: Selection) -> frozenset[str]:
    """Return the names of the shards whose size differs from the manifest."""
    shards = _all_shards(dataset, selections)
    facts = ((shard, dataset.storage.stat(shard.name)) for shard in shards)
    return frozenset(s.name for s, found in facts if found and found.size_bytes != s.bytes)


def _all_shards(
    dataset: Dataset, selections: Iterable[Selection]
) -> dict[ShardInfo, tuple[SplitName, int]]:
    """Return the shards of some selections, each with its split and its number in the split."""
    chosen = {shard for selection in selections for shard in selection.shards}
    return {
        shard: (split, number)
        for split in dataset
        for number, shard in enumerate(dataset[split].info.shards)
        if shard in chosen
    }


def count_steps(records: int, batch_size: int) -> int:
    """Return the number of batches; the last batch may be smaller."""
    return -(-records // batch_size)
