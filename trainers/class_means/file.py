"""The class means of a finished run, `class_means.json`.

    {"format_version": 1, "means": "zXbkPOk8…", "reject_below": 0.6171}

The file belongs to the weights of the best epoch. `train` writes it after these weights, and
removes it before it continues a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from records.errors import CorruptDataError
from records.strict_json import decode_versioned, encode_canonical
from records.text.formatting import pluralize
from trainers.class_means.means import ClassMeans
from trainers.runs.digests import RESTORE
from trainers.runs.run_dir import CLASS_MEANS

if TYPE_CHECKING:
    from trainers.models.build import Network
    from trainers.runs.run_dir import Run

_FORMAT_VERSION = 1
_DTYPE = np.dtype("<f4")


class _ClassMeansFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `class_means.json`.

    Attributes:
        format_version: the format version of this file.
        means: `ClassMeans.directions`, little-endian, row by row, in Base64.
        reject_below: as in `ClassMeans`.
    """

    format_version: int
    means: bytes
    reject_below: Annotated[float, msgspec.Meta(ge=-1, le=1)]


def encode_class_means(found: ClassMeans) -> bytes:
    """Return the content of `class_means.json`."""
    means = found.directions.astype(_DTYPE).tobytes()
    return encode_canonical(_ClassMeansFile(_FORMAT_VERSION, means, found.reject_below))


def read_class_means(run: Run, network: Network) -> ClassMeans:
    """Return the class means of a run that has them.

    Raises:
        CorruptDataError: the file is damaged, or does not fit the network of the run.
    """
    path = run.describe(CLASS_MEANS)
    file = decode_versioned(
        run.read(CLASS_MEANS),
        _ClassMeansFile,
        version=_FORMAT_VERSION,
        what="the class means of a run",
        path=path,
    )
    features = 0 if network.featured is None else network.featured.output_shape[1][-1]
    numbers = len(run.labels) * features
    if len(file.means) == numbers * _DTYPE.itemsize > 0:
        means = np.frombuffer(file.means, _DTYPE).reshape(-1, features)
        if np.isfinite(means).all():
            return ClassMeans(means.astype(np.float32), file.reject_below)
    raise CorruptDataError(
        "the class means do not fit the model of this run",
        path=path,
        expected=pluralize(numbers, "finite number"),
        got=pluralize(len(file.means), "byte"),
        hint=RESTORE,
    )
