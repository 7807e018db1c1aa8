"""Folder of a cross-validation.

fold-1/ … fold-N/   a run for each fold
out-of-fold.csv     the prediction for each image, by the run that did not train on it
folds.json          the result, written last; it exists only if all runs are finished
"""

from __future__ import annotations

import os

from trainers.options import Fold
from trainers.runs.resume import find_run
from trainers.runs.run_dir import is_run
from trainers.runs.run_folder import open_run_folder

FOLDS = "folds.json"
OUT_OF_FOLD = "out-of-fold.csv"


def fold_location(run: str | os.PathLike[str], number: int) -> str:
    """Return the path or URL of the run of a fold, which has a number from 1."""
    return f"{os.fspath(run).rstrip('/')}/fold-{number}"


def find_folds(run: str | os.PathLike[str]) -> int | None:
    """Return the number of folds of a cross-validation, finished or not; None if it has no run.

    Raises:
        CorruptDataError: the configuration of its first run is invalid.
        StorageError: storage failed.
    """
    if is_run(open_run_folder(run)):
        return None
    found = find_run(fold_location(run, 1))
    fold = None if found is None else found.options.fold
    return None if fold is None else Fold.parse(fold).folds
