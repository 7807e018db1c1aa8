"""Lists of labels without paths, such as those of ImageNet's validation images."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.errors import InputNotFoundError, UsageError
from tests.pipelines.pictures import PICTURE, make_file
from tests.pipelines.sources.containers.forms import zip_bytes

_WNIDS = ("n01440764", "n01443537", "n01484850")


def find(source: Path, lines: str, name: str = "labels.txt", **options: object) -> Sources:
    path = make_file(source.parent, name, lines.encode())
    given = {"source": str(source), "output": "", "list": str(path), **options}
    return list_sources(ConvertOptions(**given))  # type: ignore[arg-type]


def make_images(folder: Path, names: list[str]) -> Path:
    for name in names:
        make_file(folder, name)
    make_file(folder, "readme.md")
    return folder


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("header", ["", "label\n", "Category\n"])
@pytest.mark.parametrize("labels", [_WNIDS, ("1", "2", "3"), ("red fox", "grey, wolf", "dog")])
def test_list_of_labels_names_images_in_order(
    tmp_path: Path, seed: int, header: str, labels: tuple[str, ...]
) -> None:
    names = [f"val_{number:04d}.png" for number in range(12)]
    chosen = random.Random(seed).choices(labels, k=12)
    lines = "".join(f'"{label}"\n' for label in chosen)
    found = find(make_images(tmp_path / "photos", names), header + lines)
    named = {image.key.decode(): found.labels[image.label or 0] for image in found.images}
    assert named == dict(zip(names, chosen, strict=True))
    assert any("in the order of their names" in note for note in found.notes)


@pytest.mark.parametrize("count", [2, 5])
def test_list_of_labels_with_another_number_than_images_is_an_error(
    tmp_path: Path, count: int
) -> None:
    source = make_images(tmp_path / "photos", ["a.png", "b.png", "c.png"])
    with pytest.raises(UsageError, match="not one label per image") as raised:
        find(source, "cat\n" * count)
    assert (raised.value.expected, raised.value.got) == ("3 labels", f"{count} labels")


@pytest.mark.parametrize(
    ("names", "is_ambiguous"),
    [
        (["1.png", "2.png", "10.png"], True),
        (["x9/1.png", "x10/1.png", "y.png"], True),
        (["01.png", "02.png", "10.png"], False),
        (["a1.png", "b2.png", "b10.png"], True),
        (["a10.png", "b2.png", "b3.png"], False),
        ([f"{'9' * 200}.png", f"1{'0' * 200}.png", "z.png"], True),
    ],
)
def test_list_of_labels_with_ambiguous_order_of_names_is_an_error(
    tmp_path: Path, names: list[str], *, is_ambiguous: bool
) -> None:
    source = make_images(tmp_path / "photos", names)
    if is_ambiguous:
        with pytest.raises(UsageError, match="the order of the images is ambiguous"):
            find(source, "cat\ndog\ncat\n")
    else:
        assert len(find(source, "cat\ndog\ncat\n").images) == 3


def test_list_of_paths_alone_still_needs_labels(tmp_path: Path) -> None:
    source = make_images(tmp_path / "photos", ["a.png", "b.png"])
    with pytest.raises(UsageError, match="no column of the list is known to be the label"):
        find(source, "a.png\nb.png\n")


def test_list_of_labels_with_image_folder_names_its_images(tmp_path: Path) -> None:
    source = make_images(tmp_path / "photos", ["x/a.png", "x/b.png", "y/c.png"])
    found = find(source, "cat\ndog\n", image_folder="x")
    assert {image.key for image in found.images} == {b"x/a.png", b"x/b.png"}


def test_list_of_labels_with_folder_of_an_archive_names_its_images(tmp_path: Path) -> None:
    files = [(name, PICTURE) for name in ("x/a.png", "x/b.png", "y/c.png")]
    source = make_file(tmp_path, "photos.zip", zip_bytes(files))
    found = find(source, "cat\ndog\n", image_folder="x")
    assert {image.key for image in found.images} == {b"x/a.png", b"x/b.png"}
    paths = "path,label\na.png,cat\nb.png,dog\n"
    assert len(find(source, paths, image_folder="x/").images) == 2
    with pytest.raises(UsageError, match="--image-folder is not below the source"):
        find(source, paths, image_folder="../x")


@pytest.mark.parametrize("content", ["label\n", "|" * 100, "n01440764", "\n\n"])
def test_list_without_a_row_is_empty(tmp_path: Path, content: str) -> None:
    source = make_images(tmp_path / "photos", ["a.png"])
    with pytest.raises(InputNotFoundError, match="the list is empty"):
        find(source, content)


@pytest.mark.parametrize("line", ["photo {:02d} of a cat", "photo_{:02d}"])
def test_list_of_lines_that_all_differ_is_no_list_of_labels(tmp_path: Path, line: str) -> None:
    source = make_images(tmp_path / "photos", [f"{number:03d}.png" for number in range(20)])
    lines = "".join(line.format(number) + "\n" for number in range(20))
    with pytest.raises(UsageError, match=r"not classes, got 20 labels of 20 images.*as CSV"):
        find(source, lines)
    assert len(find(source, lines, label_column="label").labels) == 20


@pytest.mark.parametrize("images", [19, 20])
@pytest.mark.parametrize("column", ["text", "label"])
def test_list_only_a_column_with_another_name_than_a_label_may_not_be_captions(
    tmp_path: Path, images: int, column: str
) -> None:
    source = make_images(tmp_path / "photos", [f"{number:03d}.png" for number in range(images)])
    rows = [f"{number:03d}.png,a photo of {number}\n" for number in range(images)]
    lines = f"file_name,{column}\n" + "".join(rows)
    if column == "label" or images < 20:
        assert len(find(source, lines).labels) == images
        return
    with pytest.raises(
        UsageError, match=r"not classes.*--label-column text if.*--label-column none"
    ):
        find(source, lines)
    assert len(find(source, lines, label_column="text").labels) == images
