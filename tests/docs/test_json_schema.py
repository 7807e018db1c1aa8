"""The published JSON Schemas, against the files and the output of real commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator

from docs.scripts.json_schema import FOLDER, KINDS
from shardmill import adopt, convert, relabel, remove
from tests.datasets import encode_picture


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two generations with rejects, splits and groups, and of two edits."""
    folder = tmp_path_factory.mktemp("schema")
    for number in range(12):
        file = folder / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode_picture(number) if number else b"no image")
    (folder / "photos" / "a" / "notes.txt").touch()
    options: dict[str, Any] = {"test": 0.3, "group_by": "stem", "max_rejects": 1}
    convert(folder / "photos", folder / "data", **options)
    (folder / "photos" / "a" / "more.png").write_bytes(encode_picture(99))
    convert(folder / "photos", folder / "data", append=True, **options)
    remove(folder / "data", ["a/more.png", "b/1.png"])
    relabel(folder / "data", {"b/3.png": "a"})
    return folder / "data"


def read_documents(dataset: Path) -> list[tuple[str, Any]]:
    """Return all JSON of a dataset, each with the name of its schema."""
    found = [
        ("dataset", json.loads((dataset / "dataset.json").read_text())),
        ("report", json.loads((dataset / "report.json").read_text())),
    ]
    provenances = dataset.rglob("provenance.json")
    found += [("provenance", json.loads(file.read_text())) for file in provenances]
    for name, kind in (
        ("rejects.jsonl", "reject"),
        ("skipped.jsonl", "skipped"),
        ("removed.jsonl", "removed"),
        ("relabelled.jsonl", "relabelled"),
    ):
        for file in dataset.rglob(name):
            found += [(kind, json.loads(line)) for line in file.read_text().splitlines()]
    for index in dataset.rglob("index/*.parquet"):
        found.append(("index-summary", json.loads(pq.read_metadata(index).metadata[b"shardmill"])))
    return found


def test_json_schemas_accept_the_files_of_a_dataset(dataset: Path) -> None:
    documents = read_documents(dataset)
    assert {name for name, _ in documents} == set(KINDS)
    for name, document in documents:
        validator(name).validate(document)


def test_json_schema_accepts_the_manifest_of_adopted_files(dataset: Path, tmp_path: Path) -> None:
    shard = next(dataset.glob("train-*.tfrecord"))
    (tmp_path / "train-0.tfrecord").write_bytes(shard.read_bytes())
    adopt(tmp_path / "train-0.tfrecord", tmp_path)
    validator("dataset").validate(json.loads((tmp_path / "dataset.json").read_text()))


def test_json_schemas_refuse_other_names_and_other_versions(dataset: Path) -> None:
    for name, document in read_documents(dataset):
        # These may get more fields; the others get another format version.
        is_open = name in {"provenance", "report", "skipped"}
        assert validator(name).is_valid({**document, "other": 1}) == is_open, name
        if "format_version" in document:
            assert not validator(name).is_valid({**document, "format_version": 2}), name
