"""One labelled image as a record holds it: ours by its own features, others' as a manifest says."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from records import schema
from records.errors import DamagedError
from records.example import decode_example, decode_scalars
from records.images.faults import explain_error
from records.images.headers import read_header
from records.images.options import MAX_PIXELS_LIMIT
from records.text import key_to_text, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from records.example import FeatureValue
    from records.images.headers import ImageHeader
    from records.labels import LabelMap
    from records.manifest import Adoption

T = TypeVar("T", bytes, int)


class Record(msgspec.Struct, frozen=True):
    """One labelled image.

    Attributes:
        image: the encoded image; for `raw`, uint8 height × width × channels.
        label: the class's number, from 0.
        text: the class's name.
        key: the path below the source, as text.
        format: `jpeg`, `png` or `raw`.
        width: pixels.
        height: pixels.
        channels: 1 or 3.
    """

    image: bytes
    label: int
    text: str
    key: str
    format: str
    width: int
    height: int
    channels: int


def decode_record(payload: bytes, *, record: int | None = None) -> Record:
    """A record from a serialized Example of this project's features.

    Raises:
        DamagedError: a feature is missing, has not exactly one value, or one of another type.
    """
    try:
        values = decode_scalars(payload, schema.FEATURES)
    except DamagedError as error:
        error.record = record
        raise
    try:
        return Record(
            image=values[schema.ENCODED],
            label=values[schema.LABEL],
            text=values[schema.TEXT].decode(),
            key=key_to_text(values[schema.FILENAME]),
            format=values[schema.FORMAT].decode(),
            width=values[schema.WIDTH],
            height=values[schema.HEIGHT],
            channels=values[schema.CHANNELS],
        )
    except UnicodeDecodeError as error:
        raise DamagedError("a record's text is not UTF-8", record=record) from error


@dataclass(frozen=True, slots=True)
class RecordDecoder:
    """Payloads to records, as a manifest says.

    Args:
        labels: the label map.
        adopted: how others' records are read; None for those of a conversion.
    """

    labels: LabelMap
    adopted: Adoption | None = None

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
            DamagedError: a feature is missing, has not exactly one value, or one of another type;
                or an adopted record's image has no good header.
        """
        if self.adopted is None:
            return decode_record(payload, record=record)
        try:
            return self._decode_adopted(payload, self.adopted, key or "")
        except DamagedError as error:
            error.record = record
            raise

    def _decode_adopted(self, payload: bytes, adopted: Adoption, key: str) -> Record:
        features, names = decode_example(payload), adopted.features
        image = _require(features, names.image, bytes)
        text = None if names.text is None else single(features, names.text, bytes)
        header = read_image_header(image)
        label = self._label(features, adopted)
        in_map = self.labels[label] if 0 <= label < len(self.labels) else ""
        return Record(
            image=image,
            label=label,
            text=class_text(text) or in_map,
            key=key if names.key is None else key_to_text(_require(features, names.key, bytes)),
            format=header.kind,
            width=header.width,
            height=header.height,
            channels=header.channels,
        )

    def _label(self, features: Mapping[str, FeatureValue], adopted: Adoption) -> int:
        names = adopted.features
        if names.label is not None:
            return _require(features, names.label, int) - adopted.first_label
        text = class_text(_require(features, names.text or "", bytes))
        return self.labels.index(text) if text in self.labels else -1


def single(features: Mapping[str, FeatureValue], name: str, kind: type[T]) -> T | None:
    """The value of a feature that has exactly one, of this type; None of any other."""
    values = features.get(name, [])
    value = values[0] if len(values) == 1 else None
    return value if isinstance(value, kind) else None


def class_text(text: bytes | None) -> str:
    """A class's name as the label map has it; "" where there is none."""
    return unicodedata.normalize("NFC", (text or b"").decode("utf-8", "replace"))


def read_image_header(image: bytes) -> ImageHeader:
    """What a whole image file says of itself. Raises DamagedError."""
    try:
        return read_header(image, MAX_PIXELS_LIMIT)
    except Exception as error:
        rejection = explain_error(error, image)
        raise DamagedError(f"image is {rejection.reason}: {rejection.detail}") from error


def _require(features: Mapping[str, FeatureValue], name: str, kind: type[T]) -> T:
    value = single(features, name, kind)
    if value is None:
        raise DamagedError(
            f"a record has no good feature {printable(name)}",
            expected=f"one value of type {kind.__name__}",
            got=f"{len(features.get(name, []))} values",
        )
    return value
