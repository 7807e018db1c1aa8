"""What a TFRecord file holds, ours or anybody's, by its first records."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from records.compression import Compression, compression_of, open_records
from records.errors import DamagedError
from records.framing import HEADER_BYTES, read_frames
from records.reports.feature_facts import FeatureFacts, FeatureTally
from records.reports.payload import Payload, PayloadKind, parse_payload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from records.example import FeatureValue
    from records.storage import Storage

DEFAULT_LIMIT = 100


class FileDescription(msgspec.Struct, frozen=True):
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
    features: tuple[FeatureFacts, ...]
    damage: str | None = None


def describe_file(storage: Storage, name: str, *, limit: int = DEFAULT_LIMIT) -> FileDescription:
    """Look at the first `limit` records of a file, CRCs checked.

    Raises:
        FileNotFoundError: there is no such file.
    """
    facts = storage.facts(name)
    tallies: dict[str, FeatureTally] = {}
    payloads: Counter[PayloadKind] = Counter()
    damage, complete = None, False
    with storage.open(name) as stream:
        head = stream.read(HEADER_BYTES)
        stream.seek(0)
        try:
            complete = _tally(stream, limit, payloads, tallies)
        except DamagedError as error:
            damage = str(error)
    return FileDescription(
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
    tallies: dict[str, FeatureTally],
) -> bool:
    """Add up the first `limit` records; whether those are all."""
    frames = read_frames(open_records(stream))
    for frame in islice(frames, limit):
        payload = parse_payload(frame.payload)
        payloads[payload.kind] += 1
        _add(payload, tallies)
    return next(frames, None) is None


def _add(payload: Payload, tallies: dict[str, FeatureTally]) -> None:
    for name, values in payload.features.items():
        tallies.setdefault(name, FeatureTally(name)).add(values)
    for name, steps in payload.lists.items():
        tally = tallies.setdefault(f"{name}[]", FeatureTally(f"{name}[]"))
        tally.add(_flatten(steps), count=len(steps))


def _flatten(steps: Iterable[FeatureValue]) -> FeatureValue:
    return [value for step in steps for value in step]  # type: ignore[return-value]
