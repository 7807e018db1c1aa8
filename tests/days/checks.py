"""Comparisons of a dataset with its model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from pipelines.fingerprints import read_fingerprints
from records import open_dataset, verify
from records.format.layout import CARD, MANIFEST, WORK_FOLDER
from records.format.manifest import read_manifest
from records.format.metadata.card import make_card
from records.storage import open_storage
from records.storage.work_folder import unfinished_command
from tests.days.model import Model, State, Stored


def read_records(dataset: str) -> dict[str, Stored]:
    """Return the records of a dataset by key."""
    found = [(name, each) for name, split in open_dataset(dataset).items() for each in split]
    records = {each.key: Stored(each.image, each.class_name, name) for name, each in found}
    assert len(records) == len(found), "two records have one key"
    return records


def read_number(dataset: str) -> int:
    """Return the number of the present generation; 0 without a dataset."""
    storage = open_storage(dataset)
    return 0 if storage.stat(MANIFEST) is None else read_manifest(storage).generations[-1].number


def read_labels(dataset: str) -> tuple[str, ...]:
    """Return the classes of a dataset, also those without records; none without a dataset."""
    storage = open_storage(dataset)
    return () if storage.stat(MANIFEST) is None else read_manifest(storage).labels


def read_renamed(dataset: str) -> dict[str, str]:
    """Return the stored keys of renamed files that a dataset has saved."""
    rows: list[dict[str, Any]] = read_fingerprints(open_storage(dataset)).to_pylist()
    return {
        row["key"].decode(): row["stored_key"].decode()
        for row in rows
        if row["stored_key"] is not None
    }


def check_renamed(dataset: str, model: Model) -> None:
    """Compare the saved stored keys of records."""
    records = model.state.records
    expected = {key: old for key, old in model.renamed.items() if old in records}
    found = {key: old for key, old in read_renamed(dataset).items() if old in records}
    assert found == expected


def check_description(dataset: str, described: str | None) -> None:
    """Compare the description, of which only the name is given, and the card."""
    storage = open_storage(dataset)
    manifest = read_manifest(storage)
    found = manifest.description
    assert (None if isinstance(found, msgspec.UnsetType) else found.name) == described
    assert storage.read(CARD) == make_card(manifest, has_grid=False)


def check_erased(dataset: str, model: Model, source: Collection[bytes]) -> None:
    """Check that no file contains an image that the dataset had, and has no more.

    Args:
        dataset: the dataset, without earlier generations.
        model: its model.
        source: the files of the source: an unfinished run may have stored them.
    """
    storage = open_storage(dataset)
    erased = {*model.state.removed.values()}
    if unfinished_command(storage) is None:
        erased |= model.stored - {*source}
    erased -= model.state.contents
    for name in storage.list():
        content = storage.read(name)
        assert not [image for image in erased if image in content], name


def check_signature(dataset: str, key: Path, signed: int | None, model: Model) -> None:
    """Check that a signature is valid for the signed generation, and for no other one."""
    found = [finding.kind for finding in verify(dataset, key=key)]
    assert found == ([] if signed == read_number(dataset) else ["signature"]), (found, signed)
    if signed in model.generations:
        assert list(verify(f"{dataset}@{signed}", key=key)) == []


def check_log(output: str, model: Model) -> None:
    """Compare the output of `log --json` with the generations that can be read."""
    entries = {entry["generation"]: entry for entry in json.loads(output)["generations"]}
    for number, state in model.generations.items():
        entry, before = entries[number], model.generations.get(number - 1)
        assert entry["is_readable"], entry
        assert entry["records"] == len(state.records), entry
        if before is not None and entry["provenance"]["command"].partition(" ")[0] != "rollback":
            changes = count_changes(before, state)
            kinds = ["added", "removed"] + ["relabelled"] * (before.names == state.names)
            expected = {kind: changes[kind] for kind in kinds}
            assert {kind: entry[kind] for kind in kinds} == expected, (entry, expected)


def check_diff(output: str, one: State, other: State) -> None:
    """Compare the output of `diff --json` with the states of two generations."""
    found = json.loads(output)
    assert (found["records_a"], found["records_b"]) == (len(one.records), len(other.records))
    none = dict.fromkeys(found["changes"], 0)  # such as changes of kept columns
    assert found["changes"] == none | count_changes(one, other)


def count_changes(one: State, other: State) -> dict[str, int]:
    """Return the numbers of records that differ between two states, by kind."""
    pairs = [
        (record, other.records[key]) for key, record in one.records.items() if key in other.records
    ]
    return {
        "added": len(other.records.keys() - one.records.keys()),
        "removed": len(one.records.keys() - other.records.keys()),
        "relabelled": sum(a.class_name != b.class_name for a, b in pairs),
        "moved": sum(a.split != b.split for a, b in pairs),
        "modified": sum(a.content != b.content for a, b in pairs),
    }


def count_splits(state: State) -> dict[str, int]:
    """Return the number of records of each split."""
    return dict(Counter(str(record.split) for record in state.records.values()))


def is_state(name: str) -> bool:
    """Return whether a file is the state of an unfinished run, not a file of the dataset."""
    return name.startswith(f"{WORK_FOLDER}/")
