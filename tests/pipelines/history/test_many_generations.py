"""Generations whose numbers have five digits."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipelines.compact import compact
from pipelines.edit import remove
from pipelines.prune import prune
from pipelines.rollback import make_rollback, rollback
from pipelines.writing.publish import derived_files
from records import verify
from records.format import layout
from records.format.manifest import encode_manifest, read_manifest
from records.generations import list_saved
from records.storage import open_storage
from tests.pipelines.history.grown import Grown, keys_at


def make_generation_9999(grown: Grown) -> None:
    """Make generation 9999 of a dataset with one generation: a rollback to that one."""
    storage = open_storage(grown.location)
    first = read_manifest(storage)
    before = msgspec.structs.replace(first.generations[-1], number=9998)
    manifest = make_rollback(first, msgspec.structs.replace(first, generations=(before,)))
    files = {
        **derived_files(manifest),
        layout.generation_path(layout.REJECTS, 9999): b"",
        layout.generation_path(layout.SKIPPED, 9999): storage.read(layout.SKIPPED),
        layout.MANIFEST: encode_manifest(manifest),
    }
    for name, content in files.items():
        storage.replace(name, content)


def test_generations_after_9999_are_added_edited_and_pruned(tmp_path: Path) -> None:
    grown = Grown(tmp_path / "source", str(tmp_path / "data"))
    grown.grow(1)
    make_generation_9999(grown)
    assert list(verify(grown.location)) == []
    assert grown.append(["cat/a.png", "cat/b.png"]).generation == 10_000
    assert remove(grown.location, keys=["cat/a.png"]).generation == 10_001
    expected = {10_000: keys_at(grown.location) | {"cat/a.png"}, 10_001: keys_at(grown.location)}
    assert compact(grown.location, in_place=True).generation == 10_002
    assert rollback(grown.location, to=10_000).generation == 10_003
    for number, keys in expected.items():
        assert keys_at(grown.at(number)) == keys
        assert list(verify(grown.at(number), decode=True)) == []
    assert list_saved(open_storage(grown.location)) == [9999, 10_000, 10_001, 10_002]
    prune(grown.location, older_than="0")
    assert keys_at(grown.location) == expected[10_000]
    assert list(verify(grown.location, decode=True)) == []
    assert list_saved(open_storage(grown.location)) == []
