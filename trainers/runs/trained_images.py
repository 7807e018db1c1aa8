"""The record of the images that a run trains on.

`training_images.u64` has a hash of the source file of each image: unsigned integers of 64 bits,
little-endian, sorted. A hash does not depend on the key and the split of an image, so an evaluation
recognizes the image in any dataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from records.errors import CorruptDataError
from records.text.formatting import pluralize
from trainers.runs.run_dir import TRAINING_IMAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainers.runs.run_dir import Run

_DTYPE = np.dtype("<u8")
_HINT = "remove this file; images that the run trained on are then not recognized"


def write_trained_images(run: Run, hashes: Sequence[NDArray[np.uint64]]) -> None:
    """Record the training images of a run by their hashes in each shard. Raises OutputError."""
    run.write(TRAINING_IMAGES, np.unique(np.concatenate(hashes)).astype(_DTYPE).tobytes())


def read_trained_images(run: Run) -> NDArray[np.uint64] | None:
    """Return the sorted hashes of the training images of a run; None if they are not recorded.

    Raises:
        CorruptDataError: the file is damaged.
    """
    if not run.has(TRAINING_IMAGES):
        return None
    content = run.read(TRAINING_IMAGES, hint=_HINT)
    if len(content) % _DTYPE.itemsize == 0:
        hashes = np.frombuffer(content, _DTYPE).astype(np.uint64)
        if (hashes[:-1] < hashes[1:]).all():
            return hashes
    raise CorruptDataError(
        "the record of the training images is damaged",
        path=run.describe(TRAINING_IMAGES),
        expected="sorted integers of 64 bits",
        got=pluralize(len(content), "byte"),
        hint=_HINT,
    )
