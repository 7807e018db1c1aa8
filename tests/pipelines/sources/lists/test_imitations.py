from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.options import ConvertOptions
from pipelines.sources import Sources, list_sources
from records.errors import UsageError
from records.text.keys import key_to_text
from tests.pipelines.pictures import PICTURE, make_file
from tests.pipelines.sources.lists.shapes import IMITATIONS, Imitation

MOST_WITH_OPTIONS = 3


def make(imitation: Imitation, root: Path) -> str:
    """Write images and lists; return the path of the first list."""
    for key in imitation.images:
        make_file(root, key)
    for name, content in imitation.lists.items():
        make_file(root, name, content.replace(b"/absolute/", f"{root}/".encode()))
    return str(root / next(iter(imitation.lists)))


def find(imitation: Imitation, root: Path, memory: Any, **options: Any) -> Sources:
    source, path = str(root), make(imitation, root)
    if any(b"memory://bucket" in content for content in imitation.lists.values()):
        source = "memory://bucket/flowers"
        for key in imitation.images:
            memory.pipe_file(f"/bucket/flowers/{key}", PICTURE)
    is_found = Path(path).stem in {"metadata", "_classes"}
    given = None if is_found else path
    return list_sources(ConvertOptions(source=source, output="", list=given, **options))


@pytest.mark.parametrize("name", IMITATIONS)
def test_imitation_every_image_has_its_label_and_split(
    name: str, tmp_path: Path, memory: Any
) -> None:
    imitation = IMITATIONS[name]
    found = find(imitation, tmp_path, memory, **imitation.options)
    images = {key_to_text(image.key): image for image in found.images}
    assert {key: found.labels[it.label] for key, it in images.items()} == imitation.labels
    assert {key: it.split for key, it in images.items() if it.split} == imitation.splits
    assert {reject.reason for reject in found.rejects} <= {"no-class"}
    assert found.understood is not None
    assert f"{len(found.labels)} class" in found.understood


@pytest.mark.parametrize("name", [name for name, it in IMITATIONS.items() if it.options])
def test_imitation_without_its_options_the_message_names_them(
    name: str, tmp_path: Path, memory: Any
) -> None:
    with pytest.raises(UsageError, match=IMITATIONS[name].hint):
        find(IMITATIONS[name], tmp_path, memory)


def test_imitations_nearly_all_need_no_option() -> None:
    needed = [name for name, imitation in IMITATIONS.items() if imitation.options]
    assert len(IMITATIONS) >= 20
    assert len(needed) <= MOST_WITH_OPTIONS


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "kaggle-aptos",
            "labels from column `diagnosis`, 3 classes; images `train_images/<id_code>.png`",
        ),
        ("kaggle-plant-pathology", "labels from 4 one-hot columns, 3 classes; images `images/"),
        (
            "ham10000",
            "labels from column `dx`, 2 classes; images `HAM10000_images_part_1/<image_id>.jpg`, ",
        ),
        (
            "automl",
            "labels from column `3`, 2 classes; images `<2>`; splits from column `1`",
        ),
    ],
)
def test_imitation_what_was_understood_is_one_line(
    name: str, line: str, tmp_path: Path, memory: Any
) -> None:
    understood = find(IMITATIONS[name], tmp_path, memory).understood
    assert understood is not None
    assert understood.startswith(line)


def test_imitation_columns_that_are_not_used_are_named(tmp_path: Path, memory: Any) -> None:
    (note,) = find(IMITATIONS["ham10000"], tmp_path, memory).notes
    assert note == (
        "columns of the list that are not used: lesion_id, dx_type, age, sex, localization"
        " (--keep-columns all keeps them)"
    )
