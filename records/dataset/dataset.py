"""Finished dataset as a mapping of splits by name.

    dataset = open_dataset("data")
    record = dataset["train"][0]
    record.image, record.label, record.class_name, record.key
    record.decode()

Reading needs neither TensorFlow nor Beam. A split is a sequence, and so a valid data set for a
PyTorch `DataLoader`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping

from records.arguments import check_arguments
from records.dataset.notebook import dataset_html
from records.dataset.record import RecordDecoder
from records.dataset.split import Split
from records.dataset.worker_slice import ALL_RECORDS, WorkerSlice
from records.errors import UsageError
from records.format.columns import Columns
from records.format.label_map import LabelMap
from records.format.layout import SplitName
from records.format.manifest import Manifest
from records.generations import read_generation, split_generation
from records.storage import Storage, absolute_location, open_storage
from records.storage.urls import join_location
from records.text.escaping import escape_for_display
from records.text.formatting import align, format_bytes, pluralize
from records.text.urls import without_user

_SHOWN_CLASSES = 10
_SHOWN_NAME_CHARS = 40
_MIN_SIMILARITY = 0.42  # of `val` and `validation`: 0.46; of `validation` and `train`: 0.40


class SplitNotFoundError(UsageError, KeyError):
    """The dataset has no split of this name. Also a KeyError, as for any mapping."""


class Dataset(Mapping[SplitName, Split]):
    """A finished dataset: a mapping from split names to splits.

    Attributes:
        storage: the folder of the dataset.
        manifest: the content of `dataset.json`, or of the saved manifest of an earlier generation.
        location: the absolute path or URL of the folder.
    """

    def __init__(
        self,
        storage: Storage,
        manifest: Manifest,
        worker_slice: WorkerSlice = ALL_RECORDS,
        *,
        location: str | None = None,
        generation: int | None = None,
    ) -> None:
        self.storage = storage
        self.manifest = manifest
        self.location = storage.url if location is None else location
        self._generation = generation
        self._worker_slice = worker_slice
        decoder = RecordDecoder.of(manifest)
        self._splits = {
            name: Split(storage, name, info, decoder, worker_slice)
            for name, info in manifest.splits.items()
        }

    @property
    def path(self) -> str:
        """The path or URL of the dataset, for display; with `@N` if it was opened as such."""
        suffix = "" if self._generation is None else f"@{self._generation}"
        return f"{self.storage.url}{suffix}"

    @property
    def labels(self) -> LabelMap:
        """Class names; the index of a name is its label."""
        return self.manifest.labels

    @property
    def class_names(self) -> LabelMap:
        """Class names in the order of their labels; the same as `labels`."""
        return self.manifest.labels

    @property
    def columns(self) -> Columns:
        """The columns of the list that the records keep, with the types of their values."""
        return self.manifest.settings.columns

    @property
    def is_multi_label(self) -> bool:
        """Whether an image has any number of labels, also none."""
        return self.manifest.settings.is_multi_label

    def files(self, split: SplitName | None = None) -> tuple[str, ...]:
        """Return the absolute paths or URLs of the shards of a split, or of all splits.

        The shards of all generations are in stored order. A file pattern can miss generations, or
        match shards of an unfinished run.

            tf.data.TFRecordDataset(dataset.files("train"))

        Adopted files can contain records that are not part of the dataset (`excluded_records`).

        Raises:
            SplitNotFoundError: the dataset does not have this split.
            UsageError: this is the slice for one worker; its records are parts of shards.
        """
        if self._worker_slice != ALL_RECORDS:
            raise UsageError(
                "the files of a dataset cannot be those of one worker",
                path=self.path,
                hint="open the dataset without shard_index and shard_count, and divide its files",
            )
        splits = self.values() if split is None else [self[split]]
        shards = [shard for each in splits for shard in each.info.shards]
        return tuple(join_location(self.location, shard.name) for shard in shards)

    def shards(self) -> dict[str, tuple[SplitName, int]]:
        """Return the split of each shard and its number there, by name, in stored order."""
        return {
            shard.name: (name, number)
            for name, split in self.items()
            for number, shard in enumerate(split.info.shards)
        }

    def __getitem__(self, name: SplitName) -> Split:
        """Return a split by name. Raises SplitNotFoundError, a KeyError."""
        try:
            return self._splits[name]
        except KeyError:
            raise self._split_not_found(name) from None

    def _split_not_found(self, name: object) -> SplitNotFoundError:
        alike = difflib.get_close_matches(str(name).lower(), self._splits, 1, _MIN_SIMILARITY)
        return SplitNotFoundError(
            f"the dataset has no split {str(name)[:_SHOWN_NAME_CHARS]!r}",
            path=self.path,
            expected=" or ".join(self._splits) or "none: the dataset is empty",
            hint=f'did you mean "{alike[0]}"?' if alike else None,
        )

    def __iter__(self) -> Iterator[SplitName]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    def __repr__(self) -> str:
        rows = [
            (
                f"    {name}",
                pluralize(split.info.records, "record"),
                pluralize(len(split.info.shards), "shard"),
                format_bytes(split.info.bytes),
            )
            for name, split in self.items()
        ]
        heading = f"Dataset({self.path!r})"
        if self._worker_slice != ALL_RECORDS:
            heading += f", slice {self._worker_slice.index} of {self._worker_slice.count}"
        return "\n".join([heading, *align(rows, right=" >>>"), f"    {self._classes_line()}"])

    def _classes_line(self) -> str:
        names = [
            name if len(name) <= _SHOWN_NAME_CHARS else name[: _SHOWN_NAME_CHARS - 1] + "…"
            for name in map(escape_for_display, self.labels[:_SHOWN_CLASSES])
        ]
        more = len(self.labels) - len(names)
        if more:
            names.append(f"and {more:,} more")
        count = len(self.labels)
        return f"{count:,} {'class' if count == 1 else 'classes'}: {', '.join(names)}"

    def _repr_html_(self) -> str:
        return dataset_html(self)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._splits)


@check_arguments
def open_dataset(
    path: str | os.PathLike[str],
    *,
    shard_index: int = 0,
    shard_count: int = 1,
    pad: bool = False,
) -> Dataset:
    """Open a finished dataset, or the slice for one worker.

    Args:
        path: a local folder, or any URL that fsspec supports. A relative path is resolved during
            this call, so a later change of the working folder has no effect. `data@3` opens
            generation 3 of the dataset `data`.
        shard_index: the number of this worker, from 0.
        shard_count: the number of workers. Without `pad`, each record goes to exactly one worker.
            The slices of a split differ in length by at most one record, even if there are fewer
            shards than workers.
        pad: whether all slices of a split get the same length, for synchronous training: a shorter
            slice also contains the first record of the next slice.

    Raises:
        InputNotFoundError: the folder contains no finished dataset, or the generation was pruned.
        CorruptDataError: the manifest is damaged.
        UsageError: `shard_index` is not from 0 to `shard_count` - 1, the URL is invalid, or the
            dataset never had the generation.
    """
    worker_slice = WorkerSlice(shard_index, shard_count, padded=pad)
    folder, generation = split_generation(path)
    storage = open_storage(folder)
    manifest = read_generation(storage, generation)
    location = absolute_location(without_user(folder).rstrip("/"))
    return Dataset(storage, manifest, worker_slice, location=location, generation=generation)
