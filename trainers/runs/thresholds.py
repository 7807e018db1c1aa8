"""The threshold of each class, `thresholds.json`.

    {"format_version": 1, "thresholds": [0.41, 0.5]}

The file exists in runs whose task has thresholds. It is written with the weights, from the
validation after the same epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from records.errors import CorruptDataError
from records.strict_json import decode_versioned, encode_canonical
from trainers.runs.digests import RESTORE
from trainers.runs.run_dir import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.runs.run_dir import Run

_FORMAT_VERSION = 1
_Score = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `thresholds.json`.

    Attributes:
        format_version: the format version of this file.
        thresholds: the lowest score at which each class is predicted, in the order of the labels.
    """

    format_version: int
    thresholds: tuple[_Score, ...]


def encode_thresholds(thresholds: Sequence[float]) -> bytes:
    """Return the content of `thresholds.json`."""
    return encode_canonical(Thresholds(_FORMAT_VERSION, tuple(thresholds)))


def read_thresholds(run: Run) -> tuple[float, ...]:
    """Return the threshold of each class of a run; empty if its task has no thresholds.

    Raises:
        CorruptDataError: the file is missing or damaged.
    """
    if not run.has_thresholds:
        return ()
    path = run.describe(THRESHOLDS)
    try:
        content = run.read(THRESHOLDS)
    except FileNotFoundError:
        raise CorruptDataError("a file of the run is missing", path=path, hint=RESTORE) from None
    found = decode_versioned(
        content, Thresholds, version=_FORMAT_VERSION, what="the thresholds of a run", path=path
    )
    if len(found.thresholds) != len(run.labels):
        raise CorruptDataError(
            "the number of thresholds differs from the number of classes",
            path=path,
            expected=len(run.labels),
            got=len(found.thresholds),
            hint=RESTORE,
        )
    return found.thresholds
