"""Commands whose input has a name that no file can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.convert import convert
from pipelines.options import ConvertOptions
from records.errors import OutputError
from tests.command_line import Run
from tests.pipelines.pictures import make_folders
from trainers.runs.create import require_empty
from trainers.runs.resume import find_run

LONG = ("o" * 300, "/".join(["o" * 200] * 30))


@pytest.mark.parametrize("name", LONG, ids=["name", "path"])
@pytest.mark.parametrize(
    "command",
    [
        ("verify", "LONG"),
        ("sign", "LONG", "--key", "LONG"),
        ("stats", "LONG"),
        ("quality", "LONG"),
        ("report", "LONG", "-o", "../out.html"),
        ("log", "LONG"),
        ("diff", "LONG", "LONG"),
        ("rollback", "LONG"),
        ("prune", "LONG", "--older-than", "1d"),
        ("repair", "LONG", "."),
        ("clean", "LONG"),
        ("extract", "LONG", "../out"),
        ("export-dataset", "LONG", "../out", "--format", "tfds"),
        ("salvage", "LONG", "../out"),
        ("convert", "LONG", "../out"),
        ("convert", ".", "../out", "--list", "LONG"),
        ("predict", "LONG", "new"),
        ("runs", "LONG"),
        ("export", "LONG", "../out"),
    ],
    ids=" ".join,
)
def test_command_input_with_a_name_too_long_is_missing(
    command: tuple[str, ...], name: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    ended = run(*with_name(command, name))
    assert ended.code == 66, ended.err
    assert ended.err.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


@pytest.mark.parametrize("name", [*LONG, f"{LONG[0]}/run"], ids=["name", "path", "parent"])
@pytest.mark.parametrize(
    "command",
    [
        ("convert", "photos", "LONG"),
        pytest.param(("train", "data", "LONG"), marks=pytest.mark.slow),
        pytest.param(("train", "data", "LONG", "--resume"), marks=pytest.mark.slow),
        ("extract", "data", "LONG"),
        ("export-dataset", "data", "LONG", "--format", "tfds"),
        ("compact", "data", "LONG"),
    ],
    ids=" ".join,
)
def test_command_output_with_a_name_too_long_cannot_be_written(
    command: tuple[str, ...], name: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    make_folders(here / "photos", cat=2, dog=2)
    convert(ConvertOptions(source=str(here / "photos"), output=str(here / "data")))
    monkeypatch.chdir(here)
    ended = run(*with_name(command, name))
    assert ended.code == 73, ended.err
    assert "too long" in ended.err
    assert "Traceback" not in ended.err
    assert {path.name for path in here.iterdir()} == {"photos", "data"}


@pytest.mark.parametrize("name", [*LONG, f"{LONG[0]}/run"], ids=["name", "path", "parent"])
def test_run_with_a_name_too_long_is_an_output_that_cannot_be_written(name: str) -> None:
    assert find_run(name) is None
    with pytest.raises(OutputError, match="too long") as found:
        require_empty(name, resume=True)
    assert found.value.exit_code == 73


def with_name(command: tuple[str, ...], name: str) -> list[str]:
    return [name if word == "LONG" else word for word in command]
