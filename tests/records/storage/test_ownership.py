"""Files that runs have written, and files of the user with the same names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from records.errors import OutputError
from records.storage import Storage, open_storage
from records.storage.ownership import (
    RECORDS,
    create_own,
    create_recorded,
    is_own,
    record_hash,
    recorded_hashes,
    remove_own,
    write_etag,
    write_own,
    write_own_files,
)

NAMES = ["labels.txt", "generations/0002/index/a.parquet", "100%.b c/d.é.json"]


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    fsspec.filesystem("memory").store.clear()
    return open_storage(str(tmp_path) if request.param == "local" else "memory://owned")


@pytest.mark.parametrize("name", NAMES)
def test_own_file_is_replaced_and_removed(storage: Storage, name: str) -> None:
    write_own(storage, name, b"first")
    write_own(storage, name, b"second")
    assert storage.read(name) == b"second"
    assert is_own(storage, name)
    assert {key: len(hashes) for key, hashes in recorded_hashes(storage).items()} == {name: 2}
    remove_own(storage, name)
    remove_own(storage, name)
    assert storage.stat(name) is None
    assert not is_own(storage, name)


CHANGES: list[Callable[[Storage, str], None]] = [
    lambda storage, name: write_own(storage, name, b"new"),
    lambda storage, name: create_own(storage, name, b"new"),
    remove_own,
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"mine", b""])
@pytest.mark.parametrize("is_recorded", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_file_of_user_is_refused_by_name_and_kept(
    storage: Storage,
    name: str,
    content: bytes,
    change: Callable[[Storage, str], None],
    *,
    is_recorded: bool,
) -> None:
    if is_recorded:
        write_own(storage, name, b"own")
        create_own(storage, f"{name}.other", content)  # a hash counts only for its name
    storage.replace(name, content)
    with pytest.raises(OutputError, match=r"differs|did not write") as caught:
        change(storage, name)
    assert storage.display_name(name) in str(caught.value)
    assert storage.read(name) == content


def test_record_without_file_has_no_effect(storage: Storage) -> None:
    record_hash(storage, "a", "0" * 32)
    assert not is_own(storage, "a")
    remove_own(storage, "a")
    write_own(storage, "a", b"content")
    assert is_own(storage, "a")


def test_file_is_recorded_before_it_is_visible(storage: Storage) -> None:
    with create_recorded(storage, "a") as staged:
        staged.write(b"one ")
        staged.write(b"two")
        assert recorded_hashes(storage) == {}
    assert storage.read("a") == b"one two"
    assert is_own(storage, "a")


def test_known_content_is_replaced_and_other_content_is_refused(storage: Storage) -> None:
    storage.replace("a", b"known")
    with pytest.raises(OutputError):
        write_own(storage, "a", b"new", known=b"other")
    write_own(storage, "a", b"new", known=b"known")
    assert storage.read("a") == b"new"


def test_saved_etag_of_other_file_is_not_trusted(storage: Storage) -> None:
    storage.replace("a", b"mine")
    write_etag(storage, "a", "an ETag")
    assert not is_own(storage, "a")


def test_own_files_have_one_record_and_keep_their_order(storage: Storage) -> None:
    files = {name: name.encode() for name in NAMES}
    write_own_files(storage, files)
    assert len(storage.list(RECORDS)) == 1
    assert recorded_hashes(storage).keys() == files.keys()
    assert all(is_own(storage, name) for name in files)
    write_own_files(storage, files)  # the same command again
    write_own_files(storage, dict.fromkeys(files, b"new"))
    assert [storage.read(name) for name in files] == [b"new"] * len(files)
    storage.replace(NAMES[1], b"mine")
    with pytest.raises(OutputError, match="did not write") as caught:
        write_own_files(storage, dict.fromkeys(files, b"newer"))
    assert storage.display_name(NAMES[1]) in str(caught.value)
    assert [storage.read(name) for name in NAMES] == [b"newer", b"mine", b"new"]


def test_known_content_of_removed_file_is_written_again(storage: Storage) -> None:
    write_own_files(storage, {"a": b"new"}, {"a": b"known"})
    assert storage.read("a") == b"new"
