"""Datasets during and after a killed removal, relabelling or compaction in place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.compact import compact
from pipelines.edit import relabel, remove
from records import open_dataset, verify
from records.format import layout
from tests.faults.calls import Faults, KilledError
from tests.pipelines.conftest import Convert
from tests.pipelines.pictures import content_of, make_file, make_picture

pytestmark = pytest.mark.usefixtures("without_helper_processes")
EVERY = pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
KEYS = ["cat/000.png", "dog/003.png", "cat/new1.png"]


def die() -> None:
    raise KilledError


@pytest.fixture
def base(convert: Convert, source: Path, tmp_path: Path) -> Path:
    """Return a dataset of two generations."""
    base = tmp_path / "base"
    convert(output=str(base), test=4, shards=2)
    for number in range(7):
        make_file(source, f"cat/new{number}.png", make_picture(5000 + number))
    convert(output=str(base), append=True)
    return base


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch, "change", "removal")


def keys_of(dataset: Path) -> set[str]:
    return {record.key for split in open_dataset(dataset).values() for record in split}


def classes_of(dataset: Path) -> dict[str, str]:
    splits = open_dataset(dataset).values()
    return {record.key: record.class_name for split in splits for record in split}


def remove_images(dataset: Path) -> None:
    remove(str(dataset), keys=KEYS)


def relabel_images(dataset: Path) -> None:
    """Give images another class, and one of them a new class, which changes every generation."""
    relabel(str(dataset), dict.fromkeys(KEYS, ("élan",)), allow_new_classes=True)


def compact_images(dataset: Path) -> None:
    compact(str(dataset), in_place=True)


@pytest.mark.parametrize(
    "edit", [remove_images, relabel_images, pytest.param(compact_images, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("step", [73, EVERY])
def test_edit_killed_at_any_call_is_whole_or_absent_and_is_finished_by_the_same_command(
    base: Path, tmp_path: Path, faults: Faults, edit: Callable[[Path], None], step: int
) -> None:
    before, whole = classes_of(base), tmp_path / "whole"
    shutil.copytree(base, whole)
    edit(whole)
    after, expected = classes_of(whole), content_of(whole)
    assert content_of(base) != expected
    number, is_killed, states = 1, True, []
    while is_killed:
        output = tmp_path / f"{number}"
        shutil.copytree(base, output)
        try:
            with faults.at(number, die):
                edit(output)
            is_killed = False
        except KilledError:
            pass
        assert list(verify(output)) == [], number
        states.append(classes_of(output))
        edit(output)
        assert list(verify(output)) == [], number
        assert not (output / layout.WORK_FOLDER).exists(), number
        assert content_of(output) == expected, number
        shutil.rmtree(output)
        number += step
    assert all(state in (before, after) for state in states)
    assert before in states


@pytest.mark.parametrize("step", [113, EVERY])
@pytest.mark.parametrize("rename", [{}, pytest.param({"cat": "felis"}, marks=pytest.mark.slow)])
def test_append_with_edits_killed_at_any_call_is_whole_or_absent_and_is_finished(
    base: Path,
    convert: Convert,
    tmp_path: Path,
    faults: Faults,
    *,
    step: int,
    rename: dict[str, str],
) -> None:
    source = tmp_path / "source"
    (source / "cat/002.png").rename(source / "dog/moved.png")
    (source / "cat/003.png").unlink()
    make_file(source, "dog/last.png", make_picture(6000))
    before = classes_of(base)
    after = {key: name for key, name in before.items() if key != "cat/003.png"}
    after |= {"cat/002.png": "dog", "dog/last.png": "dog"}
    for old, new in rename.items():
        (source / old).rename(source / new)
        after = {key: new if name == old else name for key, name in after.items()}
    number, is_killed, states = 1, True, []
    while is_killed:
        output = tmp_path / f"{number}"
        shutil.copytree(base, output)
        try:
            with faults.at(number, die):
                convert(output=str(output), append=True, accept_gone=True, rename_class=rename)
            is_killed = False
        except KilledError:
            pass
        assert list(verify(output)) == [], number
        states.append(classes_of(output))
        report = convert(output=str(output), append=True, accept_gone=True, rename_class=rename)
        assert report.generation == 3
        assert classes_of(output) == after, number
        assert list(verify(output)) == [], number
        assert not (output / layout.WORK_FOLDER).exists(), number
        shutil.rmtree(output)
        number += step
    assert all(state in (before, after) for state in states)
    assert before in states


@pytest.mark.parametrize("step", [113, EVERY])
def test_append_after_killed_removal_discards_it(
    base: Path, convert: Convert, tmp_path: Path, faults: Faults, step: int
) -> None:
    before = keys_of(base)
    make_file(tmp_path / "source", "cat/last.png", make_picture(6000))
    number, is_killed = 1, True
    while is_killed:
        output = tmp_path / f"{number}"
        shutil.copytree(base, output)
        try:
            with faults.at(number, die):
                remove(str(output), keys=KEYS)
            is_killed = False
        except KilledError:
            pass
        removed = before - keys_of(output)
        convert(output=str(output), append=True)
        assert keys_of(output) == before - removed | {"cat/last.png"}, number
        assert list(verify(output)) == [], number
        remove(str(output), keys=KEYS)
        assert keys_of(output) == before - {*KEYS} | {"cat/last.png"}, number
        assert list(verify(output)) == [], number
        shutil.rmtree(output)
        number += step


@pytest.mark.parametrize("step", [113, EVERY])
def test_removal_after_killed_append_discards_it(
    base: Path, convert: Convert, tmp_path: Path, faults: Faults, step: int
) -> None:
    make_file(tmp_path / "source", "cat/last.png", make_picture(6000))
    number, is_killed = 1, True
    while is_killed:
        output = tmp_path / f"{number}"
        shutil.copytree(base, output)
        try:
            with faults.at(number, die):
                convert(output=str(output), append=True)
            is_killed = False
        except KilledError:
            pass
        before = keys_of(output)
        remove(str(output), keys=KEYS)
        assert keys_of(output) == before - {*KEYS}, number
        assert list(verify(output)) == [], number
        assert not (output / layout.WORK_FOLDER).exists(), number
        shutil.rmtree(output)
        number += step
