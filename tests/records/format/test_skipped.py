"""The list of skipped files: order, bytes, and what is read back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from records.errors import CorruptDataError
from records.format.manifest import Counts, Generation
from records.format.skipped import SkippedFiles, load_skipped, read_skipped, write_skipped
from records.storage import open_storage
from records.text.keys import key_from_text

if TYPE_CHECKING:
    from pathlib import Path

KEYS = [b"a/%.txt", b"a/\xff\n", b"a\x00", b"b\xc3\xa9/", b"", *(b"%d" % n for n in range(9000))]


def generation(skipped: int, excluded: int) -> Generation:
    return Generation(1, "0" * 32, {}, Counts(skipped + excluded, 0, 0, skipped, excluded))


def listed(keys: list[bytes]) -> SkippedFiles:
    files = SkippedFiles()
    for key in keys:
        if key.endswith(b"7"):
            files.add(key, "excluded-class", f"class {len(key)}")
        else:
            files.add(key, "hidden" if len(key) % 2 else "not-an-image")
    return files


def test_skipped_list_any_order_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    write_skipped(storage, "skipped.jsonl", listed([b"of a killed run"]))
    contents = set()
    for seed in range(3):
        random.Random(seed).shuffle(KEYS)
        write_skipped(storage, "skipped.jsonl", listed(KEYS))
        contents.add((tmp_path / "skipped.jsonl").read_bytes())
    assert len(contents) == 1
    found = list(read_skipped(storage, 1))
    assert [key_from_text(file.key) for file in found] == sorted(KEYS)
    excluded = sum(file.outcome == "excluded" for file in found)
    loaded = load_skipped(storage, generation(len(KEYS) - excluded, excluded))
    assert list(loaded) == found
    assert (len(loaded), loaded.first(2)) == (len(KEYS), tuple(found[:2]))


@pytest.mark.parametrize("counts", [(1, 0), (0, 2), (1, 2), (2, 1), (0, 0)])
def test_skipped_list_other_counts_than_in_the_manifest_are_damage(
    tmp_path: Path, counts: tuple[int, int]
) -> None:
    storage = open_storage(tmp_path)
    write_skipped(storage, "skipped.jsonl", listed([b"1", b"7"]))
    assert len(load_skipped(storage, generation(1, 1))) == 2
    with pytest.raises(CorruptDataError, match=r"expected .* skipped, .* excluded"):
        load_skipped(storage, generation(*counts))


def test_skipped_list_absent_is_damage(tmp_path: Path) -> None:
    with pytest.raises(CorruptDataError, match="missing"):
        load_skipped(open_storage(tmp_path), generation(3, 4))
