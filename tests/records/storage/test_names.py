"""Names that belong to a volume, a storage appliance or an operating system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.sources.walk import walk_local
from records.storage.atomic import occupants
from records.storage.names import has_unusual_name, is_system_name
from trainers.prediction.image_files import find_images

SYSTEM = (
    "lost+found", "#recycle", "@Recycle", "@eaDir", "System Volume Information", "$RECYCLE.BIN",
    ".Trash-1000", ".Trash", ".snapshot", ".zfs", "__MACOSX", ".ipynb_checkpoints", "Thumbs.db",
    "desktop.ini", ".DS_Store", "._cat", "found.000", "~snapshot", ".nfs00000000000a1b2c",
)  # fmt: skip
USER = ("recycled", "recycle", "found", "found.00", "trash", "snapshot", "lost", "@", "#1", "Icon")


@pytest.mark.parametrize("change", [str, str.upper, str.lower, os.fsencode])
def test_is_system_name_any_case_and_type(change: type) -> None:
    assert all(is_system_name(change(name)) for name in SYSTEM)
    assert not any(is_system_name(change(name)) for name in USER)


@pytest.mark.parametrize("change", [str, str.upper, str.lower])
@pytest.mark.parametrize("name", [*SYSTEM, ".hidden", "."])
def test_has_unusual_name_finds_hidden_and_system_names_anywhere(name: str, change: type) -> None:
    usual = ["1.jpg", "cat", "thumbs.dbx", "a.b"]
    for place in range(len(usual) + 1):
        assert has_unusual_name([*usual[:place], change(name), *usual[place:]])


@pytest.mark.parametrize("names", [[], ["1.jpg"], [name for name in USER if name != "found.00"]])
def test_has_unusual_name_usual_names_have_none(names: list[str]) -> None:
    assert not has_unusual_name(names)


@pytest.mark.parametrize("name", SYSTEM)
def test_system_folder_is_no_class_no_image_and_no_occupant(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "cat").mkdir(parents=True)
    assert occupants(tmp_path) == []
    for file in (f"{name}/1.jpg", f"{name}/cat/2.jpg", "cat/3.jpg", "4.jpg"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"x")
    listing = walk_local(os.fsencode(tmp_path), follow_symlinks=False)
    assert sorted(file.key for file in listing.files) == [b"4.jpg", b"cat/3.jpg"]
    assert listing.folders == [b"cat"]
    assert sorted(file.path for file in find_images([tmp_path])) == ["4.jpg", "cat/3.jpg"]
    assert occupants(tmp_path) == ["4.jpg", "cat"]


def test_user_folders_are_classes(tmp_path: Path) -> None:
    for name in USER:
        (tmp_path / name).mkdir()
    listing = walk_local(os.fsencode(tmp_path), follow_symlinks=False)
    assert sorted(listing.folders) == sorted(map(os.fsencode, USER))
