"""Records of the files of a source, also of renamed files.

A file whose key has no record is a renamed file if it has the size and the hash of a record whose
own file is missing from the source, or has other content now. `generations/fingerprints.parquet`
keeps the stored key of each renamed file, so that later runs do not read the file again, and
recognise it after a modification.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.incremental.hashing import HashFiles
from records.runtime.row_table import from_numbers

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Values: TypeAlias = pa.Array | pa.ChunkedArray

_NONE = -1


class RecordMatches:
    """The record or the reject of each listed file.

    Args:
        images: table of the listed images in key order, as in `Sources`, and their `labelling`.
        ingested: the result of `read_ingested_files`.
        fingerprints: the result of `read_fingerprints`.
        hash_files: function that hashes files.

    Attributes:
        numbers: the row number in `ingested` of each image, int64 (N,); -1 for a new image.
        is_renamed: mask of the images whose record has another key.
        is_recognised: mask of the renamed files that `match` has read and found unmodified.
        is_modified: mask of the renamed files that `match` has found modified.
    """

    def __init__(
        self, images: pa.Table, ingested: pa.Table, fingerprints: pa.Table, hash_files: HashFiles
    ) -> None:
        self._images, self._ingested, self._hash_files = images, ingested, hash_files
        self._is_record = ingested["is_stored"].to_numpy()
        self.numbers = find_rows(images["key"], ingested["key"])
        self.is_renamed, self.is_recognised, self.is_modified = np.zeros((3, len(images)), bool)
        saved = take_rows(fingerprints, find_rows(images["key"], fingerprints["key"]))
        self._saved_fingerprints = saved["fingerprint"]
        # A damaged file may name a record several times.
        self._saved_numbers = np.full(len(images), _NONE)
        found, first = np.unique(find_rows(saved["stored_key"], ingested["key"]), return_index=True)
        self._saved_numbers[first] = found

    @property
    def is_stored(self) -> Mask:
        """The mask of the images that have a record, (N,)."""
        mask: Mask = (self.numbers != _NONE) & self._is_record[self.numbers]
        return mask

    def files(self) -> pa.Table:
        """Return the row of `ingested` of each image; nulls for a new image."""
        return take_rows(self._ingested, self.numbers)

    def missing(self) -> Numbers:
        """Return the row numbers of the records without an image, in the order of their keys."""
        is_missing = self._is_record.copy()
        is_missing[self.numbers[self.numbers != _NONE]] = False
        numbers = np.flatnonzero(is_missing)
        order = pc.array_sort_indices(take_rows(self._ingested, numbers)["key"]).to_numpy()
        in_order: Numbers = numbers[order]
        return in_order

    def find_unlisted(self, fingerprints: pa.Table, is_modified: Mask) -> pa.Table:
        """Return the saved fingerprints of renamed files that are not listed, or are excluded.

        Args:
            fingerprints: the result of `read_fingerprints`.
            is_modified: mask of the images whose content is not that of their records.
        """
        numbers = find_rows(fingerprints["stored_key"], self._ingested["key"])
        found_again = self.numbers[self.is_renamed | ~is_modified]
        is_listed = pc.is_in(fingerprints["key"], value_set=self._images["key"]).to_numpy()
        is_kept = (numbers != _NONE) & ~np.isin(numbers, found_again) & ~is_listed
        return fingerprints.filter(pa.array(is_kept))

    def match(self, numbers: Numbers) -> Numbers:
        """Find the renamed files of records, at most one of each; return the other records.

        Args:
            numbers: the row numbers in `ingested` of records whose own file is missing from the
                source, or has other content; in the order of their keys.
        """
        self._match_unread(numbers)
        self._match_contents(numbers)
        modified = self._saved_rows(numbers)
        self._set(modified, self._saved_numbers[modified])
        self.is_modified[modified] = True
        return self._unmatched(numbers)

    def _match_unread(self, numbers: Numbers) -> None:
        """Match files that have not changed since an earlier run found them renamed."""
        rows = self._saved_rows(numbers)
        images = take_rows(self._images, rows)
        records = take_rows(self._ingested, self._saved_numbers[rows])
        seen = self._saved_fingerprints.take(from_numbers(rows))
        is_changed = differ(records["size_bytes"], images["size_bytes"])
        is_changed |= differ(seen, images["fingerprint"])
        unchanged = rows[~is_changed]
        self._set(unchanged, self._saved_numbers[unchanged])

    def _match_contents(self, numbers: Numbers) -> None:
        """Match files by content: with their saved records, then with records of equal labels."""
        left = self._unmatched(numbers)
        records = take_rows(self._ingested, left).append_column("number", from_numbers(left))
        is_possible = pc.is_in(self._images["size_bytes"], value_set=records["size_bytes"])
        rows = np.flatnonzero(~self.is_stored & is_possible.to_numpy())
        images = take_rows(self._images, rows)
        files = pa.table(
            {
                "row": from_numbers(rows),
                "xxh3_128": pa.array(self._hash_files(images), pa.large_binary()),
                "labelling": images["labelling"],
                "number": from_numbers(self._saved_numbers[rows]),
            }
        )
        for columns in (["xxh3_128", "number"], ["xxh3_128", "labelling"], ["xxh3_128"]):
            own, others = _pair_equal(files.select(columns), records.select(columns))
            found = files["row"].to_numpy()[own]
            self._set(found, records["number"].to_numpy()[others])
            self.is_recognised[found] = True
            files, records = _without(files, own), _without(records, others)

    def _saved_rows(self, numbers: Numbers) -> Numbers:
        """Return the images without a record whose saved record is an unmatched one of these."""
        is_saved = np.isin(self._saved_numbers, self._unmatched(numbers))
        return np.flatnonzero(~self.is_stored & is_saved)

    def _unmatched(self, numbers: Numbers) -> Numbers:
        return numbers[~np.isin(numbers, self.numbers[self.is_renamed])]

    def _set(self, rows: Numbers, numbers: Numbers) -> None:
        self.numbers[rows] = numbers
        self.is_renamed[rows] = True


def find_rows(values: Values, among: Values) -> Numbers:
    """Return the row number of each value in `among`, int64 (N,); -1 if it is missing."""
    numbers = pc.index_in(values, value_set=among).fill_null(_NONE)
    return np.asarray(numbers.to_numpy(), np.int64)


def take_rows(table: pa.Table, numbers: Numbers) -> pa.Table:
    """Return the rows with these numbers; nulls for -1."""
    rows = from_numbers(numbers)
    return table.take(pc.if_else(pc.equal(rows, _NONE), None, rows))


def differ(previous: Values, current: Values) -> Mask:
    """Return the mask of rows whose two values differ and are not null, (N,)."""
    mask: Mask = pc.not_equal(previous, current).fill_null(False).to_numpy(zero_copy_only=False)
    return mask


def _pair_equal(files: pa.Table, records: pa.Table) -> tuple[Numbers, Numbers]:
    """Return the row numbers of pairs of equal rows, the first with the first, and so on."""
    equal = _number_equal(pa.concat_tables([files, records]))
    # No two rows of a table have the same number and the same count.
    own, others = (
        part * (len(equal) + 1) + _count_equal(part)
        for part in (equal[: len(files)], equal[len(files) :])
    )
    return np.intersect1d(own, others, assume_unique=True, return_indices=True)[1:]


def _number_equal(table: pa.Table) -> Numbers:
    """Return a number from 0 for each row, int64 (N,); only equal rows have equal numbers."""
    numbers = np.zeros(len(table), np.int64)
    for column in table.columns:
        codes = column.combine_chunks().dictionary_encode()
        numbers = numbers * len(codes.dictionary) + codes.indices.to_numpy()
    return np.unique(numbers, return_inverse=True)[1]


def _count_equal(numbers: Numbers) -> Numbers:
    """Return how many rows before each row have its number, int64 (N,)."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    counts = np.empty(len(numbers), np.int64)
    counts[order] = np.arange(len(numbers)) - np.searchsorted(ordered, ordered)
    return counts


def _without(table: pa.Table, rows: Numbers) -> pa.Table:
    return take_rows(table, np.delete(np.arange(len(table)), rows))
