"""What a record of anybody's TFRecord file holds: an Example, a SequenceExample, or other bytes."""

from __future__ import annotations

from typing import Literal, NamedTuple

from records.errors import CorruptDataError
from records.format.example import FeatureValue, decode_sequence_example

PayloadKind = Literal["Example", "SequenceExample", "bytes"]


class Payload(NamedTuple):
    """A record's features; of a SequenceExample, the steps of its feature lists too."""

    kind: PayloadKind
    features: dict[str, FeatureValue]
    lists: dict[str, list[FeatureValue]]


def parse_payload(payload: bytes) -> Payload:
    """A record's content, whatever it is.

    An Example's only field lies where a SequenceExample has its context, so both are read as the
    latter. Bytes that parse, as some do by chance, but hold no feature are no Example; no bytes are
    an empty one.
    """
    try:
        features, lists = decode_sequence_example(payload)
    except CorruptDataError:
        return Payload("bytes", {}, {})
    if lists:
        return Payload("SequenceExample", features, lists)
    return Payload("Example" if features or not payload else "bytes", features, {})
