"""The same folder of pictures in each form of container."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from records.format.example import encode_example
from records.format.tfrecord import frame_bytes


def files_of(folder: Path) -> list[tuple[str, bytes]]:
    """Return the files of a folder by their keys."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]


def tar_bytes(files: Iterable[tuple[str, bytes]], mode: str = "w", **options: object) -> bytes:
    """Return a TAR archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode, **options) as archive:  # type: ignore[call-overload]
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def zip_bytes(files: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a ZIP archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return content.getvalue()


def by_class(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Return the files of each class folder, without the class in their keys."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for key, data in files_of(folder):
        name, _, rest = key.partition("/")
        found.setdefault(name, []).append((rest, data))
    return found


def _zip(folder: Path, place: Path, compression: int) -> str:
    (place / "photos.zip").write_bytes(zip_bytes(files_of(folder), compression))
    return "photos.zip"


def _zip_with_prefix(folder: Path, place: Path) -> str:
    """Write an archive after the bytes of a program, with a comment, in a common top folder."""
    path = place / "photos.ZIP"
    path.write_bytes(b"#!/bin/sh\nexit\n")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"PK\5\6 is how the end begins"
        for key, data in files_of(folder):
            archive.writestr(f"photos/{key}", data)
    return path.name


def _zip_streamed(folder: Path, place: Path) -> str:
    """Write an archive whose local headers have no sizes, as a pipe needs it."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, data in files_of(folder):
            with archive.open(key, "w", force_zip64=True) as member:
                member.write(data)
    (place / "photos.zip").write_bytes(bytes(pipe.data))
    return "photos.zip"


def _tar(folder: Path, place: Path, format: int) -> str:  # noqa: A002 - the name of the argument
    files = [(f"./photos/{key}", data) for key, data in files_of(folder)]
    (place / "photos.tar").write_bytes(tar_bytes(files, format=format))
    return "photos.tar"


def _compressed_tar(folder: Path, place: Path, suffix: str) -> str:
    """Write an archive of archives that is compressed."""
    inner = [(f"{name}.tar", tar_bytes(files)) for name, files in by_class(folder).items()]
    content = tar_bytes(inner)
    compress: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": _zstd,
    }
    (place / f"photos.tar.{suffix}").write_bytes(compress[suffix](content))
    return f"photos.tar.{suffix}"


def _zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as compressed:
        compressed.write(content)
    return bytes(sink.getvalue())


def _two_streams(folder: Path, place: Path) -> str:
    """Write a file of two gzip streams, as parallel compressors do."""
    content = tar_bytes((f"photos/{key}", data) for key, data in files_of(folder))
    half = len(content) // 2
    parts = gzip.compress(content[:half]), gzip.compress(content[half:])
    (place / "photos.tgz").write_bytes(b"".join(parts))
    return "photos.tgz"


def parquet_bytes(
    rows: Iterable[tuple[str | None, bytes | None, object]],
    names: list[str] | None = None,
    **options: Any,
) -> bytes:
    """Return a Parquet file as Hugging Face writes it: path, bytes and label of each image."""
    listed = list(rows)
    image = [{"bytes": data, "path": path} for path, data, _ in listed]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({"image": pa.array(image, kind), "label": [label for *_, label in listed]})
    label = {"names": names, "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, **({"label": label} if names else {})}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), sink, **options)
    return sink.getvalue()


def _parquet(folder: Path, place: Path) -> str:
    """Write two files with row groups of several images, and numbers as labels."""
    names = sorted(by_class(folder))
    rows = [(key, data, names.index(key.partition("/")[0])) for key, data in files_of(folder)]
    (place / "data").mkdir()
    for number, part in enumerate((rows[::2], rows[1::2])):
        path = place / "data" / f"train-{number:05}-of-00002.parquet"
        path.write_bytes(parquet_bytes(part, names, row_group_size=5))
    return "data"


def tfrecord_bytes(rows: Iterable[tuple[str, bytes, str]]) -> bytes:
    """Return a TFRecord file as TF-Slim writes it: path, bytes and class name of each image."""
    names = ("image/filename", "image/encoded", "image/class/text")
    values = ([path.encode(), data, label.encode()] for path, data, label in rows)
    features = [dict(zip(names, ([it] for it in row), strict=True)) for row in values]
    return b"".join(frame_bytes(encode_example(each)) for each in features)


def _tfrecord(folder: Path, place: Path, name: str) -> str:
    """Write two files, as TensorFlow Datasets names them."""
    rows = [(key, data, key.partition("/")[0]) for key, data in files_of(folder)]
    (place / "records").mkdir()
    for number in range(2):
        content = tfrecord_bytes(rows[number::2])
        is_compressed = name.endswith(".gz")
        path = place / "records" / name.format(number)
        path.write_bytes(gzip.compress(content) if is_compressed else content)
    return "records"


def mds_bytes(columns: dict[str, str], rows: Iterable[tuple[bytes, ...]]) -> bytes:
    """Return an MDS shard: the encoding of each column, and the encoded values of each sample."""
    fixed = {"int": 8, "float32": 4}
    sizes = [fixed.get(encoding) for encoding in columns.values()]
    config = {
        "version": 2, "format": "mds", "column_names": [*columns],
        "column_encodings": [*columns.values()], "column_sizes": sizes,
    }  # fmt: skip
    samples = []
    for row in rows:
        lengths = [len(it) for it, size in zip(row, sizes, strict=True) if size is None]
        samples.append(struct.pack(f"<{len(lengths)}I", *lengths) + b"".join(row))
    text = json.dumps(config).encode()
    offsets = [4 * (len(samples) + 2) + len(text)]
    for sample in samples:
        offsets.append(offsets[-1] + len(sample))
    head = struct.pack(f"<{len(offsets) + 1}I", len(samples), *offsets)
    return head + text + b"".join(samples)


def _mds(folder: Path, place: Path) -> str:
    """Write two files, as MosaicML Streaming names them."""
    rows = [(key.encode(), data, key.partition("/")[0].encode()) for key, data in files_of(folder)]
    (place / "records").mkdir()
    for number in range(2):
        columns = {"filename": "str", "image": "bytes", "label": "str"}
        path = place / "records" / f"shard.{number:05}.mds"
        path.write_bytes(mds_bytes(columns, rows[number::2]))
    return "records"


def _tar_of_command(folder: Path, place: Path) -> str:
    """Write an archive that also has entries of folders, and owners and times of its files."""
    with tarfile.open(place / "photos.tar", "w") as archive:
        archive.add(folder, "photos")
    return "photos.tar"


def _tar_in_tar(folder: Path, place: Path) -> str:
    inner = [(f"{name}.tar", tar_bytes(files)) for name, files in by_class(folder).items()]
    (place / "train.tar").write_bytes(tar_bytes(inner))
    return "train.tar"


def _folder_of_containers(folder: Path, place: Path) -> str:
    (place / "archives").mkdir()
    write = (("tar", tar_bytes), ("zip", zip_bytes))
    for number, (name, files) in enumerate(by_class(folder).items()):
        suffix, make = write[number % 2]
        (place / "archives" / f"{name}.{suffix}").write_bytes(make(files))
    return "archives"


def _pattern(folder: Path, place: Path) -> str:
    """Write archives that each have a part of every class."""
    for number in range(3):
        files = files_of(folder)[number::3]
        (place / f"photos-{number}.tar").write_bytes(tar_bytes(files))
    (place / "other.tar").write_bytes(tar_bytes([("cat/other.png", b"not an image")]))
    return "photos-*.tar"


def _samples(folder: Path) -> list[tuple[str, bytes]]:
    """Return the files with the name of its class after each."""
    found = []
    for key, data in files_of(folder):
        name, _, base = key.rpartition("/")
        label = key.partition("/")[0].encode()
        found += [(key, data), (f"{name}/{base.partition('.')[0]}.cls", label)]
    return found


def _webdataset(folder: Path, place: Path) -> str:
    samples = _samples(folder)
    for number in range(2):
        part = samples[: len(samples) // 4 * 2] if number else samples[len(samples) // 4 * 2 :]
        (place / f"shard-{number:06}.tar").write_bytes(tar_bytes(part))
    return "shard-*.tar"


Form = Callable[[Path, Path], str]
"""A function that writes the files of a folder into another one, and returns the source there."""

FORMS: dict[str, Form] = {
    "zip": lambda folder, place: _zip(folder, place, zipfile.ZIP_STORED),
    "zip-deflated": lambda folder, place: _zip(folder, place, zipfile.ZIP_DEFLATED),
    "zip-with-prefix": _zip_with_prefix,
    "zip-streamed": _zip_streamed,
    "tar-pax": lambda folder, place: _tar(folder, place, tarfile.PAX_FORMAT),
    "tar-gnu": lambda folder, place: _tar(folder, place, tarfile.GNU_FORMAT),
    "tar-ustar": lambda folder, place: _tar(folder, place, tarfile.USTAR_FORMAT),
    "tar-of-command": _tar_of_command,
    "tar-in-tar": _tar_in_tar,
    "folder-of-containers": _folder_of_containers,
    "pattern": _pattern,
    "webdataset": _webdataset,
    "parquet": _parquet,
    "tfrecord": lambda folder, place: _tfrecord(folder, place, "a.tfrecord-0000{}-of-00002"),
    "tfrecord-gz": lambda folder, place: _tfrecord(folder, place, "a-{}.tfrecord.gz"),
    "mds": _mds,
    "tar-gz": lambda folder, place: _compressed_tar(folder, place, "gz"),
    "tar-bz2": lambda folder, place: _compressed_tar(folder, place, "bz2"),
    "tar-xz": lambda folder, place: _compressed_tar(folder, place, "xz"),
    "tar-zst": lambda folder, place: _compressed_tar(folder, place, "zst"),
    "tgz-of-two-streams": _two_streams,
}
