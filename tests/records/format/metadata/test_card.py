"""The card has a valid header and the counts of the dataset, and the user's own card is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

import shardmill as sm
from records.format.columns import Column
from records.format.manifest import read_manifest
from records.format.metadata.card import is_generated, make_card
from records.format.metadata.card_file import update_card
from records.format.metadata.description import Description
from records.storage import open_storage
from tests.pipelines.pictures import make_file, make_folders, make_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = 'a: "b" | \\ <img src=x> `c` [d](e)\u202e \U0001f33b \ufffe'


@pytest.fixture
def manifest(build_dataset: Callable[..., Path]) -> Any:
    return read_manifest(open_storage(build_dataset()))


def header_of(card: bytes) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.decode().split("---\n")[1])
    return found


def test_card_of_dataset_without_description_has_header_and_counts(manifest: Any) -> None:
    card = make_card(manifest)
    assert header_of(card) == {
        "tags": ["tfrecord"],
        "task_categories": ["image-classification"],
        "size_categories": ["n<1K"],
        "configs": [
            {
                "config_name": "index",
                "data_files": [
                    {"split": "train", "path": ["index/train-?????-of-00002.parquet"]},
                    {"split": "test", "path": ["index/test-?????-of-00001.parquet"]},
                ],
            }
        ],
    }
    text = card.decode()
    assert "17 images in 3 classes, in 3 shards" in text
    assert "| train | 12 | 2 |" in text
    assert "| élan | 4 | 1 |" in text
    assert "grid.png" not in text
    assert "](grid.png)" in make_card(manifest, has_grid=True).decode()


@pytest.mark.parametrize(
    ("license_", "expected"),
    [
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("GPL-3.0-or-later", {"license": "gpl-3.0"}),
        ("ODbL-1.0", {"license": "odbl"}),
        ("https://example.org/l", {"license": "other", "license_link": "https://example.org/l"}),
        ("ours: ask us", {"license": "other", "license_name": "ours: ask us"}),
        ("Proprietary", {"license": "other", "license_name": "Proprietary"}),
    ],
)
def test_card_header_has_the_licence(
    manifest: Any, license_: str, expected: dict[str, str]
) -> None:
    described = msgspec.structs.replace(manifest, description=Description(license=license_))
    header = header_of(make_card(described))
    assert {name: header[name] for name in header if "license" in name} == expected


def test_card_of_hostile_names_has_the_same_structure(manifest: Any) -> None:
    description = Description(
        name=HOSTILE,
        license=HOSTILE,
        publisher=HOSTILE,
        keywords=(HOSTILE,),
        citation="```\n# x\n````",
    )
    labels = (HOSTILE, "---", "\ud800")
    hostile = msgspec.structs.replace(manifest, labels=labels, description=description)
    card = make_card(hostile)
    assert header_of(card)["tags"] == [HOSTILE, "tfrecord"]
    assert header_of(card)["pretty_name"] == HOSTILE
    body = card.decode().split("---\n", 2)[2]
    assert "<img" not in body.replace("\\<img", "")
    assert "`````bibtex\n```\n# x\n````\n`````" in body
    assert is_generated(card)


def test_card_shows_columns_and_urls_as_they_are(manifest: Any) -> None:
    url = "https://example.org/my_flowers?a=1&b=2"
    columns = (Column("`", "int64"), Column("a``b", "int64"), Column("image_id*", "int64"))
    settings = msgspec.structs.replace(manifest.settings, columns=columns)
    described = msgspec.structs.replace(
        manifest, settings=settings, description=Description(url=url, license=url)
    )
    card = make_card(described).decode()
    assert "the columns `` ` ``, ```a``b```, `image_id*`." in card
    assert f"- Licence: <{url}>\n- Page: <{url}>\n" in card


def test_card_of_many_classes_shows_the_first_ones(manifest: Any) -> None:
    labels = tuple(map(str, range(5000)))
    counts = (1,) * 5000
    splits = {
        name: msgspec.structs.replace(info, class_records=counts)
        for name, info in manifest.splits.items()
    }
    many = msgspec.structs.replace(manifest, labels=labels, splits=splits)
    card = make_card(many).decode()
    assert "| 199 | 1 | 1 |" in card
    assert "| 200 |" not in card
    assert "have all 5,000 classes" in card


def test_card_of_dataset_without_records_is_valid(manifest: Any) -> None:
    empty = msgspec.structs.replace(manifest, splits={}, labels=())
    assert "configs" not in header_of(make_card(empty))


def test_is_generated_changed_card_is_that_of_the_user(manifest: Any) -> None:
    card = make_card(manifest)
    assert is_generated(card)
    for other in (b"", b"# Mine\n", card + b"More.\n", card.replace(b"17 images", b"18 images")):
        assert not is_generated(other)


def test_card_is_renewed_by_each_run(tmp_path: Path) -> None:
    source, data = make_folders(tmp_path / "photos", cat=5, dog=4), tmp_path / "data"
    card = data / "README.md"
    sm.convert(source, data)
    assert "9 images in 2 classes" in card.read_text()
    make_file(source, "cat/new.png", make_picture(900))
    sm.append(source, data)
    assert "10 images in 2 classes" in card.read_text()
    sm.remove(data, keys=["cat/new.png", "dog/000.png"])
    assert "8 images in 2 classes" in card.read_text()
    assert "Removed later: 2 images." in card.read_text()
    sm.compact(data, tmp_path / "compacted")
    assert "This is generation 1" in (tmp_path / "compacted" / "README.md").read_text()
    sm.rollback(data)
    assert "10 images in 2 classes" in card.read_text()
    card.write_text("# Mine\n")
    sm.rollback(data)
    assert card.read_text() == "# Mine\n"
    assert list(sm.verify(data)) == []


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_update_card_keeps_what_is_no_file(
    build_dataset: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    folder = build_dataset()
    card = folder / "README.md"
    make_file(tmp_path, "mine.md", make_card(read_manifest(open_storage(folder))))
    card.mkdir() if kind == "folder" else card.symlink_to(tmp_path / "mine.md")
    storage = open_storage(folder)
    empty = msgspec.structs.replace(read_manifest(storage), splits={})
    before = (tmp_path / "mine.md").read_bytes()
    update_card(storage, empty)
    assert card.is_dir() if kind == "folder" else card.is_symlink()
    assert (tmp_path / "mine.md").read_bytes() == before
