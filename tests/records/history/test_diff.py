"""Differences of two datasets, compared with a model."""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from records.errors import CorruptDataError, InputNotFoundError
from records.format.layout import SPLITS, SplitName
from records.history import diff
from records.history.changes import KINDS
from records.history.shift import ks_distance, stability_index
from records.storage import open_storage
from shardmill.cli import shardmill
from tests.datasets import DatasetBuilder, Source, encode_picture

LABELS = ("ant", "bee", "=cat")


@dataclass(frozen=True)
class Image:
    """An image of the model."""

    split: SplitName
    label: str
    seed: int


Model = dict[str, Image]


def write(folder: Path, model: Model, labels: tuple[str, ...] = LABELS) -> Path:
    """Write the dataset of a model, in shards of three records."""
    splits: dict[SplitName, list[list[Source]]] = {}
    for split in SPLITS:
        sources = [
            Source(key.encode(), labels.index(it.label), _picture(it.seed))
            for key, it in sorted(model.items())
            if it.split == split
        ]
        if sources:
            splits[split] = [sources[i : i + 3] for i in range(0, len(sources), 3)]
    DatasetBuilder(open_storage(folder), labels=labels).build(splits)  # type: ignore[arg-type]
    return folder


def _picture(seed: int) -> bytes:
    return encode_picture(seed, size=(4 + seed % 7, 3 + seed % 5), kind=("PNG", "JPEG")[seed % 2])


def draw_model(draw: random.Random, images: int) -> Model:
    keys = draw.sample([f"{name}/é{i}%.png" for name in "xyz" for i in range(20)], images)
    return {
        key: Image(draw.choice(SPLITS), draw.choice(LABELS), draw.randrange(30)) for key in keys
    }


def change_model(draw: random.Random, model: Model) -> Model:
    changed = dict(model)
    for key in draw.sample(sorted(model), len(model) // 2):
        it = changed.pop(key)
        kind = draw.randrange(5)
        if kind:
            changed[key] = Image(
                draw.choice(SPLITS) if kind == 1 else it.split,
                draw.choice(LABELS) if kind in {1, 2} else it.label,
                draw.randrange(30) if kind == 3 else it.seed,
            )
    return changed | draw_model(draw, 4)


def expected_changes(a: Model, b: Model) -> dict[str, set[str]]:
    both = a.keys() & b.keys()
    return {
        "added": b.keys() - a.keys(),
        "removed": a.keys() - b.keys(),
        "relabelled": {key for key in both if a[key].label != b[key].label},
        "moved": {key for key in both if a[key].split != b[key].split},
        "modified": {key for key in both if a[key].seed != b[key].seed},
        "updated": set(),  # these datasets keep no columns
    }


def unescape(key: str) -> str:
    return key.replace("%25", "%")


@pytest.mark.parametrize("seed", range(6))
def test_diff_of_random_datasets_matches_the_model(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    one = draw_model(draw, 25)
    other = change_model(draw, one)
    labels = tuple(draw.sample(LABELS, 3))
    found = diff(write(tmp_path / "a", one), write(tmp_path / "b", other, labels))
    expected = expected_changes(one, other)
    assert found.summary.changes == {kind: len(expected[kind]) for kind in KINDS}
    rows = found.changes.to_pylist()
    for kind in KINDS:
        assert {unescape(row["key"]) for row in rows if row[kind]} == expected[kind]
        first = [unescape(record.key) for record in found.summary.first[kind]]
        assert first == sorted(expected[kind])[:5]
    for row in rows:
        for side, model in (("a", one), ("b", other)):
            it = model.get(unescape(row["key"]))
            given = (row[f"split_{side}"], row[f"class_{side}"])
            assert given == ((it.split, it.label) if it else (None, None))
    assert (found.summary.records_a, found.summary.records_b) == (len(one), len(other))
    for split, counts in found.summary.classes.items():
        for name, pair in counts.items():
            assert pair == tuple(
                sum(it.split == split and it.label == name for it in model.values())
                for model in (one, other)
            )
    lines = list(csv.reader(io.StringIO(b"".join(found.csv_rows()).decode())))
    assert lines[0] == ["change", "key", "split_a", "split_b", "class_a", "class_b"]
    assert len(lines) - 1 == len(set().union(*expected.values()))
    assert not any(cell.startswith("=") for line in lines for cell in line)


def test_diff_of_equal_datasets_is_empty(tmp_path: Path) -> None:
    model = draw_model(random.Random(1), 20)
    found = diff(write(tmp_path / "a", model), write(tmp_path / "b", model, LABELS[::-1]))
    assert found.summary.changes == dict.fromkeys(KINDS, 0)
    assert found.summary.class_shift == 0
    assert (found.summary.width.ks, found.summary.bytes.ks) == (0, 0)
    assert found.summary.formats.psi == 0


def test_diff_reverse_exchanges_added_and_removed(tmp_path: Path) -> None:
    draw = random.Random(3)
    one = draw_model(draw, 25)
    a, b = write(tmp_path / "a", one), write(tmp_path / "b", change_model(draw, one))
    there, back = diff(a, b).summary, diff(b, a).summary
    assert there.changes["added"] == back.changes["removed"] > 0
    assert there.changes["relabelled"] == back.changes["relabelled"]
    assert (there.width.ks, there.class_shift) == (back.width.ks, back.class_shift)


def test_diff_numbers_are_those_of_all_images(tmp_path: Path) -> None:
    one = {f"x/{i}": Image("train", "ant", i) for i in range(14)}
    other = {f"x/{i}": Image("train", "bee" if i % 2 else "ant", i) for i in range(7, 21)}
    found = diff(write(tmp_path / "a", one), write(tmp_path / "b", other))
    widths = [[4 + it.seed % 7 for it in model.values()] for model in (one, other)]
    assert found.summary.width.median_a == sorted(widths[0])[6]
    for side, model in enumerate((one, other)):
        numbers = found.images[side].numbers["height"]
        assert sorted(numbers.tolist()) == sorted(3 + it.seed % 5 for it in model.values())
    formats = found.summary.formats.records
    assert formats == {"png": (7, 7), "jpeg": (7, 7)}
    assert found.summary.class_shift > 0.25  # type: ignore[operator]


def test_diff_command_writes_csv_plot_and_json(tmp_path: Path) -> None:
    draw = random.Random(5)
    one = draw_model(draw, 20)
    a, b = write(tmp_path / "a", one), write(tmp_path / "b", change_model(draw, one))
    names = [str(tmp_path / "changes.csv"), str(tmp_path / "shift.png")]
    given = ["diff", str(a), str(b), "--csv", names[0], "--plot", names[1], "--json"]
    ended = CliRunner().invoke(shardmill, given)
    assert ended.exit_code == 0, ended.output
    summary = json.loads(ended.output)
    assert summary["changes"]["added"] > 0
    assert Path(names[1]).read_bytes().startswith(b"\x89PNG")
    lines = Path(names[0]).read_bytes().splitlines()
    assert len(lines) > 1
    again = CliRunner().invoke(shardmill, given)
    assert again.exit_code == 73 or "already exists" in str(again.exception)


def test_diff_with_a_damaged_index_is_an_error(tmp_path: Path) -> None:
    model = draw_model(random.Random(1), 9)
    a, b = write(tmp_path / "a", model), write(tmp_path / "b", draw_model(random.Random(2), 9))
    next((b / "index").iterdir()).write_bytes(b"")
    with pytest.raises(CorruptDataError, match="index"):
        diff(a, b)
    with pytest.raises(InputNotFoundError):
        diff(a, tmp_path / "none")


@pytest.mark.parametrize("seed", range(20))
def test_ks_distance_is_the_largest_difference_of_the_fractions(seed: int) -> None:
    draw = np.random.default_rng(seed)
    a, b = (draw.integers(0, 12, draw.integers(1, 30)) for _ in "ab")
    expected = max(abs((a <= x).mean() - (b <= x).mean()) for x in range(-1, 13))
    assert ks_distance(a, b) == pytest.approx(expected)
    assert ks_distance(a, a) == 0


def test_distances_of_known_distributions() -> None:
    none = np.empty(0)
    assert ks_distance(none, np.array([1])) is None
    assert ks_distance(np.array([1, 2]), np.array([3])) == 1
    assert stability_index({"a": 3, "b": 1}, {"a": 6, "b": 2}) == 0
    shifted: Any = stability_index({"a": 1, "b": 1}, {"a": 3, "b": 1})
    assert shifted == pytest.approx(0.25 * np.log(1.5) - 0.25 * np.log(0.5))
    assert stability_index({}, {"a": 1}) is None
    assert np.isfinite(stability_index({"a": 1}, {"b": 1}))  # type: ignore[arg-type]
