"""Commands whose input has a name that no file can have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LONG = ("o" * 300, "/".join(["o" * 200] * 30))


@pytest.mark.parametrize("name", LONG, ids=["name", "path"])
@pytest.mark.parametrize(
    "command",
    [
        ("verify", "LONG"),
        ("stats", "LONG"),
        ("clean", "LONG"),
        ("extract", "LONG", "../out"),
        ("salvage", "LONG", "../out"),
        ("convert", "LONG", "../out"),
        ("convert", ".", "../out", "--list", "LONG"),
        ("predict", "LONG", "new"),
        ("export", "LONG", "../out"),
    ],
    ids=" ".join,
)
def test_command_input_with_a_name_too_long_is_missing(
    command: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    arguments = [name if word == "LONG" else word for word in command]
    (tmp_path / "here").mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", "shardmill", *arguments],
        cwd=tmp_path / "here",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 66, ended.stderr
    assert ended.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
