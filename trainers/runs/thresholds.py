"""The threshold of each class, `thresholds.json`.

    {"format_version": 1, "thresholds": [0.41, 0.5], "weights_sha256": "9f86…", "replaced": null}

The file exists in runs whose task has thresholds. It is written before the weights, from the
validation after the same epoch. Until the new weights exist, `replaced` has the thresholds of the
weights that they replace.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec

from records.errors import CorruptDataError
from records.format.digest import Sha256, digest_of
from records.strict_json import decode_versioned, encode_canonical
from trainers.runs.digests import RESTORE
from trainers.runs.run_dir import THRESHOLDS, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainers.runs.run_dir import Run

_FORMAT_VERSION = 1
_Score = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ThresholdsOfWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds, and the weights that they belong to.

    Attributes:
        thresholds: the lowest score at which each class is predicted, in the order of the labels.
        weights_sha256: the SHA-256 of the weights file.
    """

    thresholds: tuple[_Score, ...]
    weights_sha256: Sha256


class _ThresholdsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format_version: int
    thresholds: tuple[_Score, ...]
    weights_sha256: Sha256
    replaced: ThresholdsOfWeights | None = None


def encode_thresholds(
    current: ThresholdsOfWeights, replaced: ThresholdsOfWeights | None = None
) -> bytes:
    """Return the content of `thresholds.json`."""
    return encode_canonical(
        _ThresholdsFile(_FORMAT_VERSION, current.thresholds, current.weights_sha256, replaced)
    )


def replace_thresholds(run: Run, thresholds: Sequence[float], weights: bytes) -> bytes:
    """Return the content of `thresholds.json` to write before these weights are written."""
    replaced = None
    with suppress(CorruptDataError, FileNotFoundError):
        replaced = find_thresholds(run) if run.has_weights else None
    return encode_thresholds(
        ThresholdsOfWeights(tuple(thresholds), digest_of(weights).sha256), replaced
    )


def read_thresholds(run: Run) -> tuple[float, ...]:
    """Return the threshold of each class of a run; empty if its task has no thresholds.

    Raises:
        CorruptDataError: the file is missing or damaged, or belongs to other weights.
    """
    return find_thresholds(run).thresholds if run.has_thresholds else ()


def find_thresholds(run: Run) -> ThresholdsOfWeights:
    """Return the thresholds of the weights of a run. Raises as `read_thresholds`."""
    path = run.describe(THRESHOLDS)
    try:
        content = run.read(THRESHOLDS)
    except FileNotFoundError:
        raise CorruptDataError("a file of the run is missing", path=path, hint=RESTORE) from None
    file = decode_versioned(
        content, _ThresholdsFile, version=_FORMAT_VERSION, what="the thresholds of a run", path=path
    )
    weights_sha256 = digest_of(run.read(WEIGHTS)).sha256
    current = ThresholdsOfWeights(file.thresholds, file.weights_sha256)
    candidates = [each for each in (current, file.replaced) if each is not None]
    found = [each for each in candidates if each.weights_sha256 == weights_sha256]
    if not found:
        raise CorruptDataError("the thresholds belong to other weights", path=path, hint=RESTORE)
    if len(found[0].thresholds) != len(run.labels):
        raise CorruptDataError(
            "the number of thresholds differs from the number of classes",
            path=path,
            expected=len(run.labels),
            got=len(found[0].thresholds),
            hint=RESTORE,
        )
    return found[0]
