from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.extract import extract
from records.dataset import open_dataset
from records.errors import CorruptDataError, InputNotFoundError, OutputError, UsageError
from records.format.image_options import ImageOptions
from records.images import decode_pixels, decode_record_image
from records.storage import open_storage
from tests.datasets import DatasetBuilder, Source, encode_picture
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_folders, make_picture


def pixels_of(dataset: Path) -> dict[str, list[bytes]]:
    """Shapes and pixels of every split and class, sorted."""
    found: dict[str, list[bytes]] = {}
    for split, records in open_dataset(dataset).items():
        for r in records:
            pixels = decode_record_image(r.image, r.format, r.width, r.height, r.channels)
            found.setdefault(f"{split}/{r.class_name}", []).append(
                repr(pixels.shape).encode() + pixels.tobytes()
            )
    return {place: sorted(images) for place, images in found.items()}


@pytest.mark.parametrize(
    "images",
    [
        ImageOptions(),
        ImageOptions(store="raw", resize=(7, 5)),
        ImageOptions(store="raw", resize=(7, 5), channels=1),
        ImageOptions(store="jpeg"),
    ],
)
def test_extract_then_convert_gives_same_pixels(
    convert: Convert, source: Path, output: Path, tmp_path: Path, images: ImageOptions
) -> None:
    make_file(source, "cat/odd.gif", make_picture(1, kind="GIF"))
    make_file(source, "cat/deep/x.jpg", make_picture(2, kind="JPEG"))
    convert(test=5, images=images)
    assert extract(str(output), str(tmp_path / "out")) == 23
    again = tmp_path / "again"
    kept = ImageOptions(channels=images.channels)
    convert(source=str(tmp_path / "out"), output=str(again), images=kept)
    assert pixels_of(again) == pixels_of(output)
    assert open_dataset(again).labels == open_dataset(output).labels


def test_extract_split_dataset_keeps_file_names(
    convert: Convert, tmp_path: Path, output: Path
) -> None:
    split = tmp_path / "split"
    make_folders(split / "Train", cat=2)
    make_folders(split / "val", cat=1)
    convert(source=str(split))
    extract(str(output), str(tmp_path / "out"))
    assert sorted(content_of(tmp_path / "out")) == [
        "train/cat/000.png",
        "train/cat/001.png",
        "validation/cat/000.png",
    ]


@pytest.mark.parametrize("folder", [b"caf\xff", "e\u0301".encode(), b"a b", b"100%"])
def test_extract_names_of_any_bytes_are_kept(
    convert: Convert, tmp_path: Path, output: Path, folder: bytes
) -> None:
    make_file(tmp_path / "photos", folder + b"/\xff%.png")
    convert(source=str(tmp_path / "photos"))
    extract(str(output), str(tmp_path / "out"))
    (written,) = (tmp_path / "out" / "train" / open_dataset(output).labels[0]).iterdir()
    assert os.fsencode(written.name) == b"\xff%.png"


def test_extract_colliding_names_writes_every_image(
    convert: Convert, source: Path, output: Path, tmp_path: Path
) -> None:
    make_file(source, "cat/a.gif", make_picture(1, kind="GIF"))
    make_file(source, "cat/a.gif.png", make_picture(2))
    make_file(source, "cat/a.gif.png~", make_picture(3))
    rows = "path,label\ncat/000.png,x\nx/cat/000.png,x\n"
    make_file(source, "x/cat/000.png", make_picture(4))
    convert(classes=("cat",))
    assert extract(str(output), str(tmp_path / "out")) == 15
    assert len(content_of(tmp_path / "out")) == 15
    listed = make_file(tmp_path, "list.csv", rows.encode())
    convert(list=str(listed), output=str(tmp_path / "b"))
    extract(str(tmp_path / "b"), str(tmp_path / "out2"))
    assert sorted(content_of(tmp_path / "out2")) == ["train/x/cat/000.png", "train/x/cat/000~2.png"]


def test_extract_url_key_and_label_with_slash_give_safe_path(
    convert: Convert, output: Path, tmp_path: Path, memory: Any
) -> None:
    memory.pipe_file("/pool/x/m.png", make_picture(1))
    path = make_file(tmp_path, "list.csv", b"path,label\nmemory://pool/x/m.png,pet/cat\n")
    convert(list=str(path), allow_url=True)
    extract(str(output), str(tmp_path / "out"))
    assert list(content_of(tmp_path / "out")) == ["train/pet%2Fcat/pool/x/m.png"]


@pytest.mark.parametrize(
    "key",
    [
        b"../evil.png",
        b"cat/../../evil.png",
        b"cat/\0.png",
        b"cat/./x.png",
        b"cat//x.png",
        b"cat/..",
    ],
)
def test_extract_key_leading_out_of_folder_writes_nothing(tmp_path: Path, key: bytes) -> None:
    builder = DatasetBuilder(open_storage(tmp_path / "data"))
    builder.build(
        {"train": [[Source(b"cat/1.png", 0, encode_picture(1)), Source(key, 0, encode_picture(2))]]}
    )
    with pytest.raises(CorruptDataError, match="leads out of the class folder"):
        extract(str(tmp_path / "data"), str(tmp_path / "deep" / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) in (["data"], ["data", "deep"])
    assert not list((tmp_path / "deep").glob("*"))


def test_extract_absolute_key_stays_inside_output(tmp_path: Path) -> None:
    builder = DatasetBuilder(open_storage(tmp_path / "data"))
    builder.build({"train": [[Source(b"/etc/evil.png", 0, encode_picture(1))]]})
    extract(str(tmp_path / "data"), str(tmp_path / "out"))
    assert list(content_of(tmp_path / "out")) == ["train/cat/etc/evil.png"]


@pytest.mark.parametrize("label", ["..", "."])
def test_extract_class_named_dot_or_dot_dot_writes_nothing(tmp_path: Path, label: str) -> None:
    builder = DatasetBuilder(open_storage(tmp_path / "data"), labels=(label,))
    builder.build({"train": [[Source(b"x/1.png", 0, encode_picture(1))]]})
    with pytest.raises(CorruptDataError):
        extract(str(tmp_path / "data"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_extract_existing_output_is_refused_and_unchanged(
    convert: Convert, output: Path, tmp_path: Path, make: Any
) -> None:
    convert()
    out = tmp_path / "out"
    make(out)
    with pytest.raises(OutputError, match="already exists"):
        extract(str(output), str(out))
    assert os.path.lexists(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out", "source"]


def test_extract_to_url_writes_to_local_folder_or_is_refused(
    convert: Convert, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert extract(str(output), f"file://{tmp_path}/out%201") == 21
    assert len(content_of(tmp_path / "out 1")) == 21
    with pytest.raises(UsageError, match="only to a local folder") as found:
        extract(str(output), "s3://key:secret@bucket/out")
    assert "secret" not in str(found.value)
    assert not list((tmp_path / "here").iterdir())


def test_extract_dataset_not_found_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        extract(str(tmp_path / "nowhere"), str(tmp_path / "out"))


def test_extract_missing_shard_raises_corrupt_data_error(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    convert()
    next(output.glob("*.tfrecord")).unlink()
    with pytest.raises(CorruptDataError, match=r"tfrecord: a file of the dataset is missing"):
        extract(str(output), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_extract_full_disk_raises_output_error_and_leaves_nothing(
    convert: Convert, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.extract.export.create_file", full)
    with pytest.raises(OutputError, match="out: cannot be written: the disk is full"):
        extract(str(output), str(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "source"]


def test_extract_raw_images_decode_to_same_pixels_in_pillow(
    convert: Convert, output: Path, tmp_path: Path
) -> None:
    convert(images=ImageOptions(store="raw", resize=(4, 4)))
    extract(str(output), str(tmp_path / "out"))
    picture = tmp_path / "out" / "train" / "cat" / "000.png"
    source = (tmp_path / "source" / "cat" / "000.png").read_bytes()
    expected = decode_pixels(source, ImageOptions(resize=(4, 4)))
    assert np.array_equal(np.asarray(Image.open(picture)), expected)
