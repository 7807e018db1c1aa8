"""What is found where, here and behind a URL."""

from __future__ import annotations

import errno
import os
import uuid
from typing import TYPE_CHECKING

import fsspec
import pytest

from records.errors import InputNotFoundError, ResourceError, UsageError
from records.storage.untrusted_file import UntrustedFolder
from tests.trainers.conftest import make_source
from trainers.prediction.image_files import find_images, image_file

if TYPE_CHECKING:
    from pathlib import Path

_IMAGE = make_source(0).data
_TREE = {
    "b.jpg": _IMAGE,
    "a.PNG": b"",
    "deep/er/no-extension": _IMAGE,
    "deep.png": _IMAGE,
    ".hidden.jpg": _IMAGE,
    ".hidden/a.jpg": _IMAGE,
    "notes.txt": b"no image",
}
_FOUND = ["a.PNG", "b.jpg", "deep.png", "deep/er/no-extension"]


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same tree in a local folder and behind a URL."""
    base = str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}/new"
    filesystem, root = fsspec.core.url_to_fs(base)
    for name, content in _TREE.items():
        filesystem.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(f"{root}/{name}", content)
    return base


def test_find_images_folder_lists_images_recursively(folder: str) -> None:
    for location in (folder, folder + "/"):
        found = find_images([location])
        assert [file.name for file in found] == [f"{folder}/{name}" for name in _FOUND]
        assert [file.read() for file in found] == [_TREE[name] for name in _FOUND]


def test_find_images_named_file_of_any_type_is_listed(folder: str) -> None:
    names = [f"{folder}/notes.txt", f"{folder}/.hidden.jpg", f"{folder}/b.jpg"]
    found = find_images(names)
    assert [file.name for file in found] == names
    assert [file.read() for file in found] == [b"no image", _IMAGE, _IMAGE]


def test_find_images_missing_file_or_folder_without_images_is_refused(folder: str) -> None:
    with pytest.raises(InputNotFoundError, match="found neither a file nor a folder with files"):
        find_images([f"{folder}/b.jpg", f"{folder}/missing"])
    with pytest.raises(InputNotFoundError, match=r"notes: no images in this folder"):
        find_images([_make_notes(folder)])


def _make_notes(folder: str) -> str:
    filesystem, root = fsspec.core.url_to_fs(f"{folder}/notes")
    filesystem.makedirs(root, exist_ok=True)
    filesystem.pipe_file(f"{root}/notes.txt", b"no image")
    return f"{folder}/notes"


def test_find_images_fifo_is_skipped(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.jpg").write_bytes(_IMAGE)
    assert [file.path for file in find_images([tmp_path])] == ["a.jpg"]


def test_find_images_bare_file_name_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(_IMAGE)
    (file,) = find_images(["a.jpg"])
    assert (file.name, file.read()) == ("a.jpg", _IMAGE)
    assert [each.name for each in find_images(["."])] == ["./a.jpg"]


def test_find_images_invalid_url_error_hides_credentials() -> None:
    with pytest.raises(UsageError) as raised:
        find_images(["nothing://user:password@host/a"])
    assert "nothing://host" in str(raised.value)
    assert "password" not in str(raised.value)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_limit_of_the_process_is_not_an_unreadable_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "photo").write_bytes(b"\x89PNG\r\n\x1a\n")  # its first bytes are read

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(UntrustedFolder, "open_file", fail)
    with pytest.raises(ResourceError):
        find_images([tmp_path])
    with pytest.raises(ResourceError):
        image_file(tmp_path / "photo").read()
