"""Images in ArrayRecord files, as the library writes them."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import list_sources
from pipelines.sources.containers.formats import riegeli
from records.errors import CorruptDataError, ShardmillError
from records.format.example import encode_example
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture

SIZES = ((6, 5), (200, 150), (6, 5), (400, 300), (30, 20))
"""The sizes of images in pixels: the files of two of them are longer than a block."""
IMAGES = {
    f"{('cat', 'dog')[number % 2]}/{number}.png": make_picture(number, size=size)
    for number, size in enumerate(SIZES)
}


def write(path: Path, options: str, images: dict[str, bytes]) -> Path:
    library = pytest.importorskip("array_record.python.array_record_module")
    path.parent.mkdir(exist_ok=True)
    writer = library.ArrayRecordWriter(str(path), options)
    for key, content in images.items():
        features: dict[str, Any] = {
            "image/filename": [key.encode()],
            "image/encoded": [content],
            "image/class/text": [key.partition("/")[0].encode()],
        }
        writer.write(encode_example(features))
    writer.close()
    return path


@pytest.mark.parametrize(
    "options",
    [
        "group_size:1",
        "group_size:3,uncompressed",
        "group_size:100,brotli:3",
        "group_size:2,zstd:5",
        "group_size:1,pad_to_block_boundary:true",
    ],
)
def test_array_record_gives_bytes_of_folder(tmp_path: Path, convert: Convert, options: str) -> None:
    for key, content in IMAGES.items():
        make_file(tmp_path / "photos", key, content)
    convert(source=str(tmp_path / "photos"), output=str(tmp_path / "expected"))
    numbered = list(IMAGES.items())
    for number in range(2):
        name = f"shards/x-train.array_record-0000{number}-of-00002"
        write(tmp_path / name, options, dict(numbered[number::2]))
    convert(source=str(tmp_path / "shards"))
    assert content_of(tmp_path / "data") == content_of(tmp_path / "expected")


@pytest.mark.parametrize("images", [0, 1, 70])
def test_array_record_of_any_number_of_images_is_listed(tmp_path: Path, images: int) -> None:
    library = pytest.importorskip("array_record.python.array_record_module")
    content = {f"cat/{number}.png": make_picture(number) for number in range(images)}
    path = write(tmp_path / "a.array_record", "group_size:1", content)
    if not images:
        assert library.ArrayRecordReader(str(path)).num_records() == 0
        return
    found = list_sources(ConvertOptions(source=str(path), output=""))
    assert {image.key.decode() for image in found.images} == content.keys()


def test_array_record_compression_that_is_not_supported_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.array_record", "group_size:1,snappy", IMAGES)
    with pytest.raises(CorruptDataError, match="the compression 's' is not supported"):
        list_sources(ConvertOptions(source=str(path), output=""))


def test_array_record_transposed_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.array_record", "group_size:2,transpose:true", IMAGES)
    with pytest.raises(CorruptDataError, match="a chunk has the unknown type 't'"):
        list_sources(ConvertOptions(source=str(path), output=""))


def test_array_record_cut_short_or_of_another_format_is_an_error(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.array_record", "group_size:1", IMAGES).read_bytes()
    path = tmp_path / "b.array_record"
    for content in (b"", whole[: riegeli.BLOCK_BYTES], whole[:-5], b"x" * len(whole), whole[64:]):
        path.write_bytes(content)
        with pytest.raises(CorruptDataError, match="the container is damaged"):
            list_sources(ConvertOptions(source=str(path), output=""))


def test_array_record_with_random_damage_raises_no_other_error(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.array_record", "group_size:2,zstd:3", dict([*IMAGES.items()][:1]))
    content, choose = whole.read_bytes(), random.Random(0)
    used = [place for place, byte in enumerate(content) if byte]
    for _ in range(60):
        damaged = bytearray(content)
        for place in choose.sample(used, 2):
            damaged[place] = choose.randrange(256)
        whole.write_bytes(damaged)
        with suppress(ShardmillError):
            list_sources(ConvertOptions(source=str(whole), output=""))
