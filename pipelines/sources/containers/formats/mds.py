"""Images in the samples of MDS shards, the files of MosaicML Streaming.

`records.exchange.mds` describes the format.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import xxhash

from pipelines.sources.cells import cell_text, require_short
from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import (
    Entry,
    Label,
    clean_name,
    image_extension,
    name_problem,
    refuse,
)
from pipelines.sources.containers.kinds import stem_of
from pipelines.sources.containers.member import Member
from records.errors import UsageError
from records.strict_json import decode_json
from records.text.escaping import escape_for_display

_MOST_SAMPLES = 1 << 24
_MOST_CONFIG_BYTES = 1 << 20
_MOST_SAMPLE_BYTES = 256 << 20
_IMAGE_ENCODINGS = ("jpeg", "png")
_IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "photo", "picture")
"""The names of columns of bytes that are images."""
_KEY_NAMES = ("key", "filename", "file_name", "path")
_LABEL_NAMES = ("class_name", "label", "class", "category", "target", "cls")
_LIST_NAMES = ("class_names", "labels", *_LABEL_NAMES)
_TEXTS = frozenset(("str", "str_int", "str_float", "json"))
_NUMBERS = {
    "int": "<q", "int8": "<b", "int16": "<h", "int32": "<i", "int64": "<q", "uint8": "<B",
    "uint16": "<H", "uint32": "<I", "uint64": "<Q", "float16": "<e", "float32": "<f",
    "float64": "<d",
}  # fmt: skip


class _Config(msgspec.Struct):
    """The configuration of a shard. The other encodings are not decoded, such as pickles."""

    version: int
    format: str
    column_names: list[str]
    column_encodings: list[str]
    column_sizes: list[int | None]


class _Columns(NamedTuple):
    """The columns of a shard: all, with their encodings and sizes, and those with a use."""

    encodings: Mapping[str, str]
    sizes: Mapping[str, int | None]
    image: str
    key: str | None
    label: str | None


def list_mds(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of a shard; each is a range of bytes in its sample.

    Raises:
        CorruptDataError: the file is damaged.
        UsageError: no column, or several ones, can be the image; or a column that the user names
            does not exist.
    """
    (samples,) = struct.unpack("<I", _read(data, 0, 4))
    if samples > _MOST_SAMPLES:
        raise damaged(data, f"it has over {_MOST_SAMPLES:,} samples")
    offsets = np.frombuffer(_read(data, 4, 4 * (samples + 1)), "<u4")
    config_at = 4 * (samples + 2)
    config = _read_config(data, config_at, int(offsets[0]) - config_at)
    columns = _choose_columns(config, data)
    stem = stem_of(data.container.key)
    for number, (begin, end) in enumerate(pairwise(map(int, offsets))):
        yield _entry(data, columns, b"%s/%08d" % (stem, number), begin, end)


def _read(data: ContainerBytes, offset: int, size_bytes: int) -> bytes:
    content = data.read(offset, size_bytes)
    if len(content) < size_bytes:
        raise damaged(data, "it ends early", offset)
    return content


def _read_config(data: ContainerBytes, offset: int, size_bytes: int) -> _Config:
    if not 0 < size_bytes <= _MOST_CONFIG_BYTES:
        raise damaged(data, "its configuration has an impossible size", 4)
    try:
        config = decode_json(_read(data, offset, size_bytes), _Config)
    except msgspec.DecodeError as error:
        raise damaged(data, f"its configuration is invalid: {error}", offset) from error
    names = config.column_names
    lengths = {len(names), len(set(names)), len(config.column_encodings), len(config.column_sizes)}
    is_valid = len(lengths) == 1 and all(size is None or size > 0 for size in config.column_sizes)
    if config.format != "mds" or config.version != 2 or not is_valid:
        raise damaged(data, "its configuration is not that of MDS version 2", offset)
    return config


def _choose_columns(config: _Config, data: ContainerBytes) -> _Columns:
    encodings = dict(zip(config.column_names, config.column_encodings, strict=True))
    wanted = data.wanted
    for flag, name in wanted.flags():
        _require_column(flag, name, encodings, data)
    images = [
        name for name, kind in encodings.items() if kind.partition(":")[0] in _IMAGE_ENCODINGS
    ] or [
        name for name, kind in encodings.items() if kind == "bytes" and name.lower() in _IMAGE_NAMES
    ]
    if len(images) != 1:
        raise UsageError(
            f"{'no column' if not images else 'more than one column'} of the MDS file has images",
            path=data.shown,
            expected="a column with the encoding jpeg or png, or with bytes and the name image",
            got=", ".join(f"{escape_for_display(it)} ({kind})" for it, kind in encodings.items()),
            hint="write the images again with one such column, or convert their folder",
        )
    label = None
    if wanted.label is not None:
        _require_column("--label-column", wanted.label, encodings, data)
        label = wanted.label
    elif wanted.has_labels:
        names = _LIST_NAMES if wanted.is_multi_label else _LABEL_NAMES
        label = next((it for it in names if _may_be_label(it, encodings, wanted.target)), None)
    key = next((name for name in _KEY_NAMES if encodings.get(name) == "str"), None)
    sizes = dict(zip(config.column_names, config.column_sizes, strict=True))
    return _Columns(encodings, sizes, images[0], key, label)


def _may_be_label(name: str, encodings: Mapping[str, str], target: str | None) -> bool:
    kind = encodings.get(name, "")
    return name != target and (kind in _TEXTS or kind in _NUMBERS) and "float" not in kind


def _require_column(
    flag: str, name: str, encodings: Mapping[str, str], data: ContainerBytes
) -> None:
    if encodings.get(name) not in _TEXTS | _NUMBERS.keys():
        raise UsageError(
            f"{flag} is not a column of the MDS file with texts or numbers",
            path=data.shown,
            expected=" or ".join(
                escape_for_display(it)
                for it, kind in encodings.items()
                if kind in _TEXTS or kind in _NUMBERS
            ),
            got=escape_for_display(name),
        )


def _entry(data: ContainerBytes, columns: _Columns, name: bytes, begin: int, end: int) -> Entry:
    if not 0 <= end - begin <= _MOST_SAMPLE_BYTES:
        raise damaged(data, "a sample has an impossible size", begin)
    places = _places(data, columns, begin, sample := _read(data, begin, end - begin))
    at, size_bytes = places[columns.image]
    image = sample[at : at + size_bytes]
    wanted = data.wanted
    used = [it for it in (columns.image, columns.key, columns.label) if it is not None]
    values = {
        column: _decode(columns.encodings[column], sample[first : first + size])
        for column, (first, size) in places.items()
        if column in {columns.key, columns.label} or wanted.keeps(column, used)
    }
    key = _key(values.get(columns.key or ""))
    if not image:
        return refuse(key or name, "its sample has no image")
    fields = wanted.cells(values, used)
    require_short(fields, f"{data.shown}: {name.decode('utf-8', 'replace')}")
    digest = xxhash.xxh3_128_digest(image)
    return Entry(
        key or name + image_extension(image),
        len(image),
        int.from_bytes(digest[:8], "big"),
        Member(data.number, begin + at, len(image), xxh3_128=digest),
        label=_label(columns, values, is_optional=wanted.is_label_optional),
        fields=fields,
    )


def _places(
    data: ContainerBytes, columns: _Columns, offset: int, sample: bytes
) -> dict[str, tuple[int, int]]:
    """Return the position and the size of the value of each column in a sample."""
    variable = [name for name, size in columns.sizes.items() if size is None]
    at = 4 * len(variable)
    if len(sample) < at:
        raise damaged(data, "a sample ends early", offset)
    given = dict(zip(variable, struct.unpack_from(f"<{len(variable)}I", sample), strict=True))
    places = {}
    for name, fixed in columns.sizes.items():
        size = given[name] if fixed is None else fixed
        places[name] = at, size
        at += size
    if at != len(sample):
        raise damaged(data, "the sizes of the columns of a sample are wrong", offset)
    return places


def _decode(encoding: str, content: bytes) -> object:
    """Return the value of a column; None if it is neither text, a number nor a list of them."""
    try:
        if encoding in _NUMBERS:
            (number,) = struct.unpack(_NUMBERS[encoding], content)
            return None if math.isnan(number) else number
        if encoding == "json":
            return decode_json(content, object)
        return content.decode() if encoding in _TEXTS else None
    except (struct.error, UnicodeDecodeError, msgspec.DecodeError):
        return None


def _key(value: object) -> bytes | None:
    name = clean_name(value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else b""
    return None if name_problem(name) else name


def _label(columns: _Columns, values: Mapping[str, object], *, is_optional: bool) -> Label | None:
    if columns.label is None:
        return "" if is_optional else None
    return cell_text(values.get(columns.label)) or ""
