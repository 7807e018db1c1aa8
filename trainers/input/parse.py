"""Serialized Examples to images, labels and keys, by the names that a dataset's manifest has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from records.format.example import encode_example
from records.format.schema import DEFAULT_FEATURES, FeatureNames

if TYPE_CHECKING:
    from records.dataset import Dataset
    from records.format.label_map import LabelMap

_OWN_KEY = "shardmill/key"
_STRING = tf.io.FixedLenFeature((), tf.string)
_NUMBER = tf.io.FixedLenFeature((), tf.int64)


@dataclass(frozen=True)
class RecordParser:
    """What is read of a record, and by which names.

    Args:
        names: of the features.
        first_label: the number of the first class in the records.
        classes: their names, where records tell a class by its name alone.
    """

    names: FeatureNames = DEFAULT_FEATURES
    first_label: int = 0
    classes: LabelMap = ()

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> RecordParser:
        """The parser of a dataset's records."""
        adopted = dataset.manifest.adopted
        if adopted is None:
            return cls()
        return cls(adopted.features, adopted.first_label, dataset.labels)

    @property
    def needs_keys(self) -> bool:
        """Whether records have no keys of their own."""
        return self.names.key is None

    def parse(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Strings (batch,) to encoded images, strings (batch,), and labels from 0, int64 (batch,).

        Raises:
            tf.errors.InvalidArgumentError: a record has not what the manifest says.
        """
        names = self.names
        if names.label is not None:
            found = tf.io.parse_example(records, {names.image: _STRING, names.label: _NUMBER})
            return found[names.image], found[names.label] - self.first_label
        found = tf.io.parse_example(records, {names.image: _STRING, names.text: _STRING})
        # The adoption saw that each name is a class's.
        matches = tf.equal(found[names.text][..., tf.newaxis], tf.constant(self.classes))
        return found[names.image], tf.argmax(matches, axis=-1)

    def parse_keys(self, records: tf.Tensor) -> tf.Tensor:
        """The raw keys of records, strings (batch,); of those with none, what `append_key` added."""
        name = self.names.key or _OWN_KEY
        return tf.io.parse_example(records, {name: _STRING})[name]


OUR_RECORDS = RecordParser()
"""Of records that a conversion wrote."""


def append_key(payload: bytes, key: bytes) -> bytes:
    """An Example with its key: serialized messages of one kind that follow each other are one."""
    return payload + encode_example({_OWN_KEY: [key]})
