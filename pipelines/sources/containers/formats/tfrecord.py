"""Images in the records of third-party TFRecord files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
import xxhash

from pipelines.sources.cells import MOST_LABELS, require_short
from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import (
    Entry,
    clean_name,
    image_extension,
    name_problem,
    refuse,
)
from pipelines.sources.containers.formats.features import (
    column_name,
    is_hidden_by_column,
    kept_fields,
    require_features,
)
from pipelines.sources.containers.kinds import stem_of
from pipelines.sources.containers.member import Member
from pipelines.sources.containers.stream import StreamBytes
from records.adopt.infer_schema import choose_features
from records.errors import CorruptDataError, UsageError
from records.format.example import FeatureValue, decode_example
from records.format.schema import FeatureNames
from records.format.tfrecord import (
    FOOTER_BYTES,
    HEADER_BYTES,
    check_payload,
    frame_size_bytes,
    payload_length,
)
from records.inspection.feature_stats import FeatureAccumulator

_SAMPLE_RECORDS = 100
_SAMPLE_BYTES = 64 << 20
_MOST_RECORD_BYTES = 256 << 20


class ExampleRecord(NamedTuple):
    """A record: the position of its payload, the payload, and its features."""

    offset: int
    payload: bytes
    features: dict[str, FeatureValue]


def list_tfrecords(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of the records of a file; each is a range of bytes in its record.

    Raises:
        CorruptDataError: a record is damaged, or is not an Example.
        UsageError: no feature has an image per record, or no feature has its class.
    """
    yield from list_examples(_read_records(data), data)


def list_examples(records: Iterator[ExampleRecord], data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of records.

    Args:
        records: the records, with the positions of their payloads in the file or its unpacked copy.
        data: the file.

    Raises:
        UsageError: no feature has an image per record, or no feature has its class.
    """
    sample: list[ExampleRecord] = []
    for record in records:
        sample.append(record)
        sample_bytes = sum(len(it.payload) for it in sample)
        if len(sample) == _SAMPLE_RECORDS or sample_bytes > _SAMPLE_BYTES:
            break
    if not sample:
        return
    names = _choose_features(sample, data)
    stem = stem_of(data.container.key)
    for number, record in enumerate(chain(sample, records)):
        yield _entry(data, record, names, stem, number)


def list_compressed_tfrecords(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of a compressed file. Raises as `list_tfrecords`."""
    stream = StreamBytes(data)
    yield from list_tfrecords(stream)
    stream.copy_rest()


def _entry(
    data: ContainerBytes, record: ExampleRecord, names: FeatureNames, stem: bytes, number: int
) -> Entry:
    image = _first(record.features, names.image)
    key = _key(record.features, names)
    if not image:
        return refuse(key or b"%s/%08d" % (stem, number), "its record has no image")
    where = f"{data.shown} record {number}"
    digest = xxhash.xxh3_128_digest(image)
    offset = record.offset + record.payload.index(image)
    member = Member(data.number, offset, len(image), xxh3_128=digest)
    key = key or b"%s/%08d%s" % (stem, number, image_extension(image))
    label = _label(record.features, names, where)
    fields = kept_fields(record.features, names, data.wanted)
    require_short(fields, where)
    fingerprint = int.from_bytes(digest[:8], "big")
    return Entry(key, len(image), fingerprint, member, label=label, fields=fields)


def _read_records(data: ContainerBytes) -> Iterator[ExampleRecord]:
    at = number = 0
    while header := data.read(at, HEADER_BYTES):
        try:
            length = payload_length(header, record=number, offset=at)
            if length > _MOST_RECORD_BYTES:
                raise damaged(data, f"a record has over {_MOST_RECORD_BYTES:,} bytes", at)
            payload = data.read(at + HEADER_BYTES, length)
            footer = data.read(at + HEADER_BYTES + length, FOOTER_BYTES)
            check_payload(payload, footer, length, record=number, offset=at)
            yield ExampleRecord(at + HEADER_BYTES, payload, decode_example(payload))
        except CorruptDataError as error:
            if error.path is None:
                raise damaged(data, f"{error.what} (record {number})", at) from error
            raise
        at += frame_size_bytes(length)
        number += 1


def _choose_features(sample: Sequence[ExampleRecord], data: ContainerBytes) -> FeatureNames:
    found: dict[str, FeatureAccumulator] = {}
    for record in sample:
        for name, values in record.features.items():
            found.setdefault(name, FeatureAccumulator(name)).add(values)
    wanted = data.wanted
    require_features(wanted, found, data.shown)
    stats = {name: feature.stats() for name, feature in found.items()}
    requested: dict[str, str] = {}
    if (column := wanted.label) is not None:
        is_number = column in stats and stats[column].kind == "int64"
        requested = {"label" if is_number else "text": column}
    candidates = [
        it
        for name, it in stats.items()
        if column_name(name) != wanted.target or is_hidden_by_column(name, stats)
    ]
    try:
        names = choose_features(
            stats.values() if requested else candidates,
            requested,
            path=data.shown,
            has_several_labels=wanted.is_multi_label,
            needs_class=not wanted.is_label_optional,
        )
    except UsageError as error:
        raise UsageError(
            error.what,
            path=data.shown,
            got=error.got,
            hint="name the feature of the class with --label-column NAME, and pass --multi-label if"
            " it has several values; or name that of a number to predict with --target-column NAME",
        ) from error
    if requested or not wanted.has_labels:  # no other feature is a label
        return FeatureNames(names.image, requested.get("label"), requested.get("text"), names.key)
    if names.label is not None and not any(_texts(record.features, names) for record in sample):
        return msgspec.structs.replace(names, text=None)
    return names


def _label(
    features: dict[str, FeatureValue], names: FeatureNames, where: str
) -> str | tuple[str, ...]:
    """Return the names of classes, or their numbers as texts; empty if the record has none.

    If the file has names, a number is not a class: many files have the number 0 without a name in
    images without a label. Raises UsageError if there are too many labels.
    """
    name = names.label if names.text is None else names.text
    values = () if name is None else features.get(name, ())
    if len(values) > MOST_LABELS:
        raise UsageError(
            "an image has too many labels",
            path=where,
            expected=f"at most {MOST_LABELS:,}",
            got=len(values),
        )
    if names.text is not None:
        found = _texts(features, names)
    else:
        found = tuple(str(number) for number in values if isinstance(number, int))
    return found if len(found) > 1 else "".join(found)


def _texts(features: dict[str, FeatureValue], names: FeatureNames) -> tuple[str, ...]:
    """Return the names of classes that a record has."""
    texts = () if names.text is None else features.get(names.text, ())
    found = (text.decode("utf-8", "replace").strip() for text in texts if isinstance(text, bytes))
    return tuple(filter(None, found))


def _key(features: dict[str, FeatureValue], names: FeatureNames) -> bytes | None:
    name = None if names.key is None else _first(features, names.key)
    cleaned = None if name is None else clean_name(name)
    return None if cleaned is None or name_problem(cleaned) else cleaned


def _first(features: dict[str, FeatureValue], name: str) -> bytes | None:
    """Return the first value of a feature, if it is bytes."""
    value = next(iter(features.get(name, ())), None)
    return value if isinstance(value, bytes) else None
