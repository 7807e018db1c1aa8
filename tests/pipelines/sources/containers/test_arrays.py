"""Samples without a file format: idx, CIFAR's binary files, .npz."""

from __future__ import annotations

import gzip
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.errors import CorruptDataError, ShardmillError, UsageError
from tests.pipelines.conftest import Convert
from tests.pipelines.sources.containers.forms import tar_bytes

Pixels = NDArray[np.uint8]
RANDOM = np.random.default_rng(5)
GREY = RANDOM.integers(0, 256, (40, 7, 5), np.uint8)
COLOR = RANDOM.integers(0, 256, (40, 6, 9, 3), np.uint8)
CIFAR = RANDOM.integers(0, 256, (40, 32, 32, 3), np.uint8)
LABELS = RANDOM.integers(0, 10, 40, np.uint8)
LABELS[:10] = range(10)
OPTIONS: dict[str, Any] = {"test": 0.3, "shards": 3}


def listed(source: Path, **options: Any) -> Sources:
    return list_sources(ConvertOptions(source=str(source), output="", **options))


def labels_of(sources: Sources) -> dict[str, str]:
    return {image.key.decode(): sources.labels[image.label] for image in sources.images}


def idx(array: Pixels) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def cifar10(images: Pixels = CIFAR, labels: Pixels = LABELS) -> bytes:
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return b"".join(
        bytes((label,)) + row.tobytes() for label, row in zip(labels, planes, strict=True)
    )


def cifar100() -> bytes:
    planes = CIFAR.transpose(0, 3, 1, 2).reshape(len(CIFAR), -1)
    return b"".join(
        bytes((label // 5, label)) + row.tobytes()
        for label, row in zip(LABELS, planes, strict=True)
    )


def npz(save: Callable[..., None] = np.savez, /, **arrays: Any) -> bytes:
    sink = io.BytesIO()
    save(sink, **arrays)
    return sink.getvalue()


def _idx(place: Path, suffix: str = "", mark: str = "-") -> str:
    pack = gzip.compress if suffix else bytes
    (place / f"train-images{mark}idx3-ubyte{suffix}").write_bytes(pack(idx(GREY)))
    (place / f"train-labels{mark}idx1-ubyte{suffix}").write_bytes(pack(idx(LABELS)))
    return f"train-images{mark}idx3-ubyte{suffix}"


def _cifar_tar(place: Path, suffix: str) -> str:
    content = tar_bytes([("cifar-10/data_batch_1.bin", cifar10()), ("cifar-10/readme.html", b"x")])
    (place / f"cifar.tar{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return f"cifar.tar{suffix}"


def _write(place: Path, name: str, content: bytes) -> str:
    (place / name).write_bytes(content)
    return name


FORMS: dict[str, tuple[Callable[[Path], str], Pixels, str]] = {
    "idx": (_idx, GREY, "train"),
    "idx-gz": (lambda place: _idx(place, ".gz"), GREY, "train"),
    "idx-dot": (lambda place: _idx(place, mark="."), GREY, "train"),
    "cifar-10": (
        lambda place: _write(place, "data_batch_1.bin", cifar10()), CIFAR, "data_batch_1"
    ),
    "cifar-tar": (lambda place: _cifar_tar(place, ""), CIFAR, "data_batch_1"),
    "cifar-tar-gz": (lambda place: _cifar_tar(place, ".gz"), CIFAR, "data_batch_1"),
    "npz": (lambda place: _write(place, "a.npz", npz(x=COLOR, y=LABELS)), COLOR, "a"),
    "npz-compressed": (
        lambda place: _write(
            place, "a.npz", npz(np.savez_compressed, images=GREY, labels=LABELS[:, None])
        ),
        GREY,
        "a",
    ),
    "npz-one-channel": (
        lambda place: _write(place, "a.npz", npz(data=GREY[..., None], target=LABELS.astype(int))),
        GREY,
        "a",
    ),
}  # fmt: skip
QUICK = {"idx-gz", "cifar-tar", "npz-compressed"}


@pytest.mark.parametrize(
    "form",
    [form if form in QUICK else pytest.param(form, marks=pytest.mark.slow) for form in FORMS],
)
def test_arrays_give_shards_of_png_files_of_the_same_pixels(
    convert: Convert, tmp_path: Path, form: str
) -> None:
    make, pixels, stem = FORMS[form]
    folder = tmp_path / "pngs" / stem
    folder.mkdir(parents=True)
    rows = []
    for number, (picture, label) in enumerate(zip(pixels, LABELS, strict=True)):
        Image.fromarray(picture).save(folder / f"{number:08}.png")
        rows.append(f"{stem}/{number:08}.png,{label}")
    (tmp_path / "list.csv").write_text("\n".join(("path,label", *rows)))
    given = {"source": str(tmp_path / "pngs"), "list": str(tmp_path / "list.csv")}
    convert(**OPTIONS, **given, output=str(tmp_path / "a"))
    (tmp_path / "place").mkdir()
    source = tmp_path / "place" / make(tmp_path / "place")
    for output, processes in (("b", 1), ("c", 2)):
        convert(**OPTIONS, source=str(source), output=str(tmp_path / output), processes=processes)
        for path in (tmp_path / "a").glob("*.tfrecord"):
            assert (tmp_path / output / path.name).read_bytes() == path.read_bytes()
        assert (tmp_path / output / "labels.txt").read_bytes() == (
            tmp_path / "a" / "labels.txt"
        ).read_bytes()
    source.touch()
    again = convert(**OPTIONS, source=str(source), output=str(tmp_path / "b"))
    assert again.status == "nothing-to-do"


def test_idx_folder_of_mnist_has_two_splits(tmp_path: Path) -> None:
    _idx(tmp_path, ".gz")
    for name, array in (("images-idx3", GREY), ("labels-idx1", LABELS)):
        content = gzip.compress(idx(array))
        (tmp_path / f"t10k-{name}-ubyte.gz").write_bytes(content)
    found = listed(tmp_path)
    assert len(found.images) == 80
    assert {(it.key.partition(b"/")[0], it.split) for it in found.images} == {
        (b"train", "train"),
        (b"t10k", "test"),
    }


def test_cifar_archive_has_two_splits(tmp_path: Path) -> None:
    files = [(f"c/data_batch_{n}.bin", cifar10()) for n in (1, 2)] + [
        ("c/test_batch.bin", cifar10())
    ]
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(tar_bytes(files)))
    found = listed(tmp_path / "cifar-10-binary.tar.gz")
    splits = [it.split for it in found.images]
    assert (splits.count("train"), splits.count("test")) == (80, 40)


@pytest.mark.parametrize(
    ("column", "expected"), [(None, {"00", "09"}), ("coarse_label", {"00", "01"})]
)
def test_cifar_100_has_fine_or_coarse_labels(
    tmp_path: Path, column: str | None, expected: set[str]
) -> None:
    (tmp_path / "train.bin").write_bytes(cifar100())
    labels = set(labels_of(listed(tmp_path / "train.bin", label_column=column)).values())
    assert {min(labels), max(labels)} == expected


def test_npz_of_keras_has_splits_by_the_names_of_arrays(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "x_train": GREY,
        "y_train": LABELS,
        "x_test": GREY[:20],
        "y_test": LABELS[:20],
    }
    (tmp_path / "mnist.npz").write_bytes(npz(**arrays))
    found = listed(tmp_path / "mnist.npz")
    assert {(it.key.rpartition(b"/")[0], it.split) for it in found.images} == {
        (b"mnist/x_train", "train"),
        (b"mnist/x_test", "test"),
    }
    assert labels_of(found)["mnist/x_test/00000019.png"] == str(LABELS[19])


def test_npz_of_medmnist_has_its_three_splits(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        arrays |= {f"{split}_images": COLOR, f"{split}_labels": LABELS[:, None]}
    (tmp_path / "a.npz").write_bytes(npz(**arrays))
    assert listed(tmp_path / "a.npz").splits == {"train", "validation", "test"}


def test_npz_text_labels_are_classes(tmp_path: Path) -> None:
    for labels in (np.array(["cat", "dog"] * 20), np.array([b"cat", b"dog"] * 20)):
        (tmp_path / "a.npz").write_bytes(npz(x=GREY, y=labels))
        assert listed(tmp_path / "a.npz").labels == ("cat", "dog")


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("an object was unpickled",))


def test_npz_objects_are_never_unpickled(tmp_path: Path) -> None:
    evil = np.array([_Evil()] * 40, dtype=object)
    with pytest.raises(pytest.fail.Exception):
        pickle.loads(pickle.dumps(_Evil()))
    (tmp_path / "a.npz").write_bytes(npz(x=evil, y=LABELS))
    with pytest.raises(UsageError, match="no array of the file has images"):
        listed(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(npz(x=GREY, y=evil))
    with pytest.raises(UsageError, match="give no image a class"):
        listed(tmp_path / "a.npz")


ERRORS: dict[str, tuple[str, bytes, str]] = {
    "floats": ("a.npz", npz(x=GREY / 255, y=LABELS), "uint8"),
    "four channels": ("a.npz", npz(x=np.zeros((40, 4, 4, 4), np.uint8), y=LABELS), "no array"),
    "order of Fortran": ("a.npz", npz(x=np.asfortranarray(GREY), y=LABELS), "no array"),
    "two labels": ("a.npz", npz(x=GREY, y=LABELS, z=LABELS), "several arrays.*--label-column y"),
    "no zip": ("a.npz", b"x" * 100, "no central directory"),
    "short idx": ("train-images-idx3-ubyte", idx(GREY)[:-1], "cut short"),
    "idx of floats": ("train-images-idx3-ubyte", b"\0\0\x0d\3" + bytes(100), "unsigned bytes"),
    "idx of texts": ("train-images-idx3-ubyte", idx(LABELS), "1 dimensions"),
    "huge idx": ("train-images-idx3-ubyte", b"\0\0\x08\3" + b"\x7f" * 12, "dimensions are"),
    "odd cifar": ("test_batch.bin", cifar10()[:-1], "not a binary file"),
    "damaged gz": ("train-images-idx3-ubyte.gz", gzip.compress(idx(GREY))[:-9], "compressed data"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_arrays_that_are_damaged_or_odd_are_one_error(tmp_path: Path, name: str) -> None:
    file, content, words = ERRORS[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ShardmillError, match=words):
        listed(tmp_path / file)


def test_idx_labels_of_another_number_are_one_error(tmp_path: Path) -> None:
    source = tmp_path / _idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:-1]))
    with pytest.raises(CorruptDataError, match="does not have the labels of 40 images"):
        listed(source)


def test_npz_damaged_array_is_one_error(tmp_path: Path) -> None:
    content = bytearray(npz(x=GREY, y=LABELS))
    content[len(content) // 3] ^= 1
    (tmp_path / "a.npz").write_bytes(bytes(content))
    with pytest.raises(CorruptDataError, match="damaged"):
        listed(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", ["arrays of a file", "npz", "idx"])
def test_class_numbers_have_the_same_names_in_all_splits(tmp_path: Path, kind: str) -> None:
    """The largest number of a class has more digits in one split than in the other."""
    numbers = {"train": np.arange(40) % 11, "test": np.arange(20) % 10}
    place = tmp_path / "data"
    place.mkdir()
    if kind == "arrays of a file":
        arrays: dict[str, Any] = {f"y_{split}": values for split, values in numbers.items()}
        arrays |= {f"x_{split}": GREY[: len(values)] for split, values in numbers.items()}
        _write(place, "a.npz", npz(**arrays))
    for split, values in numbers.items():
        images = GREY[: len(values)]
        if kind == "npz":
            _write(place, f"{split}.npz", npz(x=images, y=values))
        if kind == "idx":
            name = {"train": "train", "test": "t10k"}[split]
            _write(place, f"{name}-images-idx3-ubyte", idx(images))
            _write(place, f"{name}-labels-idx1-ubyte", idx(values.astype(np.uint8)))
    found = listed(place)
    assert found.splits == {"train", "test"}
    assert found.labels == tuple(f"{number:02}" for number in range(11))
