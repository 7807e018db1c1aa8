"""Samples without a file format: MNIST's idx files, CIFAR's binary files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import xxhash

from pipelines.sources.containers.byte_window import ContainerBytes, damaged
from pipelines.sources.containers.entry import Entry, split_in_name
from pipelines.sources.containers.kinds import CIFAR_NAMES
from pipelines.sources.containers.member import ArrayShape, Member
from pipelines.sources.containers.stream import StreamBytes
from records.errors import UsageError
from records.text.escaping import escape_for_display
from records.text.formatting import pluralize

_UBYTE = 8
_MOST_IMAGES = 100_000_000
_MOST_SIDE = 1 << 16
_CIFAR_SHAPE = ArrayShape(32, 32, 3, is_planar=True)
_CIFAR_BYTES = 3072
_CIFAR_10_NAMES = ("label",)
_CIFAR_100_NAMES = ("coarse_label", "fine_label")
"""The bytes before the samples of an image. `coarse` and `fine` are other names."""


def list_cifar_file(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of a binary file of CIFAR. Raises CorruptDataError for any other file."""
    container = data.container
    images = list_cifar(data, container.key, 0, container.size_bytes)
    if images is None:
        raise damaged(data, "it is not a binary file of CIFAR-10 or CIFAR-100")
    yield from images


class Samples(NamedTuple):
    """Images of the same size, one after another.

    Attributes:
        offset: position of the first image.
        shape: shape of an image.
        labels: label of each image; None if there are none: the images have no class.
        stem: folder of the keys.
        stride: distance between images, in bytes; 0 if there is nothing between them.
    """

    offset: int
    shape: ArrayShape
    labels: Sequence[int] | None
    stem: bytes
    stride: int = 0


def sample_entry(data: ContainerBytes, samples: Samples, number: int, content: bytes) -> Entry:
    """Return the entry of an image with a number, from 0; `content` are its samples."""
    digest = xxhash.xxh3_128_digest(content)
    offset = samples.offset + number * (samples.stride or len(content))
    member = Member(data.number, offset, len(content), "array", 0, digest, samples.shape)
    fingerprint = int.from_bytes(digest[:8], "big")
    key = b"%s/%08d.png" % (samples.stem, number)
    label = "" if samples.labels is None else samples.labels[number]
    return Entry(key, len(content), fingerprint, member, label=label)


def list_idx(data: ContainerBytes) -> Iterator[Entry]:
    """Yield the images of an idx file, with the labels of the idx file next to it.

    Raises:
        CorruptDataError: a file is damaged, or has other values than bytes.
    """
    stream = StreamBytes(data)
    dimensions = _read_dimensions(stream)
    if len(dimensions) not in {3, 4}:
        raise damaged(data, f"it has {len(dimensions)} dimensions instead of 3 or 4")
    shape = array_shape(dimensions[1:])
    if shape is None or dimensions[0] > _MOST_IMAGES:
        raise damaged(data, f"its dimensions are {'x'.join(map(str, dimensions))}")
    name = data.container.key.rpartition(b"/")[2]
    stem = re.split(rb"[-_.]?images[-_.]idx", name, flags=re.IGNORECASE)[0] or b"images"
    if data.wanted.label is not None:
        raise UsageError(
            "--label-column does not apply to idx files",
            path=data.shown,
            expected="none, or the only label of each image, from the file labels-idx1-ubyte",
            got=escape_for_display(data.wanted.label),
            hint="omit --label-column",
        )
    labels = _read_labels(data, dimensions[0]) if data.wanted.has_labels else None
    samples = Samples(4 + 4 * len(dimensions), shape, labels, stem)
    length = size_of(shape)
    for number in range(dimensions[0]):
        content = stream.read(samples.offset + number * length, length)
        if len(content) < length:
            raise damaged(data, "it is cut short")
        yield sample_entry(data, samples, number, content)
    stream.copy_rest()


def array_shape(dimensions: Sequence[int]) -> ArrayShape | None:
    """Return the shape of an image of height, width and maybe channels; None if it is none."""
    height, width, channels = (*dimensions, 1)[:3]
    is_image = 0 < height < _MOST_SIDE and 0 < width < _MOST_SIDE and channels in {1, 3}
    return ArrayShape(height, width, channels, is_planar=False) if is_image else None


def _read_dimensions(stream: ContainerBytes) -> tuple[int, ...]:
    head = stream.read(0, 4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != _UBYTE:
        raise damaged(stream, "it is not an idx file of unsigned bytes", 0)
    sizes = stream.read(4, 4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise damaged(stream, "it is cut short", 4)
    return tuple(int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4))


def _read_labels(data: ContainerBytes, count: int) -> bytes | None:
    """Return the labels in the file next to a file of images; None if it does not exist."""
    key = data.container.key
    folder, separator, name = key.rpartition(b"/")
    other = re.sub(rb"images([-_.])idx[34]", rb"labels\1idx1", name)
    others = [other, other.removesuffix(b".gz"), other + b".gz"]
    found = next((it for n in others if (it := data.sibling(folder + separator + n))), None)
    if found is None:
        return None
    stream = StreamBytes(found)
    dimensions = _read_dimensions(stream)
    if dimensions != (count,):
        raise damaged(found, f"it does not have the labels of {pluralize(count, 'image')}")
    values = stream.read(8, count)
    if len(values) < count:
        raise damaged(found, "it is cut short", 8)
    return values


def list_cifar(
    data: ContainerBytes, key: bytes, start: int, size_bytes: int
) -> Iterator[Entry] | None:
    """Return the images of a binary file of CIFAR-10 or CIFAR-100; None for any other file.

    Args:
        data: the container.
        key: the path of the file.
        start: the position of the file in the container.
        size_bytes: the size of the file.
    """
    name = key.rpartition(b"/")[2]
    if name.decode("utf-8", "replace") not in CIFAR_NAMES:
        return None
    label_bytes = 2 if name in {b"train.bin", b"test.bin"} else 1  # CIFAR-100: coarse, fine
    stride = label_bytes + _CIFAR_BYTES
    count, rest = divmod(size_bytes, stride)
    if rest or not count:
        return None
    stem = name.removesuffix(b".bin")
    samples = Samples(start + label_bytes, _CIFAR_SHAPE, None, stem, stride)
    return _list_cifar(data, samples, label_bytes, count)


def _list_cifar(
    data: ContainerBytes, samples: Samples, label_bytes: int, count: int
) -> Iterator[Entry]:
    split = split_in_name(samples.stem)
    names = _CIFAR_100_NAMES if label_bytes > 1 else _CIFAR_10_NAMES
    place = label_bytes - 1
    if data.wanted.label is not None:
        place = _cifar_place("--label-column", data.wanted.label, names, data)
    kept = {name: _cifar_place(flag, name, names, data) for flag, name in data.wanted.flags()}
    if data.wanted.keeps_all:
        kept |= {name: at for at, name in enumerate(names) if at != place}
    for number in range(count):
        offset = samples.offset - label_bytes + number * samples.stride
        record = data.read(offset, samples.stride)
        if len(record) < samples.stride:
            raise damaged(data, "it is cut short", offset)
        entry = sample_entry(data, samples, number, record[label_bytes:])
        label = str(record[place]).zfill(label_bytes) if data.wanted.has_labels else ""
        fields = {name: str(record[at]) for name, at in kept.items()}
        yield entry._replace(label=label, split=split, fields=fields)


def _cifar_place(flag: str, name: str, names: tuple[str, ...], data: ContainerBytes) -> int:
    """Return the place of a label in a record, from 0. Raises UsageError if it does not exist."""
    full = name if name in names else f"{name}_label"
    if full not in names:
        raise UsageError(
            f"{flag} is not a label of the CIFAR file",
            path=data.shown,
            expected=", ".join(names),
            got=escape_for_display(name),
        )
    return names.index(full)


def expand_cifar(entries: Iterator[Entry], data: ContainerBytes) -> Iterator[Entry]:
    """Yield entries of a TAR archive, with the images of CIFAR's binary files in their place."""
    for entry in entries:
        images = None
        if entry.member is not None:
            images = list_cifar(data, entry.key, entry.member.file_offset, entry.size_bytes)
        if images is None:
            yield entry
        else:
            yield from images


def size_of(shape: ArrayShape) -> int:
    """Return the number of bytes of an image."""
    return math.prod((shape.height, shape.width, shape.channels))
