"""Parsing of Examples into images, labels and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from records.format.example import encode_example
from records.format.schema import DEFAULT_FEATURES, FeatureNames

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.format.columns import Column
    from records.format.label_map import LabelMap

_OWN_KEY = "shardmill/key"
_STRING = tf.io.FixedLenFeature((), tf.string)
_NUMBER = tf.io.FixedLenFeature((), tf.int64)


@dataclass(frozen=True)
class RecordParser:
    """The features that are read from a record.

    Args:
        names: the names of the features.
        first_label: the number of the first class in the records.
        classes: the class names, if records have no labels, or any number of them.
        multi_label: whether a record has any number of labels.
        target: the column of numbers whose values take the place of labels, if there is one.
    """

    names: FeatureNames = DEFAULT_FEATURES
    first_label: int = 0
    classes: LabelMap = ()
    multi_label: bool = False
    target: Column | None = None

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> RecordParser:
        """Return the parser for the images and labels of a dataset."""
        adopted = dataset.manifest.adopted
        if adopted is None:
            return cls(classes=dataset.labels, multi_label=dataset.is_multi_label)
        return cls(adopted.features, adopted.first_label, dataset.labels)

    @property
    def multi_hot(self) -> int:
        """The number of classes if labels are multi-hot; otherwise 0."""
        return len(self.classes) if self.multi_label else 0

    @property
    def needs_keys(self) -> bool:
        """Whether records do not contain their keys."""
        return self.names.key is None

    def parse(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return encoded images, strings (batch,), and labels from 0, int64 (batch,).

        Labels of records with any number of them are multi-hot, float32 (batch, classes). With a
        target, its values are returned, float32 (batch,).

        Raises:
            tf.errors.InvalidArgumentError: a record lacks a feature that the manifest names.
        """
        names = self.names
        if self.target is not None:
            value = tf.io.FixedLenFeature((), self.target.type)
            found = tf.io.parse_example(records, {names.image: _STRING, self.target.feature: value})
            return found[names.image], tf.cast(found[self.target.feature], tf.float32)
        if self.multi_label:
            wanted = {names.image: _STRING, names.label: tf.io.VarLenFeature(tf.int64)}
            found = tf.io.parse_example(records, wanted)
            labels = found[names.label]
            places = tf.stack([labels.indices[:, 0], labels.values], axis=1)
            shape = tf.stack([tf.size(records, tf.int64), len(self.classes)])
            hot = tf.scatter_nd(places, tf.ones_like(labels.values, tf.float32), shape)
            hot = tf.minimum(hot, 1)  # a damaged record may have a label twice
            return found[names.image], tf.ensure_shape(hot, (None, len(self.classes)))
        if names.label is not None:
            found = tf.io.parse_example(records, {names.image: _STRING, names.label: _NUMBER})
            return found[names.image], found[names.label] - self.first_label
        found = tf.io.parse_example(records, {names.image: _STRING, names.text: _STRING})
        # `adopt` checked that each text is a class name.
        matches = tf.equal(found[names.text][..., tf.newaxis], tf.constant(self.classes))
        return found[names.image], tf.argmax(matches, axis=-1)

    def parse_keys(self, records: tf.Tensor) -> tf.Tensor:
        """Return the keys that records contain or `append_key` added, as strings (batch,)."""
        name = self.names.key or _OWN_KEY
        return tf.io.parse_example(records, {name: _STRING})[name]


OUR_RECORDS = RecordParser()
"""The parser of records that `convert` wrote."""


def append_key(payload: bytes, key: bytes) -> bytes:
    """Add a key to a serialized Example. Protobuf parses concatenated messages as one message."""
    return payload + encode_example({_OWN_KEY: [key]})
