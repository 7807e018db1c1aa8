"""Hashes are computed once, kept beside the index, and never those of another shard."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from records import verify
from records.dataset import open_dataset
from records.dedup import hash_cache
from records.dedup.hash_cache import PERCEPTUAL_HASHES, STATES, Hashes, to_hashes
from records.dedup.perceptual_hash import WINDOWS, WORDS, hash_picture
from records.errors import AccessDeniedError, CorruptDataError
from records.format.layout import measurement_name
from records.measurements import DatasetMeasurer
from records.measurements.files import read_saved, save
from records.storage import open_storage
from records.storage.local import LocalStorage
from tests.datasets import DatasetBuilder, Source, encode_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHARDS = 3


@pytest.fixture
def folder(build_dataset: Callable[..., Path]) -> Path:
    return build_dataset()


def hash_all(folder: Path) -> tuple[Hashes, DatasetMeasurer]:
    hashing = DatasetMeasurer(open_dataset(folder), PERCEPTUAL_HASHES)
    return to_hashes(hashing.run()), hashing


def same(one: Hashes, other: Hashes) -> bool:
    return np.array_equal(one.states, other.states) and np.array_equal(one.words, other.words)


@pytest.fixture
def count_hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counted: list[int] = []

    def count(pixels: np.ndarray) -> np.ndarray | None:
        counted.append(1)
        return hash_picture(pixels)

    monkeypatch.setattr(hash_cache, "hash_picture", count)
    return counted


def kept_files(folder: Path) -> list[Path]:
    return sorted((folder / "hashes").glob("*.parquet"))


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_hash_cache_second_run_computes_no_hashes(folder: Path, count_hashed: list[int]) -> None:
    first, _ = hash_all(folder)
    assert len(count_hashed) == len(first.states) == 17
    assert len(kept_files(folder)) == SHARDS
    second, _ = hash_all(folder)
    assert len(count_hashed) == 17
    assert same(first, second)


def test_hash_cache_adds_only_hash_files_and_dataset_still_verifies(folder: Path) -> None:
    before = files_of(folder)
    hash_all(folder)
    assert files_of(folder) == before | set(kept_files(folder))
    assert not (folder / ".shardmill").exists()
    assert list(verify(folder)) == []


def test_verify_hash_file_without_shard_is_a_finding(folder: Path) -> None:
    hash_all(folder)
    stray = folder / "hashes" / "train-00009-of-00010.parquet"
    stray.write_bytes(kept_files(folder)[0].read_bytes())
    assert [finding.file for finding in verify(folder)] == ["hashes/train-00009-of-00010.parquet"]


def test_hash_cache_file_of_different_shard_is_recomputed(
    folder: Path, count_hashed: list[int]
) -> None:
    hash_all(folder)
    paths = kept_files(folder)
    contents = [path.read_bytes() for path in paths]
    paths[1].write_bytes(contents[2])
    count_hashed.clear()
    hash_all(folder)
    assert 0 < len(count_hashed) < 17
    assert [path.read_bytes() for path in paths] == contents


def test_hash_cache_changed_method_recomputes_all_hashes(
    folder: Path, count_hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_all(folder)
    other = replace(PERCEPTUAL_HASHES, method="another")
    DatasetMeasurer(open_dataset(folder), other).run()
    assert len(count_hashed) == 2 * 17


def test_hash_cache_damaged_file_is_recomputed(folder: Path) -> None:
    expected, _ = hash_all(folder)
    path = kept_files(folder)[0]
    content = path.read_bytes()
    damages = [
        content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :]
        for at in range(0, len(content), 41)
    ]
    damages += [content[:size] for size in range(0, len(content), 97)]
    storage, shard = open_storage(folder), open_dataset(folder)["test"].info.shards[0]
    for damage in damages:
        path.write_bytes(damage)
        found = read_saved(storage, shard, PERCEPTUAL_HASHES)
        last = Hashes(expected.states[-5:], expected.words[-5:])
        assert found is None or same(to_hashes(found), last)
    hashes, hashing = hash_all(folder)
    assert same(hashes, expected)
    assert path.read_bytes() == damages[-1], "only the user knows whose file this is"
    assert path.name in str(hashing.save_error)
    path.unlink()
    hash_all(folder)
    assert path.read_bytes() == content


def test_hash_cache_file_that_may_not_be_read_is_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = hash_all(folder)
    real = LocalStorage.read

    def read(storage: LocalStorage, name: str) -> bytes:
        if name.startswith("hashes/"):
            raise AccessDeniedError("cannot be read", path=name)
        return real(storage, name)

    monkeypatch.setattr(LocalStorage, "read", read)
    hashes, hashing = hash_all(folder)
    assert same(hashes, expected)
    assert hashing.save_error is not None


def test_hash_cache_unwritable_folder_returns_hashes_and_reports_why(folder: Path) -> None:
    expected, _ = hash_all(folder)
    for path in kept_files(folder):
        path.unlink()
    (folder / "hashes").rmdir()
    (folder / "hashes").write_text("a file is where the folder should be")
    hashes, hashing = hash_all(folder)
    assert same(hashes, expected)
    assert "cannot be written" in str(hashing.save_error)
    assert not (folder / ".shardmill").exists()


def test_hash_cache_disk_full_leaves_no_partial_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        _, hashing = hash_all(folder)
    assert "the disk is full" in str(hashing.save_error)
    assert kept_files(folder) == []
    assert not (folder / ".shardmill").exists()


def test_hash_cache_write_then_read_restores_states(folder: Path) -> None:
    shard = open_dataset(folder)["test"].info.shards[0]
    words = np.random.default_rng(0).integers(0, 2**64, (5, WINDOWS, WORDS), np.uint64)
    states = [STATES[number] for number in (0, 1, 2, 0, 1)]
    columns = [states, [each.astype("<u8").tobytes() for each in words]]
    storage, schema = open_storage(folder), PERCEPTUAL_HASHES.schema
    save(storage, shard, PERCEPTUAL_HASHES, pa.table(columns, schema=schema))
    found = read_saved(storage, shard, PERCEPTUAL_HASHES)
    assert found is not None
    assert same(to_hashes(found), Hashes(np.array([0, 1, 2, 0, 1], np.uint8), words))
    assert (folder / measurement_name(shard.name, "hashes")).exists()


def test_hash_cache_single_colour_images_have_state_flat(tmp_path: Path) -> None:
    flat = [encode_picture(seed, size=(1, 1)) for seed in range(3)]
    sources = [Source(b"%d" % number, 0, data) for number, data in enumerate(flat)]
    sources.append(Source(b"x", 0, encode_picture(9, size=(9, 9))))
    DatasetBuilder(open_storage(tmp_path)).build({"train": [sources]})
    hashes, _ = hash_all(tmp_path)
    assert [STATES[state] for state in hashes.states] == ["flat"] * 3 + ["hashed"]


def test_hash_cache_undecodable_image_has_state_undecodable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_arguments: object, **_options: object) -> None:
        raise CorruptDataError("image is truncated")

    monkeypatch.setattr(hash_cache, "decode_thumbnail", damaged)
    hashes, _ = hash_all(folder)
    assert {STATES[state] for state in hashes.states} == {"undecodable"}


def test_hash_cache_on_object_storage_equals_local_hashes(
    folder: Path, build_dataset: Callable[..., Path]
) -> None:
    url = "memory://hash-store/data"
    storage = open_storage(url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with storage.create(path.relative_to(folder).as_posix()) as stream:
                stream.write(path.read_bytes())
    expected, _ = hash_all(folder)
    hashing = DatasetMeasurer(open_dataset(url), PERCEPTUAL_HASHES)
    assert same(to_hashes(hashing.run()), expected)
    assert hashing.save_error is None
    assert sum(name.startswith("hashes/") for name in storage.list()) == SHARDS
    assert list(verify(url)) == []
