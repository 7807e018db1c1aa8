"""Labelled image, and the decoder that reads it from an Example.

Records of a conversion have the features that `records.format.schema` names; adopted records have
the features that the manifest names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import msgspec
import xxhash

from records.dataset.notebook import encode_png, record_html
from records.errors import CorruptDataError
from records.format import schema
from records.format.columns import (
    Columns,
    Value,
    column_features,
    decode_columns,
    encode_columns,
)
from records.format.example import decode_example, decode_scalars
from records.format.image_options import MAX_PIXELS_LIMIT
from records.format.label_map import LabelMap, label_ids
from records.format.tfrecord import HEADER_BYTES
from records.images.decoder_errors import corrupt_image_error
from records.images.features import is_example_of
from records.images.header import read_header
from records.images.normalize import decode_record_image
from records.images.thumbnail import decode_reduced
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize
from records.text.keys import key_from_text, key_to_text
from records.text.names import normalize_name

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from records.format.example import FeatureValue
    from records.format.index import IndexRow
    from records.format.manifest import ExternalFormat, Manifest
    from records.images.header import ImageHeader

T = TypeVar("T", bytes, int)
_SHOWN_CHARS = 120
_SHOWN_COLUMNS = 20


class Record(msgspec.Struct, frozen=True):
    """One labelled image.

    Attributes:
        image: the encoded image; for `raw`, uint8 samples of shape (height, width, channels).
        labels: the numbers of the classes, from 0; in a dataset with several labels per image, any
            number of them in ascending order, otherwise exactly one.
        class_names: the names of the classes.
        key: the path of the image file relative to the source, as text.
        format: the format of the image: `jpeg`, `png` or `raw`.
        width: the width in pixels.
        height: the height in pixels.
        channels: the number of channels: 1 (grey) or 3 (RGB).
        columns: the values of the columns of the list that the dataset keeps, by name: int, float
            (NaN for a missing number) or str.
    """

    image: bytes
    labels: tuple[int, ...]
    class_names: tuple[str, ...]
    key: str
    format: str
    width: int
    height: int
    channels: int
    columns: Mapping[str, Value] = {}

    @property
    def label(self) -> int:
        """The only label; -1 if the image has no label, or several labels."""
        return self.labels[0] if len(self.labels) == 1 else -1

    @property
    def class_name(self) -> str:
        """The name of the only class, or the names of all classes, separated by commas."""
        return ", ".join(self.class_names)

    def decode(self) -> NDArray[np.uint8]:
        """Decode the image to the pixels that a training run reads.

        Returns:
            An array of uint8 with shape (height, width, channels).

        Raises:
            CorruptDataError: the image cannot be decoded, or contradicts the other fields.
        """
        return decode_record_image(self.image, self.format, self.width, self.height, self.channels)

    def decode_reduced(
        self, side_px: int, shrink: Callable[[Image.Image], Image.Image]
    ) -> Image.Image:
        """Decode the image to RGB at a reduced size, and shrink it.

        Args:
            side_px: the size in pixels from which `shrink` needs no more detail.
            shrink: the function that gives the image its size.

        Raises:
            CorruptDataError: the image cannot be decoded, or contradicts the other fields.
        """
        size = self.width, self.height, self.channels
        return decode_reduced(
            self.image, self.format, *size, mode="RGB", side_px=side_px, shrink=shrink
        )

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_shorten(value)!r}" for name, value in self._summary())
        return f"Record({fields}, image=<{pluralize(len(self.image), 'byte')}>)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [*self._summary(), ("image", f"<{pluralize(len(self.image), 'byte')}>")]

    def _summary(self) -> list[tuple[str, object]]:
        own = ["label", "class_name"] if len(self.labels) == 1 else ["labels", "class_names"]
        names = ["key", *own, "format", "width", "height", "channels"]
        if self.columns:
            names.append("columns")
        return [(name, getattr(self, name)) for name in names]

    def _repr_png_(self) -> bytes | None:
        try:
            return encode_png(self)
        except CorruptDataError:
            return None  # a notebook then shows the text

    def _repr_html_(self) -> str:
        return record_html(self)


def _shorten(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _shorten(each) for name, each in islice(value.items(), _SHOWN_COLUMNS)}
    if isinstance(value, str) and len(value) > _SHOWN_CHARS:
        return f"{value[: _SHOWN_CHARS // 2]}…{value[-_SHOWN_CHARS // 2 :]}"
    return value


@lru_cache(maxsize=16)
def _features(columns: Columns) -> Mapping[str, type]:
    return {**schema.FEATURES, **column_features(columns)}


def decode_record(
    payload: bytes,
    *,
    columns: Columns = (),
    multi_label: bool = True,
    record: int | None = None,
) -> Record:
    """Return the record in a serialized Example that shardmill wrote.

    Args:
        payload: the serialized Example.
        columns: the columns of the dataset.
        multi_label: whether the record may have any number of labels; otherwise exactly one.
        record: the number of the record, for messages.

    Raises:
        CorruptDataError: a feature is missing, or does not have exactly one value of its type.
    """
    try:
        values = decode_scalars(payload, _features(columns), schema.LABEL_FEATURES)
        _check_labels(values, multi_label=multi_label)
    except CorruptDataError as error:
        error.record = record
        raise
    try:
        return Record(
            image=values[schema.ENCODED],
            labels=values[schema.LABEL],
            class_names=tuple(text.decode() for text in values[schema.TEXT]),
            key=key_to_text(values[schema.FILENAME]),
            format=values[schema.FORMAT].decode(),
            width=values[schema.WIDTH],
            height=values[schema.HEIGHT],
            channels=values[schema.CHANNELS],
            columns=decode_columns(columns, values),
        )
    except UnicodeDecodeError as error:
        raise CorruptDataError("a text in a record is not valid UTF-8", record=record) from error


def _check_labels(values: Mapping[str, tuple[object, ...]], *, multi_label: bool) -> None:
    """Raise CorruptDataError if a record has a wrong number of labels or names."""
    labels = len(values[schema.LABEL])
    for name in schema.LABEL_FEATURES:
        if len(values[name]) != labels or (labels != 1 and not multi_label):
            raise CorruptDataError(
                f"a record has no valid feature {name}",
                expected="one value per label" if multi_label else "one value",
                got=pluralize(len(values[name]), "value"),
            )


@dataclass(frozen=True, slots=True)
class RecordDecoder:
    """Decoder of serialized Examples to the records that the manifest describes.

    Args:
        labels: the label map.
        adopted: the features of adopted records; None for records of a conversion.
        columns: the columns of the dataset.
        multi_label: whether a record may have any number of labels.
    """

    labels: LabelMap
    adopted: ExternalFormat | None = None
    columns: Columns = ()
    multi_label: bool = False
    _numbers: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", label_ids(self.labels) if self.adopted else {})

    @classmethod
    def of(cls, manifest: Manifest) -> RecordDecoder:
        """Return the decoder of the records of a dataset."""
        settings = manifest.settings
        return cls(manifest.labels, manifest.adopted, settings.columns, settings.is_multi_label)

    @property
    def reads_adopted(self) -> bool:
        """Whether the records are adopted; the index then determines which of them are read."""
        return self.adopted is not None

    def decode(
        self, payload: bytes, *, record: int | None = None, key: str | None = None
    ) -> Record:
        """Return the record in a serialized Example.

        Args:
            payload: the serialized Example.
            record: the number of the record, for messages.
            key: the key from the index; used if an adopted dataset has no key feature.

        Raises:
            CorruptDataError: a feature is missing, or does not have exactly one value of its type;
                or the image header of an adopted record is invalid.
        """
        if self.adopted is None:
            return decode_record(
                payload, columns=self.columns, multi_label=self.multi_label, record=record
            )
        try:
            return self._decode_adopted(payload, self.adopted, key or "")
        except CorruptDataError as error:
            error.record = record
            raise

    def matches(self, payload: bytes, row: IndexRow) -> bool:
        """Return whether a serialized Example is the one that an index row describes."""
        image_at = row.image_offset - row.offset - HEADER_BYTES
        if self.reads_adopted:
            image = payload[max(image_at, 0) : image_at + row.stored_bytes]
            return str(xxhash.xxh3_128_hexdigest(image)) == row.source_xxh3_128
        labels = row.all_labels
        return all(0 <= label < len(self.labels) for label in labels) and is_example_of(
            payload,
            image_offset=image_at,
            image_bytes=row.stored_bytes,
            channels=row.channels,
            labels=labels,
            class_names=tuple(self.labels[label] for label in labels),
            key=key_from_text(row.key),
            columns=encode_columns(self.columns, list(row.columns.values())),
        )

    def _decode_adopted(self, payload: bytes, adopted: ExternalFormat, key: str) -> Record:
        features, names = decode_example(payload), adopted.features
        image = _require(features, names.image, bytes)
        class_name = None if names.text is None else single_value(features, names.text, bytes)
        header = read_image_header(image)
        label = self._label(features, adopted)
        name_in_map = self.labels[label] if 0 <= label < len(self.labels) else ""
        return Record(
            image=image,
            labels=(label,),
            class_names=(normalize_class_name(class_name) or name_in_map,),
            key=key if names.key is None else key_to_text(_require(features, names.key, bytes)),
            format=header.kind,
            width=header.width,
            height=header.height,
            channels=header.channels,
        )

    def _label(self, features: Mapping[str, FeatureValue], adopted: ExternalFormat) -> int:
        names = adopted.features
        if names.label is not None:
            return _require(features, names.label, int) - adopted.first_label
        class_name = normalize_class_name(_require(features, names.text or "", bytes))
        return self._numbers.get(class_name, -1)


def single_value(features: Mapping[str, FeatureValue], name: str, kind: type[T]) -> T | None:
    """Return the value of a feature; None if it does not have exactly one value of type `kind`."""
    values = features.get(name, [])
    value = values[0] if len(values) == 1 else None
    return value if isinstance(value, kind) else None


def normalize_class_name(name: bytes | None) -> str:
    """Return a class name in the form of the label map (NFC); "" for None."""
    return normalize_name((name or b"").decode("utf-8", "replace"))


def read_image_header(image: bytes) -> ImageHeader:
    """Read the header of an encoded image. Raises CorruptDataError."""
    try:
        return read_header(image, MAX_PIXELS_LIMIT)
    except Exception as error:
        raise corrupt_image_error(error, image) from error


def _require(features: Mapping[str, FeatureValue], name: str, kind: type[T]) -> T:
    value = single_value(features, name, kind)
    if value is None:
        values = features.get(name, [])
        found_type = f" of type {type(values[0]).__name__}" if values else ""
        raise CorruptDataError(
            f"a record has no valid feature {escape_for_display(name)}",
            expected=f"one value of type {kind.__name__}",
            got=pluralize(len(values), "value") + found_type,
        )
    return value
