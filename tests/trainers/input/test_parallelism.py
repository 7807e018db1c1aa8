"""Memory of the input pipeline: malloc reuses the blocks of records and batches."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Bit 1 of the size, which is stored before a block, is set if malloc has mapped the block alone.
_PROGRAM = """
import ctypes
import tensorflow as tf
from trainers.input.parallelism import parallel_map

for _ in parallel_map(tf.data.Dataset.range(2), lambda number: number):
    pass
for _ in tf.data.Dataset.from_generator(lambda: [1], output_signature=tf.TensorSpec((), tf.int64)):
    pass
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p
blocks = [malloc(ctypes.c_size_t(150_000)) for _ in range(1000)]
print(sum(ctypes.c_size_t.from_address(block - 8).value & 2 for block in blocks))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_blocks_of_records_after_the_first_generator_are_still_reused() -> None:
    command = [sys.executable, "-c", _PROGRAM]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(ended.stdout) == 0
