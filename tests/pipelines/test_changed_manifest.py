"""Every change of `dataset.json` is found by every command that reads it."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from records.dataset import open_dataset
from records.errors import CorruptDataError, ShardmillError
from records.format import layout
from records.format.manifest import ManifestFile, decode_manifest
from shardmill.cli import shardmill
from tests.datasets import sign_manifest
from tests.pipelines.pictures import CORRUPT, make_file, make_folders, make_picture

COMMANDS: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "DATA"),
    "verify file": ("verify", "DATA/dataset.json"),
    "stats": ("stats", "DATA"),
    "stats --near": ("stats", "DATA", "--near"),
    "inspect": ("inspect", "DATA"),
    "extract": ("extract", "DATA", "NEW"),
    "compact": ("compact", "DATA", "NEW"),
    "compact --dry-run": ("compact", "DATA", "NEW", "--dry-run"),
    "convert": ("convert", "SOURCE", "DATA"),
    "append": ("convert", "SOURCE", "DATA", "--append"),
    "adopt": ("adopt", "DATA/train-00000-of-00001.tfrecord", "DATA", "--dry-run"),
    "train --dry-run": ("train", "DATA", "NEW", "--dry-run"),
}
CHANGED = "the manifest was changed after it was written"
OTHER: dict[object, object] = {
    "decode": "header",
    "source": "jpeg",
    "stretch": "crop",
    "classification": "multi-label",
    "FFFFFF": "000000",
    "train-00000-of-00001.tfrecord": "train-00000-of-00002.tfrecord",
    "test-00000-of-00001.tfrecord": "test-00000-of-00002.tfrecord",
}
"""Another valid value for the values that have a form of their own."""
ABSENT: dict[str, object] = {
    "resize": [8, 8],
    "group_by": "parent",
    "shards": 3,
    "validation": 0.25,
    "label": 0,
    "adopted": {
        "features": {"image": "a", "label": "b", "text": None, "key": None},
        "first_label": 1,
        "preexisting": [],
    },
}
"""A valid value for each field that is null in the dataset."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset of two generations, with splits and a reject, next to its source."""
    folder = tmp_path_factory.mktemp("changed")
    source = make_folders(folder / "source", cat=6, dog=5)
    make_file(source, "dog/bad.png", CORRUPT)
    options: dict[str, Any] = {
        "source": str(source),
        "output": str(folder / "data"),
        "max_rejects": 1,
    }
    convert(ConvertOptions(**options, test=0.3, seed=2))
    make_file(source, "cat/more.png", make_picture(99))
    convert(ConvertOptions(**options, append=True))
    return folder / "data"


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the place and the value of everything in JSON that is neither object nor array."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in items:
        if isinstance(inner, dict | list):
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name), inner


def another(name: object, value: Any) -> object:
    """Return another valid value of a field."""
    if value in OTHER:
        return OTHER[value]
    if value is None:
        return ABSENT[str(name)]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return 1 if name == "channels" else value + (1 if isinstance(value, int) else 0.125)
    assert isinstance(value, str)
    if name in {"sha256", "xxh3_128", "plan_digest", "test", "validation"}:
        return f"{int(value[0], 16) ^ 1:x}{value[1:]}"
    return f"{value}s"


def other_values(content: bytes) -> dict[str, bytes]:
    """Return the manifest with each leaf changed to another valid value, by the place."""
    fields = json.loads(content)
    changed = {}
    for path, value in leaves(fields):
        if path == ("format_version",):
            continue  # there is no other valid value
        altered = copy.deepcopy(fields)
        place: Any = altered
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = another(path[-1], value)
        text = json.dumps(altered, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        changed["/".join(map(str, path))] = text.encode()
    return changed


def other_bytes(content: bytes) -> dict[str, bytes]:
    """Return other encodings of the same values."""
    fields = json.loads(content)
    return {
        "no indentation": json.dumps(fields, sort_keys=True).encode(),
        "no line feed at the end": content[:-1],
        "a blank line at the end": content + b"\n",
        "a space": content.replace(b'"seed": 2', b'"seed":  2'),
        "CRLF": content.replace(b"\n", b"\r\n"),
        "key order": json.dumps(dict(reversed(fields.items())), indent=2).encode() + b"\n",
        "an escape": content.replace(b'"cat"', rb'"c\u0061t"'),
        "a fraction": content.replace(b'"test": 0.3,', b'"test": 0.30,'),
        "a default": content.replace(b'"records": 1,', b'"excluded_records": 0, "records": 1,'),
        "a signed order": json.dumps(json.loads(sign_manifest(fields))).encode(),
        "a large integer": content.replace(b'"seed": 2', b'"seed": 36893488147419103232'),
    }


def duplicates(content: bytes) -> dict[str, bytes]:
    return {
        "same value": content.replace(b'"seed": 2', b'"seed": 2,\n    "seed": 2'),
        "other value": content.replace(b'"seed": 2', b'"seed": 3,\n    "seed": 2'),
        "digest": content.replace(
            b'  "sha256": "', b'  "sha256": "' + b"0" * 64 + b'",\n  "sha256": "', 1
        ),
    }


def test_every_leaf_of_a_manifest_has_another_valid_value(data: Path) -> None:
    content = (data / layout.MANIFEST).read_bytes()
    changed = other_values(content)
    assert {"settings/seed", "thresholds/0/test", "labels/0", "sha256"} <= changed.keys()
    assert len(changed) == sum(1 for _ in leaves(json.loads(content))) - 1
    for place, altered in changed.items():
        msgspec.json.decode(altered, type=ManifestFile)  # only the digest shows the change
        with pytest.raises(CorruptDataError, match=CHANGED):
            decode_manifest(altered, path=place)


def test_other_bytes_of_the_same_manifest_are_refused(data: Path) -> None:
    content = (data / layout.MANIFEST).read_bytes()
    decode_manifest(content, path="a")
    for what, altered in other_bytes(content).items():
        assert altered != content, what
        with pytest.raises(CorruptDataError, match=CHANGED):
            decode_manifest(altered, path=what)
    for what, altered in duplicates(content).items():
        assert altered != content, what
        with pytest.raises(CorruptDataError, match=r"not a manifest.* twice"):
            decode_manifest(altered, path=what)


@pytest.fixture
def changed(data: Path, tmp_path: Path) -> Path:
    """Return a copy of the dataset whose manifest is changed by the test."""
    shutil.copytree(data, tmp_path / "data")
    return tmp_path / "data"


def run(command: str, data: Path, source: Path) -> str:
    """Return the error of a command, or what it has printed if it ends with findings."""
    new = data.with_name("new")
    places = {"NEW": str(new), "SOURCE": str(source)}
    given = [places.get(text, text.replace("DATA", str(data))) for text in COMMANDS[command]]
    result = CliRunner().invoke(shardmill, given)
    assert result.exit_code != 0, (command, result.output)
    assert not new.exists(), command
    if isinstance(result.exception, ShardmillError):
        return str(result.exception)
    assert (COMMANDS[command][0], result.exit_code) == ("verify", 1), result.exception
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_command_refuses_every_changed_manifest(command: str, data: Path, changed: Path) -> None:
    manifest = changed / layout.MANIFEST
    content = manifest.read_bytes()
    alterations = {**other_values(content), **other_bytes(content)}
    for what, altered in alterations.items():
        manifest.write_bytes(altered)
        assert CHANGED in run(command, changed, data.with_name("source")), what
        assert manifest.read_bytes() == altered
    for what, altered in duplicates(content).items():
        manifest.write_bytes(altered)
        assert "twice" in run(command, changed, data.with_name("source")), what


@pytest.mark.parametrize("change", [other_values, other_bytes, duplicates])
def test_open_dataset_refuses_every_changed_manifest(
    changed: Path, change: Callable[[bytes], dict[str, bytes]]
) -> None:
    manifest = changed / layout.MANIFEST
    for altered in change(manifest.read_bytes()).values():
        manifest.write_bytes(altered)
        with pytest.raises(CorruptDataError, match=f"{CHANGED}|twice"):
            open_dataset(changed)


def test_hint_of_changed_manifest_names_the_command_that_made_the_dataset(changed: Path) -> None:
    manifest = changed / layout.MANIFEST
    content = manifest.read_bytes()
    manifest.write_bytes(content.replace(b'"seed": 2', b'"seed": 3'))
    with pytest.raises(
        CorruptDataError, match=r"from a copy, or convert again.* `shardmill convert"
    ):
        open_dataset(changed)
    manifest.write_bytes(other_values(content)["adopted"])
    with pytest.raises(CorruptDataError, match=r"from a copy, or remove it.* `shardmill adopt"):
        open_dataset(changed)
