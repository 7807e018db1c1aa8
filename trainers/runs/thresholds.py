"""The thresholds of the weights of a run, `thresholds.json` and `last.thresholds.json`.

    {"format_version": 2, "reject_below": null, "replaced": null, "thresholds": [0.41, 0.5],
     "weights_sha256": "9f86…"}

Runs that predict any number of labels have the threshold of each class; runs that predict one class
have the threshold of rejection. The file is written before the weights, from the validation after
the same epoch. Until the new weights exist, `replaced` has the thresholds of the weights that they
replace.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec

from records.errors import CorruptDataError
from records.format.digest import Sha256, digest_of
from records.strict_json import decode_versioned, encode_canonical
from trainers.runs.digests import RESTORE

if TYPE_CHECKING:
    from trainers.runs.run_dir import Run
    from trainers.tasks import Findings

_FORMAT_VERSION = 2
_Score = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ThresholdsOfWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds, and the weights that they belong to.

    Attributes:
        thresholds: the lowest score at which each class is predicted, in the order of the labels;
            empty if the run predicts one class per image.
        weights_sha256: the SHA-256 of the weights file.
        reject_below: the score of the best class below which an image shows no class; None if the
            run does not predict one class per image, or an earlier version wrote the file.
    """

    thresholds: tuple[_Score, ...]
    weights_sha256: Sha256
    reject_below: _Score | None = None

    @classmethod
    def of(cls, found: Findings, weights: bytes) -> ThresholdsOfWeights:
        """Return the thresholds that a validation has found for the content of a weights file."""
        return cls(found.thresholds, digest_of(weights).sha256, found.reject_below)


class _ThresholdsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format_version: int
    thresholds: tuple[_Score, ...]
    weights_sha256: Sha256
    replaced: ThresholdsOfWeights | None = None
    reject_below: _Score | None = None


def encode_thresholds(
    current: ThresholdsOfWeights, replaced: ThresholdsOfWeights | None = None
) -> bytes:
    """Return the content of `thresholds.json`."""
    return encode_canonical(
        _ThresholdsFile(
            _FORMAT_VERSION,
            current.thresholds,
            current.weights_sha256,
            replaced,
            current.reject_below,
        )
    )


def replaced_thresholds(run: Run) -> ThresholdsOfWeights | None:
    """Return the thresholds of the weights that a run has; None if it has none, or is damaged."""
    with suppress(CorruptDataError, FileNotFoundError):
        return find_thresholds(run) if run.has_weights else None
    return None


def read_thresholds(run: Run) -> tuple[float, ...]:
    """Return the threshold of each class of a run; empty if its task has no thresholds.

    Raises:
        CorruptDataError: the file is missing or damaged, or belongs to other weights.
    """
    return find_thresholds(run).thresholds if run.has_thresholds else ()


def find_reject_below(run: Run) -> float | None:
    """Return the score that 95 % of the validation images reach; None if the run has none.

    Raises:
        CorruptDataError: the file is damaged, or belongs to other weights.
    """
    return find_thresholds(run).reject_below if run.has(run.thresholds_file) else None


def find_thresholds(run: Run) -> ThresholdsOfWeights:
    """Return the thresholds of the weights of a run. Raises as `read_thresholds`."""
    path = run.describe(run.thresholds_file)
    try:
        content = run.read(run.thresholds_file)
    except FileNotFoundError:
        raise CorruptDataError("a file of the run is missing", path=path, hint=RESTORE) from None
    file = decode_versioned(
        content,
        _ThresholdsFile,
        version=_FORMAT_VERSION,
        oldest=1,
        what="the thresholds of a run",
        path=path,
    )
    weights_sha256 = digest_of(run.read(run.weights_file)).sha256
    current = ThresholdsOfWeights(file.thresholds, file.weights_sha256, file.reject_below)
    candidates = [each for each in (current, file.replaced) if each is not None]
    found = [each for each in candidates if each.weights_sha256 == weights_sha256]
    if not found:
        raise CorruptDataError("the thresholds belong to other weights", path=path, hint=RESTORE)
    expected = len(run.labels) if run.has_thresholds else 0
    if len(found[0].thresholds) != expected:
        raise CorruptDataError(
            "the number of thresholds differs from the number of classes",
            path=path,
            expected=expected,
            got=len(found[0].thresholds),
            hint=RESTORE,
        )
    return found[0]
