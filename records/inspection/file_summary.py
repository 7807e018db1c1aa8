"""What a TFRecord file holds, ours or anybody's, by its first records."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from records.errors import CorruptDataError
from records.format.payload import Payload, PayloadKind, parse_payload
from records.format.tfrecord import HEADER_BYTES, read_frames
from records.format.tfrecord_compression import Compression, compression_of, open_tfrecord
from records.inspection.feature_stats import FeatureAccumulator, FeatureStats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records.format.example import FeatureValue
    from records.storage import Storage

DEFAULT_LIMIT = 100


class FileSummary(msgspec.Struct, frozen=True):
    """A TFRecord file.

    Attributes:
        name: the file's.
        size_bytes: as it lies there.
        compression: `gzip`, `zlib` or None.
        records: how many records were looked at.
        complete: whether those are all.
        payloads: how many of them are an Example, a SequenceExample or other bytes.
        features: by name.
        damage: why no more records were looked at, where that is damage.
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
    """Look at the first `limit` records of a file, CRCs checked.

    Raises:
        FileNotFoundError: there is no such file.
    """
    facts = storage.stat(name)
    tallies: dict[str, FeatureAccumulator] = {}
    payloads: Counter[PayloadKind] = Counter()
    damage, complete = None, False
    with storage.open(name) as stream:
        head = stream.read(HEADER_BYTES)
        stream.seek(0)
        try:
            complete = _tally(stream, limit, payloads, tallies)
        except CorruptDataError as error:
            damage = str(error)
    return FileSummary(
        name=name,
        size_bytes=facts.size_bytes if facts is not None else 0,
        compression=compression_of(head),
        records=payloads.total(),
        complete=complete,
        payloads=dict(payloads),
        features=tuple(tallies[feature].facts() for feature in sorted(tallies)),
        damage=damage,
    )


def _tally(
    stream: BinaryIO,
    limit: int,
    payloads: Counter[PayloadKind],
    tallies: dict[str, FeatureAccumulator],
) -> bool:
    """Add up the first `limit` records; whether those are all."""
    frames = read_frames(open_tfrecord(stream))
    for frame in islice(frames, limit):
        payload = parse_payload(frame.payload)
        payloads[payload.kind] += 1
        _add(payload, tallies)
    return next(frames, None) is None


def _add(payload: Payload, tallies: dict[str, FeatureAccumulator]) -> None:
    for name, values in payload.features.items():
        tallies.setdefault(name, FeatureAccumulator(name)).add(values)
    for name, steps in payload.lists.items():
        tally = tallies.setdefault(f"{name}[]", FeatureAccumulator(f"{name}[]"))
        tally.add(_flatten(steps), count=len(steps))


def _flatten(steps: Iterable[FeatureValue]) -> FeatureValue:
    return [value for step in steps for value in step]  # type: ignore[return-value]
