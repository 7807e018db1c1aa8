"""The disk cache holds what the shards hold, is keyed by it, and is whole or absent."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from records.dataset import open_dataset
from records.errors import OutputError
from records.images import ImageOptions
from records.storage import atomic
from tests.trainers.conftest import write_shapes
from tests.trainers.input.test_pipeline import read
from trainers.config import ImageShape
from trainers.input import disk_cache as cache_module
from trainers.input.disk_cache import build_disk_cache, cache_key
from trainers.input.pipeline import ShardSource, ordered_batches, shuffled_batches
from trainers.input.selection import Selection, select_for_training
from trainers.input.shuffle import ShuffleSpec
from trainers.input.tensor_files import ArraySource

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = ImageShape(24, 32)


class Killed(BaseException):
    """As a signal would: past every `except Exception`."""


def open_source(folder: Path, shape: ImageShape = SHAPE) -> tuple[ShardSource, list[Selection]]:
    dataset = open_dataset(folder)
    return ShardSource.from_dataset(dataset, shape), list(select_for_training(dataset, None))


def fill(source: ShardSource, parts: list[Selection], below: Path) -> tuple[ArraySource, list[str]]:
    said: list[str] = []
    return build_disk_cache(source, *parts, below=below, on_message=said.append), said


def test_disk_cache_gives_same_batches_as_shards(shapes: Path, tmp_path: Path) -> None:
    source, parts = open_source(shapes)
    cache, _ = fill(source, parts, tmp_path)
    for part in parts:
        assert read(ordered_batches(cache, part, 16)) == read(ordered_batches(source, part, 16))
    order = ShuffleSpec(seed=1, end_epoch=2)
    shuffled = read(shuffled_batches(cache, parts[0], 16, order))
    assert shuffled == read(shuffled_batches(source, parts[0], 16, order))


def test_disk_cache_second_use_is_not_rebuilt(shapes: Path, tmp_path: Path) -> None:
    source, parts = open_source(shapes)
    cache, said = fill(source, parts, tmp_path)
    assert said[0].startswith("keeping decoded images")
    files = {path: path.stat().st_mtime_ns for path in cache.folder.iterdir()}
    assert len(files) == 3
    again, said = fill(source, parts, tmp_path)
    assert said[0].startswith("decoded images are kept")
    assert (again, {path: path.stat().st_mtime_ns for path in files}) == (cache, files)
    assert [path.name for path in tmp_path.iterdir()] == [cache.folder.name]


def test_cache_key_changes_with_shards_size_and_image_options(shapes: Path, tmp_path: Path) -> None:
    source, (training, validation) = open_source(shapes)
    write_shapes(tmp_path, {"train": [range(50), range(50, 90), range(91, 151)]})
    other_source, (other, _) = open_source(tmp_path)
    keys = [
        cache_key(source, training.shards),
        cache_key(source, training.shards[:2]),
        cache_key(other_source, other.shards),
        cache_key(ShardSource(source.storage, source.options, ImageShape(32, 24)), training.shards),
        cache_key(
            ShardSource(source.storage, ImageOptions(check="header"), SHAPE), training.shards
        ),
    ]
    assert len(set(keys)) == len(keys)
    assert cache_key(source, validation.shards) == keys[0]


def test_cache_key_changes_with_decoder_version(shapes: Path) -> None:
    source, (training, _) = open_source(shapes)
    keys = {cache_key(replace(source, decoder=each), training.shards) for each in (1, 2)}
    assert len(keys) == 2


@pytest.mark.parametrize("step", ["write_cache_shard", "fsync_tree"])
def test_disk_cache_killed_while_filling_is_rebuilt(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    source, parts = open_source(shapes)
    with monkeypatch.context() as patch:
        write = cache_module.write_cache_shard
        calls = iter(range(3))

        def die(*arguments: object) -> None:
            if next(calls) == 1 or step == "fsync_tree":
                raise Killed
            write(*arguments)  # type: ignore[arg-type]

        patch.setattr(cache_module if step == "write_cache_shard" else atomic, step, die)
        # A kill runs no clean-up either.
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            fill(source, parts, tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".unfinished")
    cache, said = fill(source, parts, tmp_path)
    assert said[0].startswith("keeping decoded images")
    assert list(tmp_path.iterdir()) == [cache.folder]
    assert len(read(ordered_batches(cache, parts[0], 16))) == parts[0].records


def test_disk_cache_filled_concurrently_uses_first_published(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, parts = open_source(shapes)
    fsync_tree = atomic.fsync_tree

    def fill_first(staged: Path) -> None:
        monkeypatch.setattr(atomic, "fsync_tree", fsync_tree)
        fill(source, parts, tmp_path)
        fsync_tree(staged)

    monkeypatch.setattr(atomic, "fsync_tree", fill_first)
    cache, _ = fill(source, parts, tmp_path)
    assert list(tmp_path.iterdir()) == [cache.folder]
    assert len(read(ordered_batches(cache, parts[0], 16))) == parts[0].records


def test_disk_cache_insufficient_space_is_refused_before_writing(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, parts = open_source(shapes)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="do not fit on this disk"):
        fill(source, parts, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_disk_cache_unwritable_folder_is_refused_with_hint(shapes: Path, tmp_path: Path) -> None:
    source, parts = open_source(shapes)
    (tmp_path / "file").touch()
    with pytest.raises(Exception, match="XDG_CACHE_HOME"):
        fill(source, parts, tmp_path / "file" / "below")
