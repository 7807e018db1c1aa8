"""Summary of the first records of a TFRecord file from any program."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from records.errors import CorruptDataError
from records.format.example import Payload, PayloadKind, parse_payload
from records.format.tfrecord import HEADER_BYTES, read_frames
from records.format.tfrecord_compression import Compression, compression_of, open_tfrecord
from records.inspection.feature_stats import FeatureAccumulator, FeatureStats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records.format.example import FeatureValue
    from records.storage import Storage

DEFAULT_LIMIT = 100


class FileSummary(msgspec.Struct, frozen=True):
    """Summary of a TFRecord file.

    Attributes:
        name: the name of the file.
        size_bytes: the size of the file in storage.
        compression: the compression of the file: `gzip`, `zlib` or None.
        records: the number of records that were read.
        complete: whether all records of the file were read.
        payloads: the number of records of each kind: Example, SequenceExample or bytes.
        features: the statistics of the features, sorted by name.
        damage: the message of the error that ended the reading; None without an error.
    """

    name: str
    size_bytes: int
    compression: Compression | None
    records: int
    complete: bool
    payloads: dict[PayloadKind, int]
    features: tuple[FeatureStats, ...]
    damage: str | None = None


def summarize_file(storage: Storage, name: str, *, limit: int = DEFAULT_LIMIT) -> FileSummary:
    """Summarize the first `limit` records of a file, and verify their checksums.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    facts = storage.stat(name)
    features: dict[str, FeatureAccumulator] = {}
    payloads: Counter[PayloadKind] = Counter()
    damage, complete = None, False
    with storage.open(name) as stream:
        head = stream.read(HEADER_BYTES)
        stream.seek(0)
        try:
            complete = _accumulate(stream, limit, payloads, features)
        except CorruptDataError as error:
            damage = str(error)
    return FileSummary(
        name=name,
        size_bytes=facts.size_bytes if facts is not None else 0,
        compression=compression_of(head),
        records=payloads.total(),
        complete=complete,
        payloads=dict(payloads),
        features=tuple(features[feature].stats() for feature in sorted(features)),
        damage=damage,
    )


def _accumulate(
    stream: BinaryIO,
    limit: int,
    payloads: Counter[PayloadKind],
    features: dict[str, FeatureAccumulator],
) -> bool:
    """Add the first `limit` records; return whether the file has no more records."""
    frames = read_frames(open_tfrecord(stream))
    for frame in islice(frames, limit):
        payload = parse_payload(frame.payload)
        payloads[payload.kind] += 1
        _add(payload, features)
    return next(frames, None) is None


def _add(payload: Payload, features: dict[str, FeatureAccumulator]) -> None:
    for name, values in payload.features.items():
        features.setdefault(name, FeatureAccumulator(name)).add(values)
    for name, steps in payload.lists.items():
        accumulator = features.setdefault(f"{name}[]", FeatureAccumulator(f"{name}[]"))
        accumulator.add(_flatten(steps), count=len(steps))


def _flatten(steps: Iterable[FeatureValue]) -> FeatureValue:
    return [value for step in steps for value in step]  # type: ignore[return-value]
