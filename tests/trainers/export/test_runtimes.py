"""The example program in each model card, in an environment with only the runtime of the format.

The environments are made with the newest versions of the packages, so the tests need a package
index.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.trainers.export.test_export import write_files
from trainers.export import export
from trainers.export.formats import FORMATS
from trainers.prediction import Predictor

if TYPE_CHECKING:
    from collections.abc import Sequence

_CARD_PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)
_PRINT_OUTPUTS = """
import json
found = []
for path in FILES:
    answer = predict(path)
    if isinstance(answer, tuple):
        by_name = dict(zip((name.decode() for name in answer[0]), answer[1].tolist()))
        found.append([by_name[name] for name in LABELS])
    else:
        found.append(answer.tolist())
print(json.dumps(found))
"""


def make_environment(folder: Path, packages: Sequence[str]) -> Path:
    """The interpreter of a new environment with some packages."""
    uv = Path(sys.executable).with_name("uv")
    interpreter = folder / "bin" / "python"
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "--quiet", "--python", sys.executable, folder],
        [uv, "pip", "install", "--quiet", "--python", interpreter, *packages],
    )
    for command in commands:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    return interpreter


def run_program(python: Path, folder: Path, files: Sequence[Path], labels: Sequence[str]) -> Any:
    """The outputs of `predict` in the program of a card, run in the folder of the export."""
    program = _CARD_PROGRAM.search((folder / "README.md").read_text())
    assert program is not None
    given = f"FILES = {[str(file) for file in files]!r}\nLABELS = {list(labels)!r}\n"
    ended = subprocess.run(
        [python, "-I", "-c", program[1] + given + _PRINT_OUTPUTS],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return np.array(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_card_program_in_its_own_environment_gives_scores_of_predict(
    name: str, run_path: Path, shapes: Path, tmp_path: Path
) -> None:
    extra = FORMATS[name].extra
    if extra is not None:
        pytest.importorskip(extra[0], reason=f"needs shardmill[{extra[1]}]: no {extra[0]}")
    program = FORMATS[name].program
    shared = [] if program.call is None else ["numpy", "pillow"]
    python = make_environment(tmp_path / "environment", [*shared, *program.packages.split()])
    files = write_files(tmp_path)
    predictor = Predictor(run_path)
    predictions = predictor.predict([file.read_bytes() for file in files], top_k=3)
    by_label = [sorted(each.top, key=lambda best: best.label) for each in predictions]
    expected = np.array([[best.score for best in row] for row in by_label])
    for precision in FORMATS[name].precisions:
        calibrate = shapes if precision == "int8" else None
        out = tmp_path / precision
        folder = Path(export(run_path, out, name, precision=precision, calibrate=calibrate))
        found = run_program(python, folder, files, predictor.class_names)
        tolerance = {"float32": 1e-5, "float16": 5e-3, "int8": 0.1}[precision]
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
