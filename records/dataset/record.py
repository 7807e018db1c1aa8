"""One labelled image as a record holds it: ours by its own features, others' as a manifest says."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from records.errors import CorruptDataError
from records.format import schema
from records.format.example import decode_example, decode_scalars
from records.format.image_options import MAX_PIXELS_LIMIT
from records.images.decoder_errors import rejection_from_error
from records.images.header import read_header
from records.text.escaping import escape_for_display
from records.text.keys import key_to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from records.format.example import FeatureValue
    from records.format.label_map import LabelMap
    from records.format.manifest import ExternalFormat
    from records.images.header import ImageHeader

T = TypeVar("T", bytes, int)


class Record(msgspec.Struct, frozen=True):
    """One labelled image.

    Attributes:
        image: the encoded image; for `raw`, uint8 height × width × channels.
        label: the class's number, from 0.
        class_name: the class's name.
        key: the path below the source, as text.
        format: `jpeg`, `png` or `raw`.
        width: pixels.
        height: pixels.
        channels: 1 or 3.
    """

    image: bytes
    label: int
    class_name: str
    key: str
    format: str
    width: int
    height: int
    channels: int


def decode_record(payload: bytes, *, record: int | None = None) -> Record:
    """A record from a serialized Example of this project's features.

    Raises:
        CorruptDataError: a feature is missing, has not exactly one value, or one of another type.
    """
    try:
        values = decode_scalars(payload, schema.FEATURES)
    except CorruptDataError as error:
        error.record = record
        raise
    try:
        return Record(
            image=values[schema.ENCODED],
            label=values[schema.LABEL],
            class_name=values[schema.TEXT].decode(),
            key=key_to_text(values[schema.FILENAME]),
            format=values[schema.FORMAT].decode(),
            width=values[schema.WIDTH],
            height=values[schema.HEIGHT],
            channels=values[schema.CHANNELS],
        )
    except UnicodeDecodeError as error:
        raise CorruptDataError("a record's text is not UTF-8", record=record) from error


@dataclass(frozen=True, slots=True)
class RecordDecoder:
    """Payloads to records, as a manifest says.

    Args:
        labels: the label map.
        adopted: how others' records are read; None for those of a conversion.
    """

    labels: LabelMap
    adopted: ExternalFormat | None = None

    @property
    def reads_adopted(self) -> bool:
        """Whether records are others': then the index tells which are of the dataset."""
        return self.adopted is not None

    def decode(
        self, payload: bytes, *, record: int | None = None, key: str | None = None
    ) -> Record:
        """A record from a serialized Example.

        Args:
            payload: the Example.
            record: its number, for messages.
            key: the index's, of a record that may have none itself.

        Raises:
            CorruptDataError: a feature is missing, has not exactly one value, or one of another type;
                or an adopted record's image has no good header.
        """
        if self.adopted is None:
            return decode_record(payload, record=record)
        try:
            return self._decode_adopted(payload, self.adopted, key or "")
        except CorruptDataError as error:
            error.record = record
            raise

    def _decode_adopted(self, payload: bytes, adopted: ExternalFormat, key: str) -> Record:
        features, names = decode_example(payload), adopted.features
        image = _require(features, names.image, bytes)
        text = None if names.text is None else single_value(features, names.text, bytes)
        header = read_image_header(image)
        label = self._label(features, adopted)
        in_map = self.labels[label] if 0 <= label < len(self.labels) else ""
        return Record(
            image=image,
            label=label,
            class_name=normalize_class_name(text) or in_map,
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
        text = normalize_class_name(_require(features, names.text or "", bytes))
        return self.labels.index(text) if text in self.labels else -1


def single_value(features: Mapping[str, FeatureValue], name: str, kind: type[T]) -> T | None:
    """The value of a feature that has exactly one, of this type; None of any other."""
    values = features.get(name, [])
    value = values[0] if len(values) == 1 else None
    return value if isinstance(value, kind) else None


def normalize_class_name(text: bytes | None) -> str:
    """A class's name as the label map has it; "" where there is none."""
    return unicodedata.normalize("NFC", (text or b"").decode("utf-8", "replace"))


def read_image_header(image: bytes) -> ImageHeader:
    """What a whole image file says of itself. Raises CorruptDataError."""
    try:
        return read_header(image, MAX_PIXELS_LIMIT)
    except Exception as error:
        rejection = rejection_from_error(error, image)
        raise CorruptDataError(f"image is {rejection.reason}: {rejection.detail}") from error


def _require(features: Mapping[str, FeatureValue], name: str, kind: type[T]) -> T:
    value = single_value(features, name, kind)
    if value is None:
        raise CorruptDataError(
            f"a record has no good feature {escape_for_display(name)}",
            expected=f"one value of type {kind.__name__}",
            got=f"{len(features.get(name, []))} values",
        )
    return value
