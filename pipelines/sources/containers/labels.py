"""Images with labels from their containers: keys and splits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.sources.containers.entry import is_image_name, split_in_name
from pipelines.sources.containers.kinds import stem_of
from pipelines.sources.containers.part import Given, Part
from pipelines.sources.walk import Listing
from records.format.layout import SplitName, parse_split
from records.runtime.row_table import iter_rows


def label_images(
    listing: Listing, parts: Sequence[Part], containers: Sequence[bytes]
) -> list[Given]:
    """Keep the images of a listing, make their keys unique, and return what containers give them.

    Args:
        listing: the files of all parts, with their paths in the containers as keys.
        parts: the parts, in the order of the files.
        containers: the keys of the containers.
    """
    table = listing.files.to_table()
    given = [each for part in parts for each in part.given]
    numbers = np.repeat(
        np.array([part.container for part in parts], np.int64),
        [len(part.given) for part in parts],
    )
    rows = zip(iter_rows(table, "key"), given, strict=True)
    is_image = np.array([is_image_name(key) or each.label is not None for (key,), each in rows])
    for (key,) in iter_rows(table.filter(pa.array(~is_image)), "key"):
        listing.skipped.add(key, "not-an-image")
    listing.refused += [refused for part in parts for refused in part.refused]
    listing.files.filter(pa.array(is_image))
    keys = listing.files.to_table()["key"].combine_chunks()
    unique = _unique_keys(keys, numbers[is_image], containers)
    listing.files.set_column("key", pa.chunked_array([unique]))
    splits = list(map(_split_of, containers))
    kept = [
        given[row]._replace(split=given[row].split or splits[numbers[row]])
        for row in np.flatnonzero(is_image).tolist()
    ]
    found = {each.split for each in kept}
    # If there is only one split, the options can divide it.
    has_splits = None not in found and len(found) > 1
    return kept if has_splits else [each._replace(split=None) for each in kept]


def _unique_keys(
    keys: pa.Array, numbers: NDArray[np.int64], containers: Sequence[bytes]
) -> pa.Array:
    """Return keys of which no two are the same: with containers or numbers in them if necessary.

    Args:
        keys: the paths in the containers, (N,).
        numbers: the number of the container of each image, (N,).
        containers: the keys of the containers.
    """
    if _are_unique(keys):
        return keys
    names = list(map(_folder_of, containers))
    folders = pa.array(names, pa.large_binary()).take(pa.array(numbers))
    separator = pa.scalar(b"/", pa.large_binary())
    longer = pc.binary_join_element_wise(folders, keys, separator)
    if _are_unique(longer):
        return longer
    starts = np.searchsorted(numbers, numbers)  # images of a container are adjacent
    ends = (
        b"%08d%s" % (row, key[key.rfind(b".") :] if is_image_name(key) else b"")
        for row, key in zip((np.arange(len(keys)) - starts).tolist(), keys.to_pylist(), strict=True)
    )
    return pc.binary_join_element_wise(folders, pa.array(ends, pa.large_binary()), separator)


def _folder_of(container: bytes) -> bytes:
    folder, separator, _ = container.rpartition(b"/")
    return folder + separator + stem_of(container)


def _are_unique(keys: pa.Array) -> bool:
    return int(pc.count_distinct(keys).as_py()) == len(keys)


def _split_of(container: bytes) -> SplitName | None:
    """Return the split in the name of a container, or of its folder: `val/0000.parquet`."""
    folder = container.rpartition(b"/")[0].rpartition(b"/")[2]
    return split_in_name(stem_of(container)) or parse_split(folder)
