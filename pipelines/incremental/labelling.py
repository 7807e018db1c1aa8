"""Labels, groups and splits of images, to compare with a dataset."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.fingerprints import digest_labelling, digest_labels
from records.format.index import hash_group
from records.format.layout import SPLITS
from records.runtime.row_table import iter_rows


def list_labellings(images: pa.Table) -> pa.Array:
    """Return a digest of the labels and the group of each image of a source, int64 (N,).

    Args:
        images: table of label, labels and group, as in `Sources`.
    """
    digests = (
        digest_labelling([label] if labels is None else labels, hash_group(group))
        for label, labels, group in iter_rows(images, "label", "labels", "group")
    )
    return pa.array(digests, pa.int64())


def list_label_digests(images: pa.Table) -> pa.Array:
    """Return a digest of the labels of each image of a source, int64 (N,).

    Args:
        images: table of label and labels, as in `Sources`.
    """
    digests = (
        digest_labels([label] if labels is None else labels)
        for label, labels in iter_rows(images, "label", "labels")
    )
    return pa.array(digests, pa.int64())


def list_splits(images: pa.Table, *, is_train_divided: bool) -> pa.Array:
    """Return the number of the split that the source specifies for each image; null if none.

    Args:
        images: table of split, as in `Sources`.
        is_train_divided: whether images that the source assigns to train may be in another split.
    """
    splits = [None if split == "train" and is_train_divided else split for split in SPLITS]
    return pc.index_in(images["split"], value_set=pa.array(splits), skip_nulls=True)
