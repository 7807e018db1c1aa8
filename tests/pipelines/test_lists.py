"""A list gives the same bytes as a folder with the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from records.format import layout
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_folders
from tests.pipelines.sources.lists.shapes import lines, parquet, table

IMAGES = {"cat": 5, "dog": 4}
PATHS = [f"{name}/{number:03d}.png" for name, images in IMAGES.items() for number in range(images)]
LABELS = [path.partition("/")[0] for path in PATHS]
STEMS = [path.removesuffix(".png") for path in PATHS]
ONE_HOT = [
    [path, *(int(label == name) for name in IMAGES)]
    for path, label in zip(PATHS, LABELS, strict=True)
]
PAIRS = list(zip(PATHS, LABELS, strict=True))

FORMS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "list.csv": (table(["path", "label"], *PAIRS), {}),
    "excel.csv": (table(["File", "Class"], *PAIRS, delimiter=";").decode().encode("utf-16"), {}),
    "ids.csv": (table(["id", "breed"], *zip(STEMS, LABELS, strict=True)), {}),
    "one-hot.csv": (table(["filename", *IMAGES], *ONE_HOT), {}),
    "bare.txt": (table(*PAIRS, delimiter=" "), {}),
    "list.JSONL": (lines(*({"file_name": path, "label": label} for path, label in PAIRS)), {}),
    "list.parquet": (parquet({"image": PATHS, "target": LABELS}), {}),
    "odd.csv": (table(["a", "b", "c"], *((p, n, 0) for p, n in PAIRS)),
                {"path_column": "a", "label_column": "b"}),
}  # fmt: skip


def shards_of(folder: Path) -> dict[str, bytes]:
    names = (layout.MANIFEST, layout.RUN_PLAN)
    return {name: content for name, content in content_of(folder).items() if name not in names}


@pytest.mark.parametrize("name", FORMS)
def test_convert_list_in_any_form_gives_the_bytes_of_the_folder(
    name: str, convert: Convert, tmp_path: Path
) -> None:
    content, options = FORMS[name]
    source = make_folders(tmp_path / "animals", **IMAGES)
    given: dict[str, Any] = {"source": str(source), "test": 0.3, "shards": 2}
    convert(**given, output=str(tmp_path / "folder"))
    path = make_file(tmp_path, name, content)
    report = convert(**given, output=str(tmp_path / "list"), list=str(path), **options)
    assert report.understood is not None
    assert shards_of(tmp_path / "list") == shards_of(tmp_path / "folder")


def test_convert_map_gives_the_bytes_of_the_renamed_folder(
    convert: Convert, tmp_path: Path
) -> None:
    source = make_folders(tmp_path / "animals", cat=3, dog=3)
    given: dict[str, Any] = {"source": str(source), "shards": 1}
    convert(**given, output=str(tmp_path / "a"), map={"cat": "dog", "dog": "cat"})
    convert(**given, output=str(tmp_path / "b"), map=("cat=dog", "dog=cat"))
    assert content_of(tmp_path / "a") == content_of(tmp_path / "b")
