"""New folders at URLs: complete, or without their last file."""

from __future__ import annotations

import tempfile
import uuid
from typing import TYPE_CHECKING

import pytest

from records.errors import OutputError
from records.storage import open_remote, write_file
from records.storage.remote import lease
from records.storage.remote_folder import is_vacant, upload_folder
from tests.faults.calls import KilledError
from tests.faults.requests import killed_at_request

if TYPE_CHECKING:
    from pathlib import Path

    from records.storage import RemoteStorage

FILES = {"labels.txt": b"0:cat\n", "variables/a.bin": b"1" * 10, "a/b/c": b"", "model": b"2" * 20}


@pytest.fixture
def storage() -> RemoteStorage:
    return open_remote(f"memory://{uuid.uuid4().hex}/folder")


def fill(storage: RemoteStorage, files: dict[str, bytes]) -> None:
    with storage.lock(), upload_folder(storage, last="model") as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def content_of(storage: RemoteStorage) -> dict[str, bytes]:
    return {name: storage.read(name) for name in storage.list()}


def test_upload_folder_killed_at_any_request_is_replaced_by_the_next(
    storage: RemoteStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.0)
    number, killed = 0, True
    while killed:
        number += 1
        try:
            with killed_at_request(number):
                fill(storage, FILES)
            killed = False
        except KilledError:
            found = content_of(storage)
            if "model" in found:  # complete
                assert FILES.items() <= found.items()
                assert not is_vacant(storage, last="model")
            else:
                assert is_vacant(storage, last="model")
            fill(storage, {**FILES, "labels.txt": b"0:dog\n"})
        assert content_of(storage)["model"] == FILES["model"]
        assert len(content_of(storage)) == len(FILES)
        assert not list(tmp_path.iterdir())
        for name in FILES:
            storage.remove(name)
    assert number > 12


def test_upload_folder_existing_file_of_the_user_is_kept(storage: RemoteStorage) -> None:
    assert is_vacant(storage)
    write_file(storage, "labels.txt", b"mine")
    assert not is_vacant(storage)
    assert is_vacant(storage, ignored={"labels.txt"})
    with pytest.raises(OutputError, match="differs from the new file"):
        fill(storage, FILES)
    assert storage.read("labels.txt") == b"mine"
    assert storage.stat("model") is None


def test_is_vacant_unfinished_run_of_another_command_is_not(storage: RemoteStorage) -> None:
    write_file(storage, ".shardmill/plan.json", b"{}")
    assert not is_vacant(storage)
