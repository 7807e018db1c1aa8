"""The manifest: canonical, strict, and never believed where it contradicts itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from records.errors import CorruptDataError, InputNotFoundError
from records.format.manifest import decode_manifest, encode_manifest, read_manifest
from records.storage import open_storage
from tests.datasets import sign_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from records.format.manifest import Manifest


@pytest.fixture
def manifest(build_dataset: Callable[..., Path]) -> Manifest:
    return read_manifest(open_storage(build_dataset()))


def test_manifest_round_trip_is_equal(manifest: Manifest) -> None:
    assert decode_manifest(encode_manifest(manifest), path="a") == manifest


def test_encode_manifest_is_canonical(manifest: Manifest) -> None:
    backwards = msgspec.structs.replace(manifest, splits=dict(reversed(manifest.splits.items())))
    content = encode_manifest(manifest)
    assert encode_manifest(backwards) == content
    assert content.endswith(b"}\n")
    assert encode_manifest(decode_manifest(content, path="a")) == content


def set_at(place: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return a function that sets one value; `place` is its path, with numbers for list items."""

    def change(content: dict[str, Any]) -> None:
        *path, last = [int(part) if part.isdigit() else part for part in place.split("/")]
        inner: Any = content
        for part in path:
            inner = inner[part]
        inner[last] = value

    return change


BOUNDS = {"test": "1" * 16, "validation": "1" * 16}


@pytest.mark.parametrize("labels", [[None], [2**70], [99], [0, 0]])
def test_decode_manifest_stratified_thresholds_of_other_labels_raise_corrupt_data(
    manifest: Manifest, labels: list[int | None]
) -> None:
    content = json.loads(encode_manifest(manifest))
    content["settings"] |= {"stratify": True, "test": 0.2}
    content["thresholds"] = [{**BOUNDS, "label": 0}]
    decode_manifest(sign_manifest(content), path="a")
    content["thresholds"] = [{**BOUNDS, "label": label} for label in labels]
    with pytest.raises(CorruptDataError):
        decode_manifest(sign_manifest(content), path="a")


@pytest.mark.parametrize("labels", [[0], [None, None], []])
def test_decode_manifest_iterative_thresholds_of_a_label_raise_corrupt_data(
    manifest: Manifest, labels: list[int | None]
) -> None:
    content = json.loads(encode_manifest(manifest))
    content["settings"] |= {"stratify": True, "test": 0.2, "task": "multi-label"}
    content["thresholds"] = [{**BOUNDS, "label": None}]
    decode_manifest(sign_manifest(content), path="a")
    content["thresholds"] = [{**BOUNDS, "label": label} for label in labels]
    with pytest.raises(CorruptDataError):
        decode_manifest(sign_manifest(content), path="a")


def delete_at(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.pop(name)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (set_at("format_version", 4), "of a later version"),
        (set_at("format_version", 2), "of an earlier version"),
        (set_at("splits/train/shards/0/excluded_records", 1), "match its split"),
        (set_at("settings/test", 0.2), "in the thresholds of the splits"),
        (set_at("thresholds", [{**BOUNDS, "label": 0}]), "in the thresholds of the splits"),
        (set_at("thresholds", [{**BOUNDS, "label": None}] * 2), "in the thresholds of the splits"),
        (set_at("format_version", "1"), "not a manifest"),
        (set_at("something", 1), "not a manifest"),
        (delete_at("labels"), "not a manifest"),
        (set_at("labels", []), "there are no classes"),
        (set_at("labels", ["a", "a", "b"]), "duplicate class name"),
        (set_at("labels", ["a", "b", "c\x07"]), "control characters"),
        (set_at("labels", ["a", "b"]), "contradicts itself in the number of classes of"),
        (
            set_at("splits/train/records", 13),
            "contradicts itself in the number of records of train",
        ),
        (set_at("splits/train/records", -1), "not a manifest"),
        (set_at("splits/train/bytes", 13), "contradicts itself in the number of bytes of train"),
        (set_at("splits/train/class_records/0", 9), "in the number of records of train by class"),
        (set_at("splits/train/shards/0/records", 9), "in the number of records of train"),
        (set_at("splits/train/shards/0/xxh3_128", "x" * 32), "not a manifest"),
        (set_at("splits/train/shards/0/xxh3_128", "0" * 31), "not a manifest"),
        (set_at("splits/train/shards/0/name", "../../etc/passwd"), "not a manifest"),
        (set_at("splits/train/shards/0/name", "/train-00000-of-00002.tfrecord"), "not a manifest"),
        (set_at("splits/train/shards/0/name", "test-00000-of-00002.tfrecord"), "match its split"),
        (set_at("splits/train/shards/0/name", "train-00001-of-00002.tfrecord"), "a shard twice"),
        (set_at("splits/train/shards/0/name", "train-00002-of-00002.tfrecord"), "match its split"),
        (set_at("generations/0/counts/stored", 16), "in the number of records of all splits"),
        (set_at("generations/0/counts/found", 16), "in the number of files found"),
        (set_at("generations", []), "no generations, or not in order"),
        (lambda m: m["generations"].append(m["generations"][0]), "not in order"),
        (set_at("settings/images/check", "none"), "not a manifest"),
        (set_at("settings/images/jpeg_quality", 0), "out of range"),
    ],
)
def test_decode_manifest_contradiction_raises_corrupt_data(
    manifest: Manifest, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    content = json.loads(encode_manifest(manifest))
    change(content)
    with pytest.raises(CorruptDataError, match=told) as found:
        decode_manifest(sign_manifest(content), path="data/dataset.json")
    assert "data/dataset.json" in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"{", b"\xff"])
def test_decode_manifest_invalid_json_raises_corrupt_data(content: bytes) -> None:
    with pytest.raises(CorruptDataError, match="not a manifest"):
        decode_manifest(content, path="a")


def test_read_manifest_missing_raises_input_not_found_with_hint(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="make a dataset with `shardmill convert") as found:
        read_manifest(open_storage(tmp_path / "no"))
    assert found.value.exit_code == 66


@pytest.mark.parametrize("command", ["convert", "compact", "adopt", None])
def test_read_manifest_unfinished_run_raises_input_not_found_with_its_command(
    tmp_path: Path, command: str | None
) -> None:
    storage = open_storage(tmp_path)
    storage.replace(".shardmill/plan.json", b"")
    if command is not None:
        storage.replace(".shardmill/command", command.encode())
    again = f"the same `shardmill {command}` command" if command else "the command of this run"
    with pytest.raises(InputNotFoundError, match=f"is unfinished.*run {again} again"):
        read_manifest(storage)
