"""Content of a record of any TFRecord file: Example, SequenceExample or bytes."""

from __future__ import annotations

from typing import Literal, NamedTuple

from records.errors import CorruptDataError
from records.format.example import FeatureValue, decode_sequence_example

PayloadKind = Literal["Example", "SequenceExample", "bytes"]


class Payload(NamedTuple):
    """The kind and the features of a record; for a SequenceExample, also its feature lists."""

    kind: PayloadKind
    features: dict[str, FeatureValue]
    lists: dict[str, list[FeatureValue]]


def parse_payload(payload: bytes) -> Payload:
    """Parse the content of a record of unknown kind. Never raises.

    The features of an Example and the context of a SequenceExample have the same field number, so
    one parser reads both. Arbitrary bytes may parse by chance; if they contain no features, they
    count as bytes. Only an empty payload counts as an Example without features.
    """
    try:
        features, lists = decode_sequence_example(payload)
    except CorruptDataError:
        return Payload("bytes", {}, {})
    if lists:
        return Payload("SequenceExample", features, lists)
    return Payload("Example" if features or not payload else "bytes", features, {})
