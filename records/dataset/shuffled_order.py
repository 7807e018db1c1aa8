"""Random order of records, equal on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shuffled_numbers(
    records: int, *, seed: int, epoch: int, block_records: int = 1
) -> NDArray[np.int64]:
    """Return the numbers of all records in a random order, which depends only on the arguments.

    The order is that of the raw numbers of Philox, which are the same in every version of NumPy.
    NumPy may change the result of `Generator.permutation`.

    Args:
        records: the number of records.
        seed: the seed, from 0.
        epoch: the number of the epoch, from 0; each epoch has another order.
        block_records: the number of consecutive records that stay together as a block. The blocks
            are in random order, and so are the records of each block.

    Returns:
        int64 (records,).
    """
    size = max(1, min(block_records, records))
    blocks = -(-records // size)
    random = np.random.Philox(key=np.array([seed, epoch], np.uint64))
    block_order = np.argsort(random.random_raw(blocks), kind="stable")
    places = random.random_raw(blocks * size).reshape(blocks, size)
    numbers = block_order[:, np.newaxis] * size + np.argsort(places, axis=1, kind="stable")
    return numbers[numbers < records]  # the last block may have fewer records
