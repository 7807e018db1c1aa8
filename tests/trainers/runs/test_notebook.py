"""HTML of runs for notebooks."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from records.errors import StorageError
from trainers.runs.notebook import run_html
from trainers.runs.result import read_result
from trainers.runs.run_dir import open_run

HOSTILE = "<script>alert(1)</script>\u202e"


def test_run_html_shows_facts_and_curves_of_a_trained_run(run_path: Path) -> None:
    run = open_run(run_path)
    result = read_result(run)
    assert result is not None
    for text in (run._repr_html_(), result._repr_html_()):
        assert "data:image/png;base64," in text
        assert len(text) < 300_000
        assert "<th>model</th><td>cnn</td>" in text
    assert f"<th>val_accuracy</th><td>{result.val_accuracy:.4g}</td>" in result._repr_html_()


def test_run_html_of_a_moved_or_changed_run_has_no_picture(run_path: Path, tmp_path: Path) -> None:
    result = read_result(open_run(run_path))
    assert result is not None
    moved = msgspec.structs.replace(result, run=str(tmp_path / HOSTILE))
    assert "<img" not in moved._repr_html_()
    assert "<script" not in moved._repr_html_()
    copied = Path(shutil.copytree(run_path, tmp_path / "copied"))
    (copied / "curves.png").write_bytes(b"changed")
    assert "<img" not in open_run(copied)._repr_html_()


@pytest.mark.parametrize("size_bytes", [0, 10_000_000])
def test_run_html_leaves_out_a_picture_that_is_empty_or_large(size_bytes: int) -> None:
    assert len(run_html([("run", HOSTILE)], lambda: b"x" * size_bytes)) < 1000


def test_run_html_failure_of_storage_raises_nothing() -> None:
    def fail() -> bytes:
        raise StorageError("the server does not respond")

    assert run_html([("run", "a")], fail) == (
        "<div><table><tr><th>run</th><td>a</td></tr></table></div>"
    )
