"""FiftyOne shows a dataset, and its changes get back into the dataset."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from records.dataset import open_dataset
from tests.libraries.conftest import RECORDS
from tests.libraries.environments import run_python
from tests.libraries.pages import find_program

if TYPE_CHECKING:
    from pathlib import Path

_PAGE = "how-to/fiftyone-datumaro.md"
# What a person would do in the app.
_EDIT = """
import fiftyone as fo

samples = fo.load_dataset("flowers")
first, second, *_ = samples.sort_by("key")
first.tags.append("remove")
first.save()
second.ground_truth.label = "élan"
second.save()
print(first.key, second.key)
"""


@pytest.mark.slow
def test_fiftyone_programs_of_page_show_and_change_a_dataset(
    tmp_path: Path, squares: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # its database
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
    shutil.copytree(squares, tmp_path / "data")
    programs = (
        find_program(_PAGE, "Look at a dataset in FiftyOne\n"),
        _EDIT,
        find_program(_PAGE, "Take changes over from FiftyOne"),
    )
    printed = []
    for number, program in enumerate(programs):
        (tmp_path / f"{number}.py").write_text(program)
        printed.append(run_python("fiftyone", tmp_path, f"{number}.py").splitlines()[-1])
    removed, changed = printed[1].split()
    before = keys_and_labels(squares)
    assert printed[2] == "1 relabelled, 1 removed"
    assert before[changed] != "élan"
    expected = {**before, changed: "élan"}
    del expected[removed]
    assert keys_and_labels(tmp_path / "data") == expected
    assert len([*(tmp_path / "images" / "train").iterdir()]) == RECORDS


def keys_and_labels(folder: Path) -> dict[str, str]:
    return {
        record.key: record.class_name
        for records in open_dataset(folder).values()
        for record in records
    }
