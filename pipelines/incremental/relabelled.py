"""Files of a source with a class that `relabel` has replaced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.fingerprints import digest_labelling
from pipelines.incremental.matching import Mask
from records.format.edits import RelabelledRecord
from records.format.index import hash_group
from records.format.label_map import LabelMap
from records.runtime.row_table import iter_rows
from records.text.keys import key_from_text

_Labels = frozenset[int]


def find_corrected(
    images: pa.Table, previous: pa.Table, relabelled: Sequence[RelabelledRecord], labels: LabelMap
) -> Mask:
    """Return the mask of the images whose labels in the source were corrected in the dataset, (N,).

    They have labels that `relabel` has replaced, and the group of their record. The labels in the
    dataset are newer, and stay.

    Args:
        images: table of the listed images, as in `Sources`.
        previous: the row of `read_ingested_files` of each image.
        relabelled: the corrections of records, the oldest first.
        labels: the label map of the dataset.
    """
    is_corrected = np.zeros(len(images), bool)
    if not relabelled:
        return is_corrected
    numbers = {name: number for number, name in enumerate(labels)}
    replaced: dict[bytes, set[_Labels]] = defaultdict(set)
    current: dict[bytes, _Labels] = {}
    for record in relabelled:
        key = key_from_text(record.key)
        replaced[key].add(frozenset(numbers[name] for name in record.old_classes))
        current[key] = frozenset(numbers[name] for name in record.new_classes)
    is_relabelled = pc.is_in(previous["key"], value_set=pa.array(current, pa.large_binary()))
    rows = np.flatnonzero(is_relabelled.to_numpy())
    found = images.select(["label", "labels", "group"]).append_column("key", previous["key"])
    found = found.append_column("labelling", previous["labelling"]).take(rows)
    columns = ("key", "label", "labels", "group", "labelling")
    for row, (key, label, several, group, labelling) in zip(
        rows, iter_rows(found, *columns), strict=True
    ):
        has_group = digest_labelling([*current[key]], hash_group(group)) == labelling
        source = frozenset([label] if several is None else several)
        is_corrected[row] = has_group and source in replaced[key]
    return is_corrected
